package runner

import (
	"slices"

	"quern/gemm"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/source"
)

// group are rows that pass attention together: whole texts.
type group struct {
	first, n int
	segs     []segment
}

// groups divides texts that begin at starts into groups of about limit rows.
func groups(starts []int, limit int) []group {
	var gs []group
	for i := range len(starts) - 1 {
		n := starts[i+1] - starts[i]
		if n == 0 {
			continue
		}
		if k := len(gs) - 1; k < 0 || gs[k].n+n > limit {
			gs = append(gs, group{first: starts[i]})
		}
		g := &gs[len(gs)-1]
		g.segs = append(g.segs, segment{first: g.n, n: n})
		g.n += n
	}
	return gs
}

// layers runs decoder layers one after the other over all rows of x. y is scratch of
// the same size.
func (e *evaluator) layers(ls []*layer, x, y *Rows, starts []int) error {
	longest := 0
	e.place = place{starts: starts}
	for i := range len(starts) - 1 {
		longest = max(longest, starts[i+1]-starts[i])
	}
	var next *unit
	for i, l := range ls {
		if next == nil {
			next = e.load.start(l.attentionUnit())
		}
		u := next
		next = nil
		if err := e.bag.add(u); err != nil {
			return err
		}
		second := e.ahead(l.secondUnit())
		if err := e.attention(l, x, starts, longest); err != nil {
			return err
		}
		if second == nil {
			second = e.load.start(l.secondUnit())
		}
		// The norm behind attention came with it and is still needed: the unit stays
		// until the layer is done, its matrices are given back by the next one.
		if err := e.bag.add(second); err != nil {
			return err
		}
		following := func() {
			if i+1 < len(ls) && next == nil {
				next = e.ahead(ls[i+1].attentionUnit())
			}
		}
		var err error
		if l.dense != nil {
			following()
			err = e.dense(l, x)
		} else {
			err = e.experts(l, x, y, following)
		}
		if err != nil {
			return err
		}
		if err := e.chunks(x, func(first, _ int, h []float32) error { return e.finite(l.index, starts, first, h) }); err != nil {
			return err
		}
		if e.hooks != nil && e.hooks.Done != nil {
			if err := e.hooks.Done(l.index, x); err != nil {
				return err
			}
		}
		for _, u := range []*unit{u, second} {
			e.bag.remove(u)
			e.load.drop(u)
		}
	}
	return nil
}

// ahead starts reading what is needed next, if there is room for it beside what is in
// use; else it returns nil.
func (e *evaluator) ahead(ms []*matrix, vs []*vector) *unit {
	if size(ms) > e.o.Memory/8 {
		return nil
	}
	return e.load.start(ms, vs)
}

// attentionUnit are the weights of the first block and of the norms.
func (l *layer) attentionUnit() ([]*matrix, []*vector) {
	return l.attn.matrices(), append(slices.Clone(l.attn.vectors()), l.inputNorm, l.postNorm)
}

// secondUnit are the weights of the second block that every token needs.
func (l *layer) secondUnit() ([]*matrix, []*vector) {
	if l.dense != nil {
		return l.dense.matrices(), l.dense.vectors()
	}
	return l.moe.common(), l.moe.vectors()
}

// attention adds the first block of a layer to x.
func (e *evaluator) attention(l *layer, x *Rows, starts []int, longest int) error {
	per := 4 * int64(l.attn.scratch()+2*e.m.hidden)
	limit := int(min(max(e.o.Memory/6/per, int64(longest)), 8192))
	for _, g := range groups(starts, limit) {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		mark := e.arena.mark()
		h := e.arena.floats(g.n * x.width)
		in, err := x.View(g.first, g.n, e.arena.floats(g.n*x.width))
		if err != nil {
			return err
		}
		if l.index < len(e.m.layers) {
			if err := e.hidden(l.index, g.first, in, g.n); err != nil {
				return err
			}
		}
		e.normalize(h, in, g.n, x.width, l.inputNorm, eps(e.m.cfg))
		out := e.arena.floats(g.n * x.width)
		e.place.first = g.first
		l.attn.forward(e.pass, out, h, g.n, g.segs)
		e.add(in, out, g.n, x.width)
		if err := x.put(g.first, in); err != nil {
			return err
		}
		e.arena.release(mark)
	}
	return nil
}

