package tokenizer

// candidate is a merge that was possible when it was put into the heap.
type candidate struct {
	rank uint32
	pos  int32 // of its left symbol
	id   uint32
}

func (a candidate) before(b candidate) bool {
	return a.rank < b.rank || a.rank == b.rank && a.pos < b.pos
}

// mergeLong merges in a linked list, with a heap of candidates: n log n steps for n
// bytes. A candidate that no longer holds is skipped when its turn comes.
func (m *bpe) mergeLong(syms []link, work *scratch) {
	h := work.heap[:0]
	for i := range syms {
		if syms[i].rank != none {
			h = append(h, candidate{syms[i].rank, int32(i), syms[i].merged})
		}
	}
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	for len(h) > 0 {
		c := h.pop()
		s := &syms[c.pos]
		if s.next == gone || s.rank != c.rank || s.merged != c.id {
			continue
		}
		right := &syms[s.next]
		s.id, s.next = c.id, right.next
		right.next = gone
		if s.next >= 0 {
			syms[s.next].prev = c.pos
		}
		if m.look(syms, c.pos) {
			h.push(candidate{s.rank, c.pos, s.merged})
		}
		if s.prev >= 0 && m.look(syms, s.prev) {
			h.push(candidate{syms[s.prev].rank, s.prev, syms[s.prev].merged})
		}
	}
	work.heap = h
}

// heap is a binary heap, the first candidate on top.
type heap []candidate

func (h *heap) push(c candidate) {
	*h = append(*h, c)
	x := *h
	i := len(x) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.before(x[up]) {
			break
		}
		x[i] = x[up]
		i = up
	}
	x[i] = c
}

func (h *heap) pop() candidate {
	x := *h
	top := x[0]
	x[0] = x[len(x)-1]
	*h = x[:len(x)-1]
	if len(*h) > 0 {
		h.down(0)
	}
	return top
}

func (h heap) down(i int) {
	c := h[i]
	for {
		k := 2*i + 1
		if k >= len(h) {
			break
		}
		if k+1 < len(h) && h[k+1].before(h[k]) {
			k++
		}
		if !h[k].before(c) {
			break
		}
		h[i] = h[k]
		i = k
	}
	h[i] = c
}
