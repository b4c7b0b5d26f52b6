package placement

import "math/bits"

// falling returns the indices of w by falling weight, equals in the order in which
// PyTorch's tensor.sort(descending=True) leaves them on a CPU. That is no stable
// sort, and EPLB's replicas of one expert are equals, so their order in log2phy is
// that of this very algorithm: the introsort of GNU's C++ library (Musser 1997, with
// the median of the second, middle and last element as pivot, a limit of 2·log₂ n
// levels before it turns to heapsort, and insertion for runs of up to 16).
func falling(w []float32) []int {
	s := &introsort{w: w, at: make([]int, len(w))}
	for i := range s.at {
		s.at[i] = i
	}
	if n := len(w); n > 1 {
		s.quick(0, n, 2*(bits.Len(uint(n))-1))
		s.insert(0, min(n, smallRun))
		for i := smallRun; i < n; i++ {
			s.sink(i)
		}
	}
	return s.at
}

// smallRun is the length up to which runs are left to insertion.
const smallRun = 16

// introsort sorts at, indices of w.
type introsort struct {
	w  []float32
	at []int
}

// before reports whether item a belongs before item b; neither before the other are
// equals.
func (s *introsort) before(a, b int) bool { return s.w[a] > s.w[b] }

// quick divides [first, last) until the parts are small; those before a part hold
// nothing that belongs behind it.
func (s *introsort) quick(first, last, levels int) {
	for last-first > smallRun {
		if levels == 0 {
			s.heap(first, last)
			return
		}
		levels--
		cut := s.divide(first, last)
		s.quick(cut, last, levels)
		last = cut
	}
}

// divide moves the median of three to the front as pivot and divides the others.
func (s *introsort) divide(first, last int) int {
	at := s.at
	m := s.median(first+1, first+(last-first)/2, last-1)
	at[first], at[m] = at[m], at[first]
	pivot := at[first]
	i, j := first+1, last
	for {
		for s.before(at[i], pivot) {
			i++
		}
		for j--; s.before(pivot, at[j]); j-- {
		}
		if i >= j {
			return i
		}
		at[i], at[j] = at[j], at[i]
		i++
	}
}

// median is which of three places holds the middle item, with GNU's choice between
// equals.
func (s *introsort) median(a, b, c int) int {
	x, y, z := s.at[a], s.at[b], s.at[c]
	if s.before(x, y) {
		switch {
		case s.before(y, z):
			return b
		case s.before(x, z):
			return c
		}
		return a
	}
	switch {
	case s.before(x, z):
		return a
	case s.before(y, z):
		return c
	}
	return b
}

// insert sorts [first, last) by insertion.
func (s *introsort) insert(first, last int) {
	for i := first + 1; i < last; i++ {
		x := s.at[i]
		if s.before(x, s.at[first]) {
			copy(s.at[first+1:i+1], s.at[first:i])
			s.at[first] = x
			continue
		}
		s.sink(i)
	}
}

// sink moves the item at i forward to where it belongs; something before it does not
// belong behind it.
func (s *introsort) sink(i int) {
	x := s.at[i]
	for ; s.before(x, s.at[i-1]); i-- {
		s.at[i] = s.at[i-1]
	}
	s.at[i] = x
}

// heap sorts [first, last) by a heap.
func (s *introsort) heap(first, last int) {
	at := s.at[first:last]
	n := len(at)
	for top := (n - 2) / 2; top >= 0; top-- {
		s.settle(at, top, at[top])
	}
	for n--; n > 0; n-- {
		x := at[n]
		at[n] = at[0]
		s.settle(at[:n], 0, x)
	}
}

// settle puts x into the heap below the hole at top: the hole sinks to a leaf, then x
// rises from there.
func (s *introsort) settle(at []int, top, x int) {
	n, hole := len(at), top
	for hole < (n-1)/2 {
		child := 2*hole + 2
		if s.before(at[child], at[child-1]) {
			child--
		}
		at[hole] = at[child]
		hole = child
	}
	if n%2 == 0 && hole == (n-2)/2 {
		at[hole] = at[2*hole+1]
		hole = 2*hole + 1
	}
	for hole > top {
		parent := (hole - 1) / 2
		if !s.before(at[parent], x) {
			break
		}
		at[hole] = at[parent]
		hole = parent
	}
	at[hole] = x
}