func (p *pass) add(x, y []float32, rows, width int) {
	p.each(rows, width, func(first, n, _ int) {
		vec.Add(x[first*width:][:n*width], y[first*width:][:n*width])
	})
}

// dense adds the second block of a layer without experts to x.
func (e *evaluator) dense(l *layer, x *Rows) error {
	return e.chunks(x, func(first, n int, in []float32) error {
		h, out := e.arena.floats(n*x.width), e.arena.floats(n*x.width)
		e.normalize(h, in, n, x.width, l.postNorm, eps(e.m.cfg))
		l.dense.forward(e.pass, out, h, n)
		e.add(in, out, n, x.width)
		return x.put(first, in)
	})
}

// experts adds the second block of a layer with experts to x: first what every token
// gets is put into y, then the experts, one at a time, add their part.
func (e *evaluator) experts(l *layer, x, y *Rows, following func()) error {
	k := l.moe.router.topK
	ids, weights := make([]int32, x.n*k), make([]float32, x.n*k)
	err := e.chunks(x, func(first, n int, in []float32) error {
		h, out := e.arena.floats(n*x.width), e.arena.floats(n*x.width)
		e.normalize(h, in, n, x.width, l.postNorm, eps(e.m.cfg))
		l.moe.route(e.pass, ids[first*k:][:n*k], weights[first*k:][:n*k], h, n, l.index, first)
		l.moe.always(e.pass, out, h, n, x.width)
		return y.put(first, out)
	})
	if err != nil {
		return err
	}
	tokens := tokensByExpert(ids, k, len(l.moe.experts))
	var hit []int
	for i, t := range tokens {
		if len(t) > 0 || e.o.AllExperts {
			hit = append(hit, i)
		}
	}
	var next *unit
	for i, id := range hit {
		f := l.moe.experts[id]
		if next == nil {
			next = e.load.start(f.matrices(), f.vectors())
		}
		u := next
		next = nil
		if err := e.bag.add(u); err != nil {
			return err
		}
		if i+1 < len(hit) {
			g := l.moe.experts[hit[i+1]]
			next = e.ahead(g.matrices(), g.vectors())
		} else {
			following()
		}
		if err := e.expert(l, f, id, tokens[id], ids, weights, x, y); err != nil {
			return err
		}
		e.bag.remove(u)
		e.load.drop(u)
	}
	return e.chunks(x, func(first, n int, in []float32) error {
		sum, err := y.View(first, n, e.viewBuffer(y, n))
		if err != nil {
			return err
		}
		e.add(in, sum, n, x.width)
		return x.put(first, in)
	})
}

// viewBuffer is the memory that a view of n rows needs, nil if it needs none.
func (e *evaluator) viewBuffer(r *Rows, n int) []float32 {
	if r.file == nil {
		return nil
	}
	return e.arena.floats(n * r.width)
}

// tokensByExpert lists the tokens that chose each expert, in order.
func tokensByExpert(ids []int32, k, experts int) [][]int32 {
	count := make([]int, experts)
	for _, id := range ids {
		count[id]++
	}
	all := make([]int32, len(ids))
	out := make([][]int32, experts)
	for i, n := range count {
		out[i], all = all[:0:n], all[n:]
	}
	for i, id := range ids {
		out[id] = append(out[id], int32(i/k))
	}
	return out
}

