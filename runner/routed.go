package runner

import (
	"slices"

	"quern/internal/vec"
)

// Names of what a block with experts keeps on the shelf, and of what waits there for
// multi-token prediction.
const (
	shelfInput = "input of experts"
	shelfSums  = "sums of experts"
	shelfKept  = "kept of experts" // what its residual rule keeps
	shelfEach  = "of every token"  // what every token gets, where experts have another width

	shelfEmbeddings = "embeddings"
	shelfHanded     = "what the last layer hands on"
)

// routed runs block j of a layer, which has experts: first what every token gets is
// put into sums, then experts by ascending number add their parts, so that what a row
// gets depends on nothing but the row.
func (w *walk) routed(l *layer, j int, x *experts, next *part) error {
	b, k, d := l.blocks[j], x.router.topK, w.m.hidden
	in, err := w.shelf.of(shelfInput, w.x.n, x.width(d))
	if err != nil {
		return err
	}
	sums, err := w.shelf.of(shelfSums, w.x.n, x.width(d))
	if err != nil {
		return err
	}
	kept, err := w.shelf.of(shelfKept, w.x.n, b.rule.keeps())
	if err != nil {
		return err
	}
	each := sums
	if x.latent != nil {
		if each, err = w.shelf.of(shelfEach, w.x.n, d); err != nil {
			return err
		}
	}
	if n := w.x.n * k; cap(w.ids) < n {
		w.ids, w.weighed = make([]int32, n), make([]float32, n)
	}
	c := choices{ids: w.ids[:w.x.n*k], weights: w.weighed[:w.x.n*k], k: k}
	err = w.pieces(w.chunks(), func(at *batch, rows []float32) error {
		keep := w.arena.floats(at.n * b.rule.keeps())
		h, y := w.fill(in, at), w.fill(each, at)
		if x.latent != nil {
			h = w.arena.floats(at.n * d)
		}
		if err := w.enter(l, j, at, h, rows, keep); err != nil {
			return err
		}
		if err := kept.put(at.first, keep); err != nil {
			return err
		}
		x.router.route(w.pass, c.of(at), h, at)
		if err := x.mix(w.pass, y, h, at); err != nil {
			return err
		}
		if err := each.put(at.first, y); err != nil {
			return err
		}
		if x.latent != nil {
			zero := w.fill(sums, at)
			clear(zero)
			if err := sums.put(at.first, zero); err != nil {
				return err
			}
			narrow := w.fill(in, at)
			x.latent.read(w.pass, narrow, h, at.n)
			h = narrow
		}
		return in.put(at.first, h)
	})
	if err != nil {
		return err
	}
	if err := w.spread(x, c, in, sums, next); err != nil {
		return err
	}
	return w.pieces(w.chunks(), func(at *batch, rows []float32) error {
		y, err := each.View(at.first, at.n, w.viewBuffer(each, at.n))
		if err != nil {
			return err
		}
		if x.latent != nil {
			sum, err := sums.View(at.first, at.n, w.viewBuffer(sums, at.n))
			if err != nil {
				return err
			}
			if err := w.weights.hold(b.behind); err != nil {
				return err
			}
			x.latent.give(w.pass, y, sum, at.n)
		}
		keep, err := kept.View(at.first, at.n, w.viewBuffer(kept, at.n))
		if err != nil {
			return err
		}
		return w.join(b, at, rows, y, keep)
	})
}

// fill is room for the rows of a batch that will be put into r: there, if r lies in
// memory.
func (w *walk) fill(r *Rows, at *batch) []float32 {
	if r.file == nil {
		return r.mem[at.first*r.width:][:at.n*r.width]
	}
	return w.arena.floats(at.n * r.width)
}

// choices are the experts that rows chose, k each, with their weights.
type choices struct {
	ids     []int32
	weights []float32
	k       int
}

// of are those of a batch.
func (c choices) of(b *batch) choices {
	return choices{c.ids[b.first*c.k:][:b.n*c.k], c.weights[b.first*c.k:][:b.n*c.k], c.k}
}

// weight is that with which a row chose an expert. A table of experts by token may name
// one twice (DeepSeek-V4).
func (c choices) weight(row, expert int) float32 {
	w := float32(0)
	for i, id := range c.ids[row*c.k:][:c.k] {
		if id == int32(expert) {
			w += c.weights[row*c.k+i]
		}
	}
	return w
}

// again reports whether choice i names an expert that its row has named before.
func (c choices) again(i int) bool {
	return slices.Contains(c.ids[i/c.k*c.k:i], c.ids[i])
}

// rows lists the rows that chose each expert, in order.
func (c choices) rows(experts int) [][]int32 {
	count := make([]int, experts)
	for _, id := range c.ids {
		count[id]++
	}
	all := make([]int32, len(c.ids))
	out := make([][]int32, experts)
	for i, n := range count {
		out[i], all = all[:0:n], all[n:]
	}
	for i, id := range c.ids {
		if !c.again(i) {
			out[id] = append(out[id], int32(i/c.k))
		}
	}
	return out
}

// turn is an expert with rows that chose it, and where these are collected.
type turn struct {
	expert int
	rows   []int32
	at     int
}

