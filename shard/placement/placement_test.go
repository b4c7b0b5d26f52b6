package placement

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// counted is an input of loads alone.
func counted(load ...[]float64) *Input {
	in := &Input{Shape: Shape{Experts: len(load[0])}, Counts: &Counts{Path: "loads", Experts: len(load[0]), Load: load}}
	for i := range load {
		in.Layers = append(in.Layers, i)
	}
	in.Counts.Layers = in.Layers
	return in
}

// check holds a placement against what every placement must be.
func check(t *testing.T, p *Placement) {
	t.Helper()
	for i := range p.Layers {
		l := &p.Layers[i]
		if len(l.Phy2Log) != p.Shape.Experts+p.Config.Redundant || len(l.Phy2Log) != p.Slots || p.Slots%p.Config.Ranks != 0 {
			t.Fatalf("layer %d: %d slots", i, len(l.Phy2Log))
		}
		if len(l.Log2Phy) != p.Shape.Experts {
			t.Fatalf("layer %d: %d experts", i, len(l.Log2Phy))
		}
		slots := 0
		for e, list := range l.Log2Phy {
			if len(list) == 0 {
				t.Fatalf("layer %d: expert %d is nowhere", i, e)
			}
			for _, s := range list {
				if l.Phy2Log[s] != e {
					t.Fatalf("layer %d: slot %d holds %d, not %d", i, s, l.Phy2Log[s], e)
				}
			}
			slots += len(list)
		}
		if slots != p.Slots {
			t.Fatalf("layer %d: %d replicas in %d slots", i, slots, p.Slots)
		}
	}
}

// inGroups reports whether each node of a layer holds whole groups.
func inGroups(p *Placement, l *Layer) bool {
	node := make(map[int]int)
	size, perNode := p.Shape.Experts/p.Config.Groups, p.Slots/p.Config.Nodes
	for slot, e := range l.Phy2Log {
		n, ok := node[e/size]
		if node[e/size] = slot / perNode; ok && n != slot/perNode {
			return false
		}
	}
	return true
}

// twins counts slots whose expert lies on the same rank already.
func twins(p *Placement, l *Layer) int {
	n := 0
	for r := range p.Config.Ranks {
		list := sorted(p.OfRank(l, r))
		n += len(list) - len(slices.Compact(list))
	}
	return n
}

// shapes are deployments: experts, ranks, nodes, groups, redundant slots.
var shapes = [][5]int{
	{16, 4, 1, 1, 0},
	{16, 4, 2, 4, 0},
	{16, 4, 4, 4, 0},
	{16, 4, 2, 4, 4},
	{16, 8, 4, 4, 8},
	{16, 2, 1, 8, 4},
	{24, 8, 2, 3, 8},
	{32, 8, 1, 8, 8},
	{64, 16, 4, 8, 16},
	{60, 4, 2, 1, 0},
	{8, 8, 2, 2, 24},
	{8, 1, 1, 2, 0},
	{12, 12, 3, 3, 0},
	{256, 8, 8, 8, 0},
	{256, 32, 4, 8, 32},
}

func forShapes(t *testing.T, test func(t *testing.T, r *rand.Rand, c Config, experts int)) {
	for i, s := range shapes {
		for seed := range 3 {
			t.Run(fmt.Sprint(s, seed), func(t *testing.T) {
				test(t, rand.New(rand.NewPCG(uint64(i), uint64(seed))), Config{Ranks: s[1], Nodes: s[2], Groups: s[3], Redundant: s[4]}, s[0])
			})
		}
	}
}

// skewed makes loads like those that routers have, sometimes with zeros and equals.
func skewed(r *rand.Rand, experts int) []float64 {
	load := make([]float64, experts)
	for i, e := range r.Perm(experts) {
		load[e] = float64(10000 / (i + 1 + r.IntN(8)))
		if r.IntN(10) == 0 {
			load[e] = float64(r.IntN(3))
		}
	}
	load[r.IntN(experts)]++
	return load
}

