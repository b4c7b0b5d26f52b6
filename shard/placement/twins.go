package placement

// partTwins gives slots whose expert lies on the same rank already to other experts
// of the node: each to the one that leaves the fullest rank least full, of those the
// one with the least share of load, then the lowest. The search holds the loads of the
// ranks under phy2log.
func (s *search) partTwins(phy2log []int, load []float64, g geometry) []int {
	out := append([]int(nil), phy2log...)
	mean := sum(load) / float64(g.ranks)
	on := make([][]int, g.experts) // the ranks of each expert, one for each replica
	for slot, e := range out {
		on[e] = append(on[e], slot/s.per)
	}
	home := s.homes(out, g)
	sums := make([]float64, g.ranks)
	for slot, e := range out {
		rank := slot / s.per
		if count(on[e], rank) < 2 {
			continue
		}
		best, low, least := -1, 0.0, 0.0
		for f := range on {
			if home[f] >= 0 && home[f] != home[e] || count(on[f], rank) > 0 {
				continue
			}
			copy(sums, s.sums)
			reload(sums, on[e], load[e]/mean, without(on[e], rank))
			reload(sums, on[f], load[f]/mean, append(on[f][:len(on[f]):len(on[f])], rank))
			most, share := 0.0, load[f]/float64(len(on[f])+1)
			for _, x := range sums {
				most = max(most, x)
			}
			if best < 0 || most < low || most == low && share < least {
				best, low, least = f, most, share
			}
		}
		if best < 0 {
			continue // the node has no other expert
		}
		rest, more := without(on[e], rank), append(on[best][:len(on[best]):len(on[best])], rank)
		reload(s.sums, on[e], load[e]/mean, rest)
		reload(s.sums, on[best], load[best]/mean, more)
		on[e], on[best], out[slot] = rest, more, best
	}
	return out
}

// homes is the node that an expert may not leave, −1 where it may go anywhere.
func (s *search) homes(phy2log []int, g geometry) []int {
	out := make([]int, g.experts)
	for slot, e := range phy2log {
		out[e] = -1
		if s.stay {
			out[e] = slot / (g.slots / g.nodes)
		}
	}
	return out
}

// reload moves the load of an expert from some ranks to others.
func reload(sums []float64, from []int, load float64, to []int) {
	for _, r := range from {
		sums[r] -= load / float64(len(from))
	}
	for _, r := range to {
		sums[r] += load / float64(len(to))
	}
}

// without is the list less one x.
func without(list []int, x int) []int {
	out := make([]int, 0, len(list))
	gone := false
	for _, y := range list {
		if y == x && !gone {
			gone = true
			continue
		}
		out = append(out, y)
	}
	return out
}

func count(list []int, x int) int {
	n := 0
	for _, y := range list {
		if y == x {
			n++
		}
	}
	return n
}
