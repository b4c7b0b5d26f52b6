package runner

import (
	"sync"

	"quern/internal/vec"
)

// Experts of a small model are no work for several processors: their products are over in
// less time than it takes to share them. So each worker takes some of the tokens instead,
// and gives them to all experts, one after the other. Nothing is waited for, and what an
// expert makes of its rows stays in the second-level cache.

const (
	piecedBytes = 4 << 20 // of experts that are in memory together: so little that no budget counts it
	piecedRows  = 128     // that an expert gets of a piece: each time its weights are packed anew
)

// pieced reports whether experts are given to pieces of the tokens.
func (w *walk) pieced(x *experts, turns []turn, in, sums *Rows) bool {
	if w.few || w.everyExpert || w.product.device != nil || in.file != nil || sums.file != nil {
		return false
	}
	if w.hooks != nil && w.hooks.Input != nil { // which has all rows of an expert at once
		return false
	}
	bytes, rows := int64(0), 0
	for _, t := range turns {
		bytes += x.parts[t.expert].resident
		rows += len(t.rows)
	}
	return bytes <= piecedBytes && rows >= 2*w.workers*piecedRows*len(turns)
}

// inPieces gives turns to pieces of the tokens. What a row gets is added by ascending
// expert, as everywhere.
func (w *walk) inPieces(x *experts, turns []turn, c choices, in, sums *Rows) error {
	rows := 0
	for _, t := range turns {
		rows += len(t.rows)
	}
	pieces := rows / (piecedRows * len(turns))
	pieces -= pieces % w.workers // all are done at the same time
	cuts := make([][]int, len(turns))
	for i, t := range turns {
		cuts[i] = make([]int, pieces+1)
		at := 0
		for p := range pieces {
			for at < len(t.rows) && int(t.rows[at]) < (p+1)*in.n/pieces {
				at++
			}
			cuts[i][p+1] = at
		}
	}
	var once sync.Once
	var err error
	w.jobs(pieces, rows/pieces*3*in.width*x.experts[0].inner, func(piece, worker int) {
		p := w.helper(worker)
		p.product.fast = w.product.fast
		for i, t := range turns {
			some := turn{expert: t.expert, rows: t.rows[cuts[i][piece]:cuts[i][piece+1]]}
			if e := w.ctx.Err(); e != nil {
				once.Do(func() { err = e })
				return
			}
			x.serve(p, some, c, in, sums)
		}
	})
	return err
}

// serve gives an expert its rows, which lie in memory.
func (x *experts) serve(p *pass, t turn, c choices, in, sums *Rows) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	d := in.width
	h, y := p.arena.floats(len(t.rows)*d), p.arena.floats(len(t.rows)*d)
	for i, r := range t.rows {
		copy(h[i*d:][:d], in.mem[int(r)*d:])
		if x.onInput {
			vec.Scale(h[i*d:][:d], c.weight(int(r), t.expert))
		}
	}
	x.apply(p, t.expert, y, h, len(t.rows))
	for i, r := range t.rows {
		weight := float32(1)
		if !x.onInput {
			weight = c.weight(int(r), t.expert)
		}
		vec.Axpy(sums.mem[int(r)*d:][:d], weight, y[i*d:][:d])
	}
}