func TestPlaceLoads(t *testing.T) {
	forShapes(t, func(t *testing.T, r *rand.Rand, c Config, experts int) {
		in := counted(skewed(r, experts), skewed(r, experts))
		var eplb []Metrics
		for _, a := range []Algorithm{EPLB, Contiguous, Quern} {
			c.Algorithm = a
			p, err := Place(t.Context(), in, c)
			if err != nil {
				t.Fatal(err)
			}
			check(t, p)
			m, err := p.Evaluate(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if a == EPLB {
				eplb = m
			}
			if a != Quern {
				continue
			}
			for i := range p.Layers {
				l := &p.Layers[i]
				n := twins(p, l)
				if c.Groups%c.Nodes == 0 && !inGroups(p, l) {
					t.Errorf("layer %d: groups are torn", i)
				}
				if m[i].Fanout != nil {
					t.Errorf("fan-out %v without a trace", *m[i].Fanout)
				}
				// Parting twins may cost something, and only that.
				if worse := m[i].Balance/eplb[i].Balance - 1; worse > 1e-5 && (c.Redundant == 0 || worse > partingTolerance+1e-5) {
					t.Errorf("layer %d: balance %.4f, EPLB's %.4f", i, m[i].Balance, eplb[i].Balance)
				}
				if avoidable := experts/c.Nodes >= p.Slots/c.Ranks; n > 0 && avoidable {
					t.Errorf("layer %d: %d experts lie twice on a rank", i, n)
				}
			}
		}
	})
}

// With room to choose, no expert lies twice on a rank.
func TestNoTwins(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		in := counted(skewed(r, 64))
		p, err := Place(t.Context(), in, Config{Ranks: 8, Nodes: 1 + int(seed%2), Groups: 8, Redundant: 8 * (1 + r.IntN(6))})
		if err != nil {
			t.Fatal(err)
		}
		if n := twins(p, &p.Layers[0]); n > 0 {
			t.Errorf("seed %d: %d experts lie twice on a rank: %v", seed, n, p.Layers[0].Phy2Log)
		}
	}
}

