package placement

import "math"

// search moves items between bins of equal capacity so that items with bonds come
// together, while the loads of the bins stay balanced. Its items are replicas of
// experts and its bins ranks, or its items are groups of experts and its bins nodes.
//
// It is threshold accepting (Dueck and Scheuer 1990): an exchange of two items is
// taken unless it worsens the goal by more than a threshold that falls to zero. Bonds
// are integers, loads are only added and compared, random numbers begin at a fixed
// seed and the number of exchanges is fixed: the result is the same on every machine.
type search struct {
	items, bins, per int // per items in each bin
	binsPerNode      int // bins lie in nodes, in order
	stay             bool
	kind             []int32   // of an item: two of a kind are kept apart
	load             []float64 // [item], in units of the mean load of a bin
	together         *bonds    // how often two items are chosen for one token; nil where that is not known
	crowding         *bonds    // the product of their loads, summed over windows; nil without windows
	alone            float64   // half of that of items with themselves, in units of crowding
	unit             float64   // so much of crowding and alone is a mean square load of 1
	limits           measures

	bin     []int32 // [item]
	at      []int32 // [bin][per]: its items
	place   []int32 // [item]: where in its bin
	ranks   *ties   // of together
	nodes   *ties   // of together, by nodes; nil where they do not matter
	crowds  *ties   // of crowding
	crowd   int64   // of items that share a bin
	twins   []uint8 // [bin][kind]: items of the kind in the bin; nil where none has a twin
	kinds   int
	doubles int // items that lie beside one of their kind
	sums    []float64
	top     largest // of sums
	excess  float64 // by how much the limits are exceeded
	random  uint64
}

// nodeWeight is how much more it is worth that two experts share a node than that
// they share a rank of it: DeepSeek's cluster moves 160 GB/s inside a node and 50
// between nodes (DeepSeek-V3 report, §3.2).
const nodeWeight = 3

// largest are the three largest of some sums, so that the largest is known when any
// two of them change.
type largest struct {
	value [3]float64
	bin   [3]int32
}

func (l *largest) of(sums []float64) {
	*l = largest{value: [3]float64{-1, -1, -1}, bin: [3]int32{-1, -1, -1}}
	for b, x := range sums {
		for k := range l.value {
			if x > l.value[k] {
				copy(l.value[k+1:], l.value[k:2])
				copy(l.bin[k+1:], l.bin[k:2])
				l.value[k], l.bin[k] = x, int32(b)
				break
			}
		}
	}
}

// without is the largest of the sums of bins other than a and b.
func (l *largest) without(a, b int32) float64 {
	for k, x := range l.bin {
		if x != a && x != b {
			return l.value[k]
		}
	}
	return 0
}

// begin is start with other numbers, and without limits.
func (s *search) begin(bin []int) {
	start := make([]int32, len(bin))
	for i, b := range bin {
		start[i] = int32(b)
	}
	s.limits = measures{math.Inf(1), math.Inf(1)}
	s.start(start)
}

// start puts the items into bins: bin of each.
func (s *search) start(bin []int32) {
	s.bin = append(s.bin[:0], bin...)
	s.at, s.place = make([]int32, s.items), make([]int32, s.items)
	s.sums = make([]float64, s.bins)
	fill := make([]int, s.bins)
	for i, b := range s.bin {
		s.place[i] = int32(fill[b])
		s.at[int(b)*s.per+fill[b]] = int32(i)
		fill[b]++
		s.sums[b] += s.load[i]
	}
	of := func(i int) int { return int(s.bin[i]) }
	s.ranks, s.nodes, s.crowds = nil, nil, nil
	if s.together != nil {
		s.ranks = newTies(s.together, s.bins, of)
		if !s.stay && s.binsPerNode > 1 && s.binsPerNode < s.bins {
			s.nodes = newTies(s.together, s.bins/s.binsPerNode, func(i int) int { return of(i) / s.binsPerNode })
		}
	}
	if s.crowding != nil {
		s.crowds = newTies(s.crowding, s.bins, of)
		s.crowd = s.crowds.within(of)
	}
	s.countTwins()
	s.top.of(s.sums)
	s.excess = s.over(s.top.value[0], s.crowd)
}

