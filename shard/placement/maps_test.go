package placement

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/formats/safetensors"
)

// compared is a placement of layers 2 and 4, of which 4 is an MTP layer.
func compared(t *testing.T, redundant int) *Comparison {
	t.Helper()
	in := counted([]float64{9, 1, 1, 1}, []float64{1, 2, 3, 4})
	in.Layers, in.MTP = []int{2, 4}, []int{4}
	cmp, err := Compare(t.Context(), in, Config{Ranks: 2, Redundant: redundant, Algorithm: EPLB})
	if err != nil {
		t.Fatal(err)
	}
	return cmp
}

func find(t *testing.T, cmp *Comparison, name string) []byte {
	t.Helper()
	files, _, err := cmp.Files()
	if err != nil {
		t.Fatal(err)
	}
	if files[len(files)-1].Name != JSONName {
		t.Errorf("%s comes last", files[len(files)-1].Name)
	}
	for _, f := range files {
		if !slices.Contains(FileNames(), f.Name) {
			t.Errorf("no name: %s", f.Name)
		}
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func TestJSON(t *testing.T) {
	cmp := compared(t, 2)
	var got struct {
		Algorithm     string
		Layers        []int
		MTP           []int `json:"mtp_layers"`
		Phy2Log       [][]int
		Log2Phy       [][][]int
		LogCnt        [][]int
		Balance       *float64
		Fanout        *float64
		ExpertsOfRank [][][]int `json:"experts_of_rank"`
		Metrics       []struct {
			Layer      int
			Contiguous struct{ Balance, Fanout *float64 }
		}
	}
	raw := find(t, cmp, JSONName)
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	l := cmp.Placement.Layers[0]
	if got.Algorithm != "eplb" || !reflect.DeepEqual(got.Layers, []int{2, 4}) || !reflect.DeepEqual(got.MTP, []int{4}) || !reflect.DeepEqual(got.Phy2Log[0], l.Phy2Log) || !reflect.DeepEqual(got.LogCnt[0], l.Copies()) {
		t.Errorf("%s", raw)
	}
	if got.Fanout != nil || *got.Balance != cmp.Mean[EPLB].Balance || *got.Metrics[1].Contiguous.Balance != 1.1 || got.Metrics[1].Layer != 4 {
		t.Errorf("%s", raw)
	}
	if !reflect.DeepEqual(got.ExpertsOfRank[1][1], cmp.Placement.Layers[1].Phy2Log[3:]) {
		t.Errorf("%s", raw)
	}
	width := cmp.Placement.width()
	for e, slots := range l.Log2Phy {
		if !reflect.DeepEqual(got.Log2Phy[0][e], padded(slots, width)) {
			t.Errorf("expert %d: %v", e, got.Log2Phy[0][e])
		}
	}
	// Rows stand on lines of their own.
	if n := bytes.Count(raw, []byte("\n")); n > 60 {
		t.Errorf("%d lines", n)
	}
}

func TestTensors(t *testing.T) {
	cmp := compared(t, 2)
	raw := find(t, cmp, TensorName)
	h, err := safetensors.ReadHeader(bytes.NewReader(raw), int64(len(raw)), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]int64{}
	for _, x := range h.Tensors {
		list := make([]int64, x.Elements())
		data := raw[h.DataOffset+x.Begin : h.DataOffset+x.End]
		for i := range list {
			list[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
		got[x.Name] = list
	}
	var phy2log, log2phy, logcnt []int64
	for i := range cmp.Placement.Layers {
		l := &cmp.Placement.Layers[i]
		for _, e := range l.Phy2Log {
			phy2log = append(phy2log, int64(e))
		}
		for e, slots := range l.Log2Phy {
			logcnt = append(logcnt, int64(l.Copies()[e]))
			for _, s := range padded(slots, cmp.Placement.width()) {
				log2phy = append(log2phy, int64(s))
			}
		}
	}
	want := map[string][]int64{"layers": {2, 4}, "phy2log": phy2log, "log2phy": log2phy, "logcnt": logcnt}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if h.Metadata["algorithm"] != "eplb" || h.Metadata["ranks"] != "2" {
		t.Errorf("%v", h.Metadata)
	}
}

func TestSGLang(t *testing.T) {
	cmp := compared(t, 0)
	var got map[string][][]int
	if err := json.Unmarshal(find(t, cmp, "sglang-expert-location.json"), &got); err != nil {
		t.Fatal(err)
	}
	idle := []int{0, 1, 2, 3}
	want := map[string][][]int{"physical_to_logical_map": {idle, idle, cmp.Placement.Layers[0].Phy2Log}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	cmp.Placement.Shape.Unnumbered = true
	_, notes, err := cmp.Files()
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "no sglang-expert-location.json: ") {
		t.Errorf("%q, %v", notes, err)
	}
	if !bytes.Contains(find(t, cmp, JSONName), []byte("no sglang-expert-location.json: ")) {
		t.Error("the file does not say what is missing")
	}
}

func TestVLLMAscend(t *testing.T) {
	cmp := compared(t, 0)
	type device struct {
		ID      int   `json:"device_id"`
		Experts []int `json:"device_expert"`
	}
	var got struct {
		Count  int `json:"moe_layer_count"`
		Layers []struct {
			ID      int      `json:"layer_id"`
			Count   int      `json:"device_count"`
			Devices []device `json:"device_list"`
		} `json:"layer_list"`
	}
	if err := json.Unmarshal(find(t, cmp, "vllm-ascend-expert-map.json"), &got); err != nil {
		t.Fatal(err)
	}
	p := cmp.Placement.Layers[0].Phy2Log
	if got.Count != 1 || len(got.Layers) != 1 || got.Layers[0].ID != 0 || got.Layers[0].Count != 2 || !reflect.DeepEqual(got.Layers[0].Devices, []device{{0, p[:2]}, {1, p[2:]}}) {
		t.Errorf("%+v", got)
	}
	// EPLB puts three replicas of the hot expert on two ranks.
	cmp = compared(t, 2)
	_, notes, err := cmp.Files()
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "no vllm-ascend-expert-map.json: ") {
		t.Errorf("%v %q, %v", cmp.Placement.Layers[0].Phy2Log, notes, err)
	}
}
