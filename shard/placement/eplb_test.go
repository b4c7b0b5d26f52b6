package placement

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// eplbCase is a placement that the published reference made.
type eplbCase struct {
	Name        string
	Load        [][]float64
	NumPhysical int `json:"num_physical"`
	Groups      int
	Nodes       int
	Ranks       int
	Phy2Log     [][]int
	Log2Phy     [][][]int
	LogCnt      [][]int
}

func eplbCases(t testing.TB) []eplbCase {
	t.Helper()
	raw, err := os.ReadFile("testdata/eplb.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []eplbCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestEPLBGoldens(t *testing.T) {
	for _, c := range eplbCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			in := &Input{Shape: Shape{Experts: len(c.Load[0])}, Counts: &Counts{Experts: len(c.Load[0]), Load: c.Load}}
			for i := range c.Load {
				in.Layers = append(in.Layers, i)
			}
			in.Counts.Layers = in.Layers
			p, err := Place(t.Context(), in, Config{Ranks: c.Ranks, Nodes: c.Nodes, Groups: c.Groups, Redundant: c.NumPhysical - in.Experts, Algorithm: EPLB})
			if err != nil {
				t.Fatal(err)
			}
			for i := range p.Layers {
				l := &p.Layers[i]
				if !reflect.DeepEqual(l.Phy2Log, c.Phy2Log[i]) {
					t.Errorf("layer %d: phy2log %v, want %v", i, l.Phy2Log, c.Phy2Log[i])
				}
				if got := l.Copies(); !reflect.DeepEqual(got, c.LogCnt[i]) {
					t.Errorf("layer %d: logcnt %v, want %v", i, got, c.LogCnt[i])
				}
				for e, slots := range l.Log2Phy {
					if got := padded(slots, p.width()); !reflect.DeepEqual(got, c.Log2Phy[i][e]) {
						t.Errorf("layer %d: log2phy of expert %d: %v, want %v", i, e, got, c.Log2Phy[i][e])
					}
				}
			}
		})
	}
}
