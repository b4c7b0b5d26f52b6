package runner

import (
	"cmp"
	"slices"

	"quern/gemm"
	"quern/internal/vec"
)

// queryBlock is how many queries are scored at once: enough for the multiplication (a
// multiple of the rows of its tiles), few enough that the causal half that is computed in
// vain stays small.
const queryBlock = 96

// blocks are the rows of segments, some at a time; room is for the scores of any of them.
type blocks struct {
	all  []queryRows
	room int
}

// queryRows are rows of a segment.
type queryRows struct{ seg, first, n int }

// blocksOf divides segments of texts of at most so many tokens. The costly ones, which see
// most, come first, so that the workers end together.
func (p *pass) blocksOf(segs []segment, longest int) blocks {
	step := min(max(p.room/(p.workers*longest), 1), queryBlock)
	b := blocks{room: step * longest}
	for i := range segs {
		for first := 0; first < segs[i].n; first += step {
			b.all = append(b.all, queryRows{i, first, min(step, segs[i].n-first)})
		}
	}
	slices.SortStableFunc(b.all, func(x, y queryRows) int {
		return cmp.Compare(segs[y.seg].pos+y.first, segs[x.seg].pos+x.first)
	})
	return b
}

// attended are keys and values of one head, position by position, so many numbers apart.
type attended struct {
	keys   []float32
	ldk    int
	values []float32
	ldv    int
	finite bool // all values are
}

// heads computes attention of single heads, by whatever block. Queries come with the
// factor of scores.
type heads struct {
	size, valueSize int
	window, chunk   int    // 0: none
	keys            chosen // of the rows of the batch, within what window and chunk leave
}

// from is the first position that position pos sees.
func (h *heads) from(pos int) int {
	switch {
	case h.window > 0:
		return max(0, pos-h.window+1)
	case h.chunk > 0:
		return pos - pos%h.chunk
	}
	return 0
}

func sinkOf(sinks []float32, h int) []float32 {
	if sinks == nil {
		return nil
	}
	return sinks[h:]
}

// softmax makes weights of scores.
func softmax(x, sink []float32) {
	if sink != nil {
		vec.SoftmaxSink(x, sink[0])
		return
	}
	vec.Softmax(x)
}

// block computes one head for rows of a segment. Rows of q and out, which begin with the
// first of them, are ldq and ldo apart.
func (h *heads) block(out []float32, ldo int, q []float32, ldq int, kv attended, s *segment, b *queryRows, scores, sink []float32) {
	one := gemm.Options{Workers: 1}
	pos, n := s.pos+b.first, b.n
	from := h.from(pos)
	width := pos + n - from
	sc := scores[:n*width]
	k := gemm.Floats(kv.keys[from*kv.ldk:], width, h.size, kv.ldk, false)
	gemm.Mul(sc, width, q, ldq, n, &k, one)
	for r := range n {
		row := sc[r*width:][:width]
		left, right := h.from(pos+r)-from, pos+r+1-from
		ids := h.keys.of(s.first + b.first + r)
		clear(row[:left])
		clear(row[right:])
		if ids != nil {
			among(row[left:right], ids, sink)
		} else {
			softmax(row[left:right], sink)
		}
		if !kv.finite {
			h.one(out[r*ldo:][:h.valueSize], row[left:right], kv.values[(from+left)*kv.ldv:], kv.ldv, ids)
		}
	}
	if kv.finite {
		v := gemm.Floats(kv.values[from*kv.ldv:], h.valueSize, width, kv.ldv, true)
		gemm.Mul(out, ldo, sc, width, n, &v, one)
	}
}

// one is the weighted sum of the values that a row sees, and of no others: the weight 0 of
// a value that is no number would make none of the row, too. The sums are those of rows
// together.
func (h *heads) one(out, weights, values []float32, ldv int, ids []int32) {
	if ids != nil {
		some, w := make([]float32, 0, len(ids)*h.valueSize), make([]float32, 0, len(ids))
		for _, id := range ids {
			some, w = append(some, values[int(id)*ldv:][:h.valueSize]...), append(w, weights[id])
		}
		weights, values, ldv = w, some, h.valueSize
	}
	v := gemm.Floats(values, h.valueSize, len(weights), ldv, true)
	gemm.Mul(out, h.valueSize, weights, len(weights), 1, &v, gemm.Options{Workers: 1})
}

// among makes weights of those scores that ids name in ascending order, and zeros of the
// others.
func among(row []float32, ids []int32, sink []float32) {
	for i, id := range ids {
		row[i] = row[id]
	}
	softmax(row[:len(ids)], sink)
	end := len(row)
	for i := len(ids) - 1; i >= 0; i-- {
		id := int(ids[i])
		row[id] = row[i]
		clear(row[id+1 : end])
		end = id
	}
	clear(row[:end])
}

// few computes the query heads that share a key head, for one row at position pos.
// The result depends on nothing but that row and what is cached before it.
func (h *heads) few(out, q, keys, values []float32, ldk, ldv, pos, n int, scores, sinks []float32) {
	from := h.from(pos)
	width := pos + 1 - from
	one := gemm.Options{Workers: 1}
	k := gemm.Floats(keys[from*ldk:], width, h.size, ldk, false)
	v := gemm.Floats(values[from*ldv:], h.valueSize, width, ldv, true)
	for first := 0; first < n; first += 8 {
		rows := min(8, n-first)
		sc := scores[first*width:][:rows*width]
		gemm.MulFew(sc, width, q[first*h.size:], h.size, rows, &k, one)
		for r := range rows {
			softmax(sc[r*width:][:width], sinkOf(sinks, first+r))
		}
		gemm.MulFew(out[first*h.valueSize:], h.valueSize, sc, width, rows, &v, one)
	}
}