// spread adds to sums what the chosen experts make of in. Many rows pass one expert
// after the other, each on all processors and with the next ones read meanwhile, unless
// experts are small; few rows as many at once as memory holds.
func (w *walk) spread(x *experts, c choices, in, sums *Rows, next *part) error {
	var turns []turn
	for e, rows := range c.rows(x.router.experts) {
		if len(rows) > 0 || w.everyExpert {
			turns = append(turns, turn{expert: e, rows: rows})
		}
	}
	parts := make([]*part, len(turns), len(turns)+1)
	for i, t := range turns {
		parts[i] = x.parts[t.expert]
	}
	if w.few && w.weights.fits(int64(len(turns))*x.parts[0].resident) {
		if err := w.weights.hold(parts...); err != nil {
			return err
		}
		w.weights.ahead(next)
		return w.together(x, turns, c, in, sums)
	}
	if w.pieced(x, turns, in, sums) {
		if err := w.weights.hold(parts...); err != nil {
			return err
		}
		w.weights.ahead(next)
		err := w.inPieces(x, turns, c, in, sums)
		for _, p := range parts {
			w.weights.release(p)
		}
		return err
	}
	parts = append(parts, next)
	w.weights.ahead(parts...)
	for i := 0; i < len(turns); {
		n := 1
		for n < min(readsAtOnce, len(turns)-i) && w.weights.fits(int64(n+1)*x.parts[0].resident) {
			n++
		}
		if err := w.weights.hold(parts[i : i+n]...); err != nil {
			return err
		}
		w.weights.ahead(parts[i+n:]...)
		for _, t := range turns[i : i+n] {
			if err := w.expert(x, t, c, in, sums); err != nil {
				return err
			}
			w.weights.release(x.parts[t.expert])
		}
		i += n
	}
	return nil
}

// expert gives an expert its turn, chunk by chunk.
func (w *walk) expert(x *experts, t turn, c choices, in, sums *Rows) error {
	if w.everyExpert && len(t.rows) < w.x.n {
		return w.everyRow(x, t.expert, c, in, sums)
	}
	for first := 0; first < len(t.rows); first += w.chunk {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		one := []turn{{expert: t.expert, rows: t.rows[first:min(first+w.chunk, len(t.rows))]}}
		if err := w.together(x, one, c, in, sums); err != nil {
			return err
		}
	}
	return nil
}

// together gives some experts their turns at once, and adds what they give in order.
func (w *walk) together(x *experts, turns []turn, c choices, in, sums *Rows) error {
	d, total := in.width, 0
	for i := range turns {
		turns[i].at = total
		total += len(turns[i].rows)
	}
	mark := w.arena.mark()
	defer w.arena.release(mark)
	h, y, weights := w.arena.floats(total*d), w.arena.floats(total*d), w.arena.floats(total)
	for _, t := range turns {
		if err := w.collect(h[t.at*d:], t.rows, in); err != nil {
			return err
		}
		for i, r := range t.rows {
			weight := c.weight(int(r), t.expert)
			if weights[t.at+i] = weight; x.onInput {
				vec.Scale(h[(t.at+i)*d:][:d], weight)
				weights[t.at+i] = 1
			}
		}
	}
	forward := func(p *pass, t *turn) {
		x.apply(p, t.expert, y[t.at*d:], h[t.at*d:], len(t.rows))
	}
	if len(turns) == 1 {
		w.place.first, w.place.tokens = 0, turns[0].rows
		forward(w.pass, &turns[0])
		w.place.tokens = nil
	} else {
		w.jobs(len(turns), 3*d*x.experts[0].inner/8, func(i, worker int) { forward(w.helper(worker), &turns[i]) })
	}
	for _, t := range turns {
		if err := w.scatter(sums, y[t.at*d:], t.rows, weights[t.at:]); err != nil {
			return err
		}
	}
	return nil
}

// everyRow applies an expert to all rows and keeps what those get that chose it.
func (w *walk) everyRow(x *experts, expert int, c choices, in, sums *Rows) error {
	return w.pieces(w.chunks(), func(at *batch, _ []float32) error {
		h, err := in.View(at.first, at.n, w.viewBuffer(in, at.n))
		if err != nil {
			return err
		}
		d := in.width
		weights := w.arena.floats(at.n)
		chosen := func(i int) bool { return slices.Contains(c.ids[(at.first+i)*c.k:][:c.k], int32(expert)) }
		if x.onInput {
			h = append(w.arena.floats(at.n * d)[:0], h...)
		}
		for i := range at.n {
			if weights[i] = 1; chosen(i) {
				weights[i] = c.weight(at.first+i, expert)
			}
			if x.onInput {
				vec.Scale(h[i*d:][:d], weights[i])
				weights[i] = 1
			}
		}
		y := w.arena.floats(at.n * d)
		x.apply(w.pass, expert, y, h, at.n)
		for i := range at.n {
			if !chosen(i) {
				continue
			}
			if err := w.scatter(sums, y[i*d:], []int32{int32(at.first + i)}, weights[i:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// collect copies rows of r.
func (w *walk) collect(dst []float32, rows []int32, r *Rows) error {
	if r.file == nil {
		w.each(len(rows), r.width, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				copy(dst[i*r.width:][:r.width], r.mem[int(rows[i])*r.width:])
			}
		})
		return nil
	}
	for i, row := range rows {
		if _, err := r.View(int(row), 1, dst[i*r.width:]); err != nil {
			return err
		}
	}
	return nil
}

// scatter adds y times weights to rows of r.
func (w *walk) scatter(r *Rows, y []float32, rows []int32, weights []float32) error {
	if r.file == nil {
		w.each(len(rows), r.width, func(first, n, _ int) {
			for i := first; i < first+n; i++ {
				vec.Axpy(r.mem[int(rows[i])*r.width:][:r.width], weights[i], y[i*r.width:][:r.width])
			}
		})
		return nil
	}
	mark := w.arena.mark()
	defer w.arena.release(mark)
	buf := w.arena.floats(r.width)
	for i, row := range rows {
		sum, err := r.View(int(row), 1, buf)
		if err != nil {
			return err
		}
		vec.Axpy(sum, weights[i], y[i*r.width:][:r.width])
		if err := r.put(int(row), sum); err != nil {
			return err
		}
	}
	return nil
}
