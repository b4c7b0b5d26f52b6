package placement

// seed begins the random numbers of every search.
const seed = 0x71756572_6e303037

// best remembers the best state that a search has met.
type best struct {
	bin     []int32
	doubles int
	gain    int64 // since the start
}

// keep takes a state within the limits that is better.
func (b *best) keep(s *search, gain int64) {
	if s.excess > 0 || b.bin != nil && (s.doubles > b.doubles || s.doubles == b.doubles && gain <= b.gain) {
		return
	}
	b.bin, b.doubles, b.gain = append(b.bin[:0], s.bin...), s.doubles, gain
}

// The search's settings, found by trial on traces of tinyseek and on made-up ones of
// DeepSeek-V3's form: more of anything gained less than the noise.
const (
	proposalsPerItem = 800
	leastProposals   = 20_000
	mostProposals    = 400_000
	rounds           = 2      // times that the threshold falls from its height to zero
	height           = 0.3    // of the threshold, in typical gains
	fallen           = 0.95   // share of a round after which it is zero
	firstPrice       = 0.1    // of an excess of 1, in the sum of all affinities
	priceEvery       = 64     // proposals after which it is set anew
	priceStep        = 1.25   // by this factor
	lowPrice         = 1e-3   // never below this,
	highPrice        = 1000.0 // nor above this
)

// anneal looks for the greatest affinity within the limits. The price of an excess
// rises while the state is beyond the limits and falls while it is within, so that
// the search stays near the border, where the best states are. It ends in the best
// state that it met within the limits, or, if it met none, where it is.
func (s *search) anneal() {
	var b best
	gain := int64(0)
	b.keep(s, gain)
	s.part()
	b.keep(s, gain)
	n := min(max(proposalsPerItem*s.items, leastProposals), mostProposals) / rounds
	top := s.typical() * height
	total := float64(s.together.total())
	for range rounds {
		price := firstPrice
		for step := range n {
			left := max(0, 1-float64(step)/(fallen*float64(n)))
			threshold := float64(top * left * left)
			if step%priceEvery == 0 {
				if s.excess > 0 {
					price = min(price*priceStep, highPrice)
				} else {
					price = max(price/priceStep, lowPrice)
				}
			}
			i, j := s.propose()
			if s.kind[i] == s.kind[j] {
				continue
			}
			g := s.gain(i, j)
			cost := -float64(g) - threshold
			if cost > float64(price*total*s.excess) || s.parted(i, j) > 0 {
				continue
			}
			if e := s.swapped(i, j); cost > float64(price*total*(s.excess-e)) {
				continue
			}
			s.swap(i, j)
			gain += g
			b.keep(s, gain)
		}
	}
	if b.bin != nil {
		s.start(b.bin)
	}
}

// typical is the mean size of a gain, of exchanges drawn at random.
func (s *search) typical() float64 {
	const draws = 256
	var sum float64
	for range draws {
		i, j := s.propose()
		g := float64(s.gain(i, j))
		sum += max(g, -g)
	}
	return sum / draws
}

// levelWork bounds the exchanges that level looks at.
const levelWork = 1 << 27

// level evens the loads out: as long as it helps, it exchanges an item of the
// fullest bin for the one that leaves the fuller of the two bins least full.
func (s *search) level() {
	for range levelWork / (s.per * s.items) {
		r := s.top.bin[0]
		bi, bj, low := -1, -1, s.sums[r]
		first, end := 0, s.bins
		if s.stay {
			first = int(r) / s.binsPerNode * s.binsPerNode
			end = first + s.binsPerNode
		}
		for _, i := range s.at[int(r)*s.per : (int(r)+1)*s.per] {
			for _, j := range s.at[first*s.per : end*s.per] {
				t := s.bin[j]
				if t == r || s.kind[i] == s.kind[j] {
					continue
				}
				d := s.load[i] - s.load[j]
				if x := max(s.sums[r]-d, s.sums[t]+d); x < low && s.parted(int(i), int(j)) <= 0 {
					bi, bj, low = int(i), int(j), x
				}
			}
		}
		if bi < 0 {
			return
		}
		s.swap(bi, bj)
	}
}

// part moves items of one kind that lie in one bin apart, at the least cost in
// balance.
func (s *search) part() {
	for i := 0; i < s.items && s.doubles > 0; i++ {
		if s.twins == nil || s.twins[int(s.bin[i])*s.kinds+int(s.kind[i])] < 2 {
			continue
		}
		bj, low := -1, 0.0
		for j := range s.items {
			if s.bin[i] == s.bin[j] || s.kind[i] == s.kind[j] || s.stay && int(s.bin[i])/s.binsPerNode != int(s.bin[j])/s.binsPerNode {
				continue
			}
			if s.parted(i, j) >= 0 {
				continue
			}
			if e := s.swapped(i, j); bj < 0 || e < low {
				bj, low = j, e
			}
		}
		if bj >= 0 {
			s.swap(i, bj)
		}
	}
}