func TestSameWhateverTheWorkers(t *testing.T) {
	m := small()
	in := m.input(t, 4, 2000)
	var first *Placement
	for _, workers := range []int{1, 2, 3, 0} {
		p, err := Place(t.Context(), in, Config{Ranks: 8, Nodes: 2, Groups: 4, Redundant: 8, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if p.Config.Workers = 0; first == nil {
			first = p
		}
		if !reflect.DeepEqual(p, first) {
			t.Fatalf("%d workers: another placement", workers)
		}
	}
}

// Equals are placed by index, and a placement that is no better than index order is
// index order.
func TestTiesByIndex(t *testing.T) {
	load := make([]float64, 12)
	for i := range load {
		load[i] = 5
	}
	p, err := Place(t.Context(), counted(load), Config{Ranks: 12})
	if err != nil {
		t.Fatal(err)
	}
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	if got := p.Layers[0].Phy2Log; !reflect.DeepEqual(got, want) {
		t.Errorf("12 ranks: %v", got)
	}
	p, err = Place(t.Context(), counted(load), Config{Ranks: 3})
	if err != nil {
		t.Fatal(err)
	}
	for rank := range 3 {
		if list := p.OfRank(&p.Layers[0], rank); !slices.IsSorted(list) {
			t.Errorf("rank %d: %v", rank, list)
		}
	}
}

// The hottest expert comes first in its rank.
func TestHotFirst(t *testing.T) {
	load := skewed(rand.New(rand.NewPCG(3, 3)), 32)
	p, err := Place(t.Context(), counted(load), Config{Ranks: 4, Redundant: 4})
	if err != nil {
		t.Fatal(err)
	}
	l := &p.Layers[0]
	copies := l.Copies()
	for r := range 4 {
		list := p.OfRank(l, r)
		if !slices.IsSortedFunc(list, func(a, b int) int {
			x, y := load[a]/float64(copies[a]), load[b]/float64(copies[b])
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return a - b
		}) {
			t.Errorf("rank %d: %v", r, list)
		}
	}
}

func TestWithoutCounts(t *testing.T) {
	p, err := Place(t.Context(), &Input{Shape: Shape{Layers: []int{3, 4}, Experts: 8}}, Config{Ranks: 4, Redundant: 4})
	if err != nil {
		t.Fatal(err)
	}
	check(t, p)
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3}
	if l := p.Layers[1]; l.Number != 4 || l.By != Contiguous || !reflect.DeepEqual(l.Phy2Log, want) {
		t.Errorf("%s: %v", l.By, l.Phy2Log)
	}
	if !slices.ContainsFunc(p.Notes, func(s string) bool { return strings.Contains(s, "nothing was counted") }) {
		t.Errorf("notes: %q", p.Notes)
	}
	// One layer without counts among others.
	in := counted([]float64{4, 3, 2, 1}, make([]float64, 4))
	if p, err = Place(t.Context(), in, Config{Ranks: 2}); err != nil {
		t.Fatal(err)
	}
	if p.Layers[0].By != Quern || p.Layers[1].By != Contiguous {
		t.Errorf("made by %s and %s", p.Layers[0].By, p.Layers[1].By)
	}
	if want := "nothing was counted in layers 1: their placement is contiguous"; !slices.Contains(p.Notes, want) {
		t.Errorf("notes: %q", p.Notes)
	}
	// EPLB is what it is, also without loads.
	if p, err = Place(t.Context(), in, Config{Ranks: 2, Algorithm: EPLB}); err != nil {
		t.Fatal(err)
	}
	if p.Layers[1].By != EPLB {
		t.Errorf("made by %s", p.Layers[1].By)
	}
}

func TestConfigs(t *testing.T) {
	in := counted(make([]float64, 16))
	for _, c := range []struct {
		config Config
		says   string
	}{
		{Config{}, "--ranks 0: at least 1"},
		{Config{Ranks: -3}, "--ranks -3"},
		{Config{Ranks: 1 << 20}, "the limit is 16384"},
		{Config{Ranks: 4, Nodes: 3}, "--nodes 3: 4 ranks do not divide by it; nodes that do: 1, 2, 4"},
		{Config{Ranks: 5}, "--ranks 5: 16 experts do not divide by it; ranks that do: 1, 2, 4, 8, 16; or --redundant 4"},
		{Config{Ranks: 32}, "--ranks 32: 16 experts do not divide by it; ranks that do: 1, 2, 4, 8, 16; or --redundant 16"},
		{Config{Ranks: 8, Redundant: 4}, "16 experts and 4 redundant slots (20) do not divide by it; ranks that do: 1, 2, 4, 5, 10, 20; or --redundant 8"},
		{Config{Ranks: 4, Groups: 3}, "--groups 3: 16 experts do not divide by it; groups that do: 1, 2, 4, 8, 16"},
		{Config{Ranks: 4, Redundant: -4}, "--redundant -4"},
		{Config{Ranks: 4, Redundant: 52}, "17 a rank, more than there are experts; at most 48 are of use"},
		{Config{Ranks: 4, Redundant: 1 << 30}, "the limit of 16384"},
		{Config{Ranks: 4, Algorithm: "best"}, `--algorithm "best": it can be contiguous, eplb or quern`},
		{Config{Ranks: 4, Tolerance: -1}, "--tolerance -1"},
		{Config{Ranks: 4, Tolerance: 2}, "--tolerance 2"},
	} {
		_, err := Place(t.Context(), in, c.config)
		if u := (*UsageError)(nil); !errors.As(err, &u) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.says)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compare(ctx, counted(make([]float64, 16)), Config{Ranks: 4}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