// expert adds one expert's part to y for the tokens that chose it.
func (e *evaluator) expert(l *layer, f *mlp, id int, tokens []int32, ids []int32, weights []float32, x, y *Rows) error {
	if e.o.AllExperts && len(tokens) < x.n {
		return e.everyToken(l, f, id, ids, weights, x, y)
	}
	k, width := l.moe.router.topK, x.width
	step := e.chunkRows()
	for len(tokens) > 0 {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		n := min(step, len(tokens))
		mark := e.arena.mark()
		h, out := e.arena.floats(n*width), e.arena.floats(n*width)
		if err := e.collect(h, tokens[:n], x); err != nil {
			return err
		}
		e.normalize(h, h, n, width, l.postNorm, eps(e.m.cfg))
		e.place.first, e.place.tokens = 0, tokens[:n]
		f.forward(e.pass, out, h, n)
		e.place.tokens = nil
		w := make([]float32, n)
		for i, t := range tokens[:n] {
			w[i] = weightOf(ids, weights, int(t), k, id)
		}
		if err := e.scatter(y, out, tokens[:n], w); err != nil {
			return err
		}
		e.arena.release(mark)
		tokens = tokens[n:]
	}
	return nil
}

// everyToken applies an expert to all tokens and keeps what those get that chose it.
func (e *evaluator) everyToken(l *layer, f *mlp, id int, ids []int32, weights []float32, x, y *Rows) error {
	k := l.moe.router.topK
	return e.chunks(x, func(first, n int, in []float32) error {
		h, out := e.arena.floats(n*x.width), e.arena.floats(n*x.width)
		e.normalize(h, in, n, x.width, l.postNorm, eps(e.m.cfg))
		f.forward(e.pass, out, h, n)
		for i := range n {
			t := first + i
			if !slices.Contains(ids[t*k:][:k], int32(id)) {
				continue
			}
			w := []float32{weightOf(ids, weights, t, k, id)}
			if err := e.scatter(y, out[i*x.width:][:x.width], []int32{int32(t)}, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// weightOf is the weight with which token t chose expert id.
func weightOf(ids []int32, weights []float32, t, k, id int) float32 {
	return weights[t*k+slices.Index(ids[t*k:][:k], int32(id))]
}

// collect copies the rows of tokens.
func (e *evaluator) collect(dst []float32, tokens []int32, x *Rows) error {
	if x.file == nil {
		e.each(len(tokens), x.width, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				copy(dst[i*x.width:][:x.width], x.mem[int(tokens[i])*x.width:])
			}
		})
		return nil
	}
	for i, t := range tokens {
		if _, err := x.View(int(t), 1, dst[i*x.width:]); err != nil {
			return err
		}
	}
	return nil
}

// scatter adds rows times their weights to the rows of tokens.
func (e *evaluator) scatter(y *Rows, rows []float32, tokens []int32, weights []float32) error {
	if y.file == nil {
		e.each(len(tokens), y.width, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				vec.Axpy(y.mem[int(tokens[i])*y.width:][:y.width], weights[i], rows[i*y.width:][:y.width])
			}
		})
		return nil
	}
	mark := e.arena.mark()
	defer e.arena.release(mark)
	buf := e.arena.floats(y.width)
	for i, t := range tokens {
		row, err := y.View(int(t), 1, buf)
		if err != nil {
			return err
		}
		vec.Axpy(row, weights[i], rows[i*y.width:][:y.width])
		if err := y.put(int(t), row); err != nil {
			return err
		}
	}
	return nil
}

// byID are the indexes of ids in ascending order of these.
func byID(ids []int) []int {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return ids[a] - ids[b] })
	return order
}

// row reads row i of a weight as float32; slab has room for its bytes.
func (m *matrix) row(files *source.Files, dst []float32, slab []byte, i int) error {
	w, err := m.load(files, slab, i, 1)
	if err != nil {
		return err
	}
	if err := widen(w); err != nil {
		return err
	}
	d := m.view.DType
	if w.Format == gemm.F32 {
		d = 0 // as widened
	}
	if !floats(dst, w.Data, w.Format) {
		return invalid.Errorf("tensor %q: dtype %s", m.name, d)
	}
	return nil
}