func (s *search) countTwins() {
	s.kinds = 0
	for _, k := range s.kind {
		s.kinds = max(s.kinds, int(k)+1)
	}
	s.twins, s.doubles = nil, 0
	if s.kinds == s.items {
		return
	}
	s.twins = make([]uint8, s.bins*s.kinds)
	for i, b := range s.bin {
		n := &s.twins[int(b)*s.kinds+int(s.kind[i])]
		if *n > 0 {
			s.doubles++
		}
		*n = min(*n, 254) + 1
	}
}

// measured are the measures of the bins.
func (s *search) measured() measures { return measures{s.top.value[0], s.spread(s.crowd)} }

// spread is the mean square load for a crowding.
func (s *search) spread(crowd int64) float64 {
	if s.crowds == nil {
		return 0
	}
	return (s.alone + float64(crowd)) / s.unit
}

// over is by how much a balance and a crowding exceed the limits.
func (s *search) over(balance float64, crowd int64) float64 {
	return max(0, balance-s.limits.balance) + max(0, s.spread(crowd)-s.limits.spread)
}

// swapped is the excess after an exchange of items i and j.
func (s *search) swapped(i, j int) float64 {
	r, t := s.bin[i], s.bin[j]
	d := s.load[i] - s.load[j]
	crowd := s.crowd
	if s.crowds != nil {
		crowd += s.crowds.gain(i, j, int(r), int(t))
	}
	return s.over(max(s.sums[r]-d, s.sums[t]+d, s.top.without(r, t)), crowd)
}

// gain is how much more is together in bins and nodes after an exchange of items i
// and j.
func (s *search) gain(i, j int) int64 {
	if s.ranks == nil {
		return 0
	}
	r, t := int(s.bin[i]), int(s.bin[j])
	g := s.ranks.gain(i, j, r, t)
	if r, t = r/s.binsPerNode, t/s.binsPerNode; s.nodes != nil && r != t {
		g += nodeWeight * s.nodes.gain(i, j, r, t)
	}
	return g
}

// parted is how many more items lie beside one of their kind after an exchange.
func (s *search) parted(i, j int) int {
	if s.twins == nil {
		return 0
	}
	r, t := s.twins[int(s.bin[i])*s.kinds:], s.twins[int(s.bin[j])*s.kinds:]
	a, b := s.kind[i], s.kind[j]
	n := 0
	if t[a] > 0 {
		n++
	}
	if r[b] > 0 {
		n++
	}
	if r[a] > 1 {
		n--
	}
	if t[b] > 1 {
		n--
	}
	return n
}

// swap exchanges items i and j of different bins and kinds.
func (s *search) swap(i, j int) {
	r, t := int(s.bin[i]), int(s.bin[j])
	if s.twins != nil {
		s.doubles += s.parted(i, j)
		a, b := int(s.kind[i]), int(s.kind[j])
		s.twins[r*s.kinds+a]--
		s.twins[t*s.kinds+a]++
		s.twins[t*s.kinds+b]--
		s.twins[r*s.kinds+b]++
	}
	if s.ranks != nil {
		s.ranks.exchange(i, j, r, t)
	}
	if a, b := r/s.binsPerNode, t/s.binsPerNode; s.nodes != nil && a != b {
		s.nodes.exchange(i, j, a, b)
	}
	if s.crowds != nil {
		s.crowd += s.crowds.gain(i, j, r, t)
		s.crowds.exchange(i, j, r, t)
	}
	d := s.load[i] - s.load[j]
	s.sums[r] -= d
	s.sums[t] += d
	s.bin[i], s.bin[j] = int32(t), int32(r)
	s.place[i], s.place[j] = s.place[j], s.place[i]
	s.at[t*s.per+int(s.place[i])] = int32(i)
	s.at[r*s.per+int(s.place[j])] = int32(j)
	s.top.of(s.sums)
	s.excess = s.over(s.top.value[0], s.crowd)
}

// next is a random number below n (splitmix64).
func (s *search) next(n int) int {
	s.random += 0x9e3779b97f4a7c15
	z := s.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return int((z >> 32) * uint64(n) >> 32)
}

// propose draws two items of different bins that may change places.
func (s *search) propose() (i, j int) {
	i = s.next(s.items)
	first, bins := 0, s.bins
	if s.stay {
		bins = s.binsPerNode
		first = int(s.bin[i]) / bins * bins
	}
	b := first + s.next(bins-1)
	if b >= int(s.bin[i]) {
		b++
	}
	return i, int(s.at[b*s.per+s.next(s.per)])
}
