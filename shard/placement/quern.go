package placement

import "slices"

// maxPairs bounds the slots up to which co-activation is looked at: its table has
// the square of them.
const maxPairs = 1 << 12

// partingTolerance is how much balance may be given up so that no slot is wasted on an
// expert that lies on the rank already.
const partingTolerance = 0.05

// quern is quern's algorithm for one layer. It looks for the placement with the most
// co-activation inside ranks and nodes among those whose balance is within the
// tolerance of EPLB's. EPLB's own placement is one of those, so the search cannot end
// outside. Where co-activation is not known it improves EPLB's balance.
func quern(o observed, g geometry, tolerance float64) ([]int, [][]int) {
	base, _ := eplb(o.load, g)
	limits := newRanks(o, g, base).measured().times(1 + tolerance)
	lax := limits.times(1 + partingTolerance)
	begins := append(starts(o, g, tolerance), base)
	nodes := 1
	if g.wholeGroups() {
		nodes = g.nodes
	}
	avoidable := g.experts/nodes >= g.perRank() // each rank can have experts that differ
	var found []int
	for _, within := range []measures{limits, lax} {
		for i, begin := range begins {
			if i > 0 && slices.Equal(begin, begins[i-1]) {
				continue
			}
			s := newRanks(o, g, begin)
			if s.improve(within); s.excess > 0 {
				continue
			}
			slots := s.slots(begin)
			if s.doubles == 0 || !avoidable {
				return tidy(slots, o.load, g)
			}
			if found == nil {
				found = slots
			}
			slots = s.partTwins(slots, o.load, g)
			if s := newRanks(o, g, slots); s.doubles == 0 && s.measured().within(lax) {
				return tidy(slots, o.load, g)
			}
		}
	}
	return tidy(found, o.load, g)
}

// measures are the two ways in which the balance of bins is limited.
type measures struct {
	balance float64 // load of the fullest over the mean
	spread  float64 // mean square of the loads in windows of the text, in units of the mean
}

// times is the measures in so many parts. Sums of loads depend on their order in the
// last bits, and bonds are rounded: that must not decide.
func (m measures) times(x float64) measures {
	const last = 1e-6
	return measures{float64(m.balance*x) + last, float64(m.spread*x) + last}
}

func (m measures) within(limits measures) bool {
	return m.balance <= limits.balance && m.spread <= limits.spread
}

// starts are the placements that searches begin with before they begin with EPLB's:
// no expert has more replicas than its node has ranks, and groups that are chosen
// together share a node.
func starts(o observed, g geometry, tolerance float64) [][]int {
	if !g.wholeGroups() {
		g.groups, g.nodes = 1, 1
	}
	bin, at := pack(groupLoads(o.load, g), g.nodes)
	with := func(bin, at []int) []int {
		phy2log, _ := fill(o.load, g, nodeOrder(g, bin, at), g.ranks/g.nodes)
		return phy2log
	}
	var out [][]int
	if g.nodes > 1 && g.nodes < g.groups {
		out = append(out, with(placeGroups(o, g, tolerance, bin)))
	}
	return append(out, with(bin, at))
}

// placeGroups places groups of experts on nodes as experts are placed on ranks,
// beginning with begin: the node of each. It returns the node of each group, and its
// place there.
func placeGroups(o observed, g geometry, tolerance float64, begin []int) (bin, at []int) {
	of, copies := make([]int, g.groups), make([]int, g.groups)
	for i := range of {
		of[i], copies[i] = i, 1
	}
	s := newSearch(o.grouped(g), of, copies, g.nodes)
	s.begin(begin)
	s.improve(s.measured().times(1 + tolerance))
	bin, at = make([]int, g.groups), make([]int, g.groups)
	for i, b := range s.bin {
		bin[i], at[i] = int(b), int(s.place[i])
	}
	return bin, at
}

// newSearch is a search over items, of which item i is one of copies[of[i]] replicas
// of of[i], and over so many bins.
func newSearch(o observed, of, copies []int, bins int) *search {
	n := len(of)
	s := &search{items: n, bins: bins, per: n / bins, binsPerNode: 1, random: seed, kind: make([]int32, n), load: make([]float64, n)}
	mean := sum(o.load) / float64(bins)
	for i, e := range of {
		s.kind[i] = int32(e)
		s.load[i] = o.load[e] / float64(copies[e]) / mean
	}
	bond := func(m []float64) *bonds {
		if m == nil {
			return nil
		}
		return newBonds(n, func(i, j int) float64 { return m[of[i]*len(copies)+of[j]] / float64(copies[of[i]]*copies[of[j]]) })
	}
	s.together, s.crowding = bond(o.pairs), bond(o.crowding)
	if s.crowding != nil {
		for e, c := range copies {
			s.alone += o.crowding[e*len(copies)+e] / float64(2*c)
		}
		s.alone *= s.crowding.scale
		s.unit = s.crowding.scale * float64(o.windows) / float64(2*bins)
	}
	return s
}

// newRanks is a search over the slots of a placement, which it begins with.
func newRanks(o observed, g geometry, phy2log []int) *search {
	copies := make([]int, g.experts)
	for _, e := range phy2log {
		copies[e]++
	}
	s := newSearch(o, phy2log, copies, g.ranks)
	s.binsPerNode, s.stay = g.ranks/g.nodes, g.nodes > 1 && g.wholeGroups()
	bin := make([]int, g.slots)
	for i := range bin {
		bin[i] = i / s.per
	}
	s.begin(bin)
	return s
}

// improve searches within limits, where there is something to choose.
func (s *search) improve(limits measures) {
	s.limits = limits
	s.start(s.bin)
	switch {
	case s.bins == 1 || s.stay && s.binsPerNode == 1:
	case s.together != nil:
		s.anneal()
	default:
		start, excess := slices.Clone(s.bin), s.excess
		s.part()
		if s.level(); s.excess > 0 && excess == 0 {
			s.start(start)
		}
	}
}

// slots is the placement that a search has come to from phy2log.
func (s *search) slots(phy2log []int) []int {
	out := make([]int, len(s.at))
	for slot, i := range s.at {
		out[slot] = phy2log[i]
	}
	return out
}

// tidy gives a placement its canonical form: in a rank the experts of most load (a
// replica's share) come first, equals by index; ranks of a node, and nodes, are
// ordered by their lowest experts.
func tidy(phy2log []int, load []float64, g geometry) ([]int, [][]int) {
	copies := make([]int, g.experts)
	for _, e := range phy2log {
		copies[e]++
	}
	byIndex := func(a, b []int) int { return slices.Compare(sorted(a), sorted(b)) }
	nodes := slices.Collect(slices.Chunk(slices.Clone(phy2log), g.slots/g.nodes))
	for i, node := range nodes {
		ranks := slices.Collect(slices.Chunk(node, g.perRank()))
		slices.SortStableFunc(ranks, byIndex)
		nodes[i] = slices.Concat(ranks...)
	}
	slices.SortStableFunc(nodes, byIndex)
	out := slices.Concat(nodes...)
	for rank := range slices.Chunk(out, g.perRank()) {
		slices.SortFunc(rank, func(a, b int) int {
			x, y := load[a]/float64(copies[a]), load[b]/float64(copies[b])
			switch {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return a - b
		})
	}
	return out, inverse(out, g.experts)
}

func sorted(list []int) []int {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}
