package placement

import (
	"math"
	"testing"
)

// partitions calls do with every way to deal n items out to bins of equal capacity,
// bins in the order of their first items.
func partitions(n, bins int, do func(bin []int)) {
	bin, count := make([]int, n), make([]int, bins)
	var deal func(i, open int)
	deal = func(i, open int) {
		if i == n {
			do(bin)
			return
		}
		for b := range min(open+1, bins) {
			if count[b] == n/bins {
				continue
			}
			bin[i] = b
			count[b]++
			deal(i+1, max(open, b+1))
			count[b]--
		}
	}
	deal(0, 0)
}

// On layers small enough to try all placements, the search finds nearly the most
// co-activation that the limits allow.
func TestNearTheBest(t *testing.T) {
	m := router{experts: 12, groups: 1, topGroups: 1, k: 3, skew: 0.4, topics: 6, kinds: 24, seed: 5}
	g := geometry{experts: 12, slots: 12, ranks: 3, nodes: 1, groups: 1}
	var got, best float64
	for layer := range 12 {
		r := m.route(layer, 3000)
		o := observed{load: r.load(12), pairs: r.pairs(12), windows: 16, crowding: r.crowding(12, 16), made: r}
		base, _ := eplb(o.load, g)
		limits := newRanks(o, g, base).measured().times(1)
		most := 0.0
		identity := make([]int, 12)
		for i := range identity {
			identity[i] = i
		}
		s := newRanks(o, g, identity)
		partitions(12, 3, func(bin []int) {
			var crowd, together float64
			sums := make([]float64, 3)
			for i, b := range bin {
				sums[b] += s.load[i]
				crowd += o.crowding[i*12+i]
				for j := range i {
					if bin[j] == b {
						crowd += 2 * o.crowding[i*12+j]
						together += o.pairs[i*12+j]
					}
				}
			}
			if max(sums[0], sums[1], sums[2]) <= limits.balance && crowd*3/16 <= limits.spread {
				most = math.Max(most, together)
			}
		})
		p, _ := quern(o, g, 0)
		together := 0.0
		for i, a := range p {
			for j := range i {
				if i/4 == j/4 {
					together += o.pairs[a*12+p[j]]
				}
			}
		}
		if together > most+0.5 {
			t.Errorf("layer %d: %.0f pairs, more than the limits allow: %.0f", layer, together, most)
		}
		if together < 0.9*most {
			t.Errorf("layer %d: %.0f pairs of %.0f", layer, together, most)
		}
		got, best = got+together, best+most
	}
	if t.Logf("%.1f %% of the pairs that can be had", 100*got/best); got < 0.98*best {
		t.Errorf("%.0f of %.0f", got, best)
	}
}

// What the search keeps along the way is what it is when counted anew.
func TestSearchKeepsCount(t *testing.T) {
	m := small()
	r := m.route(0, 4000)
	for _, g := range []geometry{{32, 32, 8, 1, 4}, {32, 40, 8, 2, 4}, {32, 48, 8, 2, 1}, {32, 48, 4, 4, 1}} {
		o := observed{load: r.load(32), pairs: r.pairs(32), windows: 8, crowding: r.crowding(32, 8), made: r}
		base, _ := eplb(o.load, g)
		s := newRanks(o, g, base)
		s.limits = s.measured().times(1)
		s.start(s.bin)
		for range 2000 {
			i, j := s.propose()
			if s.bin[i] == s.bin[j] {
				t.Fatalf("items %d and %d share bin %d", i, j, s.bin[i])
			}
			if s.stay && int(s.bin[i])/s.binsPerNode != int(s.bin[j])/s.binsPerNode {
				t.Fatalf("items %d and %d change nodes", i, j)
			}
			if s.kind[i] == s.kind[j] {
				continue
			}
			excess, gain := s.swapped(i, j), s.gain(i, j)
			before, doubles := s.inside(), s.doubles+s.parted(i, j)
			s.swap(i, j)
			other := newRanks(o, g, base)
			other.limits = s.limits
			other.start(s.bin)
			if s.crowd != other.crowd || s.doubles != other.doubles || doubles != s.doubles || math.Abs(s.excess-other.excess) > 1e-12 || math.Abs(excess-s.excess) > 1e-12 {
				t.Fatalf("%+v: crowd %d, %d; twins %d, %d, %d; excess %v, %v, %v", g, s.crowd, other.crowd, doubles, s.doubles, other.doubles, excess, s.excess, other.excess)
			}
			if after := s.inside(); after-before != gain || after != other.inside() {
				t.Fatalf("%+v: together %d, then %d, gained %d; counted %d", g, before, after, gain, other.inside())
			}
		}
	}
}

// inside is the sum of the bonds that count.
func (s *search) inside() int64 {
	of := func(i int) int { return int(s.bin[i]) }
	n := s.ranks.within(of)
	if s.nodes != nil {
		n += nodeWeight * s.nodes.within(func(i int) int { return of(i) / s.binsPerNode })
	}
	return n
}

// A tolerance buys locality.
func TestTolerance(t *testing.T) {
	in := small().input(t, 4, 6000)
	last := math.Inf(1)
	for _, tolerance := range []float64{0, 0.05, 0.2} {
		c := Config{Ranks: 8, Tolerance: tolerance}
		p, err := Place(t.Context(), in, c)
		if err != nil {
			t.Fatal(err)
		}
		c.Algorithm = EPLB
		base, err := Place(t.Context(), in, c)
		if err != nil {
			t.Fatal(err)
		}
		var fan float64
		for i := range p.Layers {
			made, _, err := in.Trace.read(i, in.Experts)
			if err != nil {
				t.Fatal(err)
			}
			load := made.load(in.Experts)
			mine := balance(load, p.Layers[i].Phy2Log, p.Layers[i].Copies(), 8)
			theirs := balance(load, base.Layers[i].Phy2Log, base.Layers[i].Copies(), 8)
			if mine > theirs*(1+tolerance)+1e-5 {
				t.Errorf("tolerance %v, layer %d: balance %.4f, EPLB's %.4f", tolerance, i, mine, theirs)
			}
			fan += fanout(made, p.Layers[i].Phy2Log, p.Layers[i].Copies(), 8)
		}
		if fan >= last {
			t.Errorf("tolerance %v: fan-out %.3f, with less tolerance %.3f", tolerance, fan/4, last/4)
		}
		last = fan
	}
}
