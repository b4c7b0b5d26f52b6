package evaluation

import (
	"context"
	"runtime"
	"sync"

	"quern/corpus"
	"quern/internal/vec"
	"quern/runner"
	"quern/verify/metrics"
)

// states are hidden states and the head that reads them.
type states struct {
	rows *runner.Rows
	head *runner.Head
	buf  []byte // a tile of the head
	tile *runner.Tile
	room []float32 // for states that lie in a file
	x    []float32 // states of a span
	out  []float32 // logits of a block of them
}

// heads turns hidden states into figures, a tile of the vocabulary and a block of rows
// at a time.
type heads struct {
	ctx   context.Context
	o     Options
	vocab int
}

const (
	blockRows = 256      // states that meet a tile at once
	mostTile  = 64 << 20 // bytes of a tile, and of the logits of a block
	leastTile = 4 << 20
)

func newHeads(ctx context.Context, o Options, vocab int) *heads {
	return &heads{ctx: ctx, o: o, vocab: vocab}
}

// tiles calls fn for every block of rows with the logits of every tile of all states: a
// span of rows after the other, and of these tile by tile; done is called behind each
// span. All states have as many rows.
//
// What lies in memory is one span, so that no weight is read twice. States that lie in
// files are read once: a span is what there is memory for, and heads that are larger than
// a tile are read again for each.
func (h *heads) tiles(ss []*states, fn func(first, n, id, width int), done func(first, n int) error) error {
	limit := min(max(h.o.free()/8, leastTile), mostTile)
	width, n := min(h.vocab, max(int(limit/(4*blockRows))/128*128, 128)), ss[0].rows.Len()
	for _, s := range ss {
		width = min(width, s.head.TileRows(limit))
	}
	span := h.span(ss)
	runtime.GC() // what the layers have left
	for first := 0; first < n; first += span {
		count := min(span, n-first)
		for _, s := range ss {
			if err := s.read(first, count, span); err != nil {
				return err
			}
		}
		for id := 0; id < h.vocab; id += width {
			if err := h.tile(ss, first, count, id, min(width, h.vocab-id), fn); err != nil {
				return err
			}
		}
		if err := done(first, count); err != nil {
			return err
		}
	}
	return nil
}

// span is how many rows meet the heads between two readings of these.
func (h *heads) span(ss []*states) int {
	n, per := ss[0].rows.Len(), int64(0)
	for _, s := range ss {
		if s.rows.Bytes() == 0 {
			per += 4 * int64(s.rows.Width())
		}
	}
	if per == 0 {
		return max(n, 1)
	}
	return min(max(int(h.o.free()/2/per), blockRows), max(n, 1))
}

// tile runs n ids from id on over rows of a span.
func (h *heads) tile(ss []*states, from, count, id, n int, fn func(first, n, id, width int)) error {
	var err error
	for _, s := range ss {
		if t := s.tile; t != nil && t.First == id && t.N == n {
			continue // of the span before
		}
		if s.tile, s.buf, err = s.head.Tile(id, n, s.buf); err != nil {
			return err
		}
	}
	for at := 0; at < count; at += blockRows {
		if err := h.ctx.Err(); err != nil {
			return err
		}
		rows := min(blockRows, count-at)
		for _, s := range ss {
			s.logits(at, rows, n)
		}
		fn(from+at, rows, id, n)
	}
	return nil
}

// read makes rows available, of spans of at most so many.
func (s *states) read(first, n, span int) (err error) {
	if s.rows.Bytes() == 0 && s.room == nil {
		s.room = make([]float32, span*s.rows.Width())
	}
	s.x, err = s.rows.View(first, n, s.room)
	return err
}

// logits computes a block.
func (s *states) logits(at, rows, width int) {
	if cap(s.out) < rows*width {
		s.out = make([]float32, rows*width)
	}
	s.out = s.out[:rows*width]
	d := s.rows.Width()
	s.tile.Logits(s.out, s.x[at*d:][:rows*d], rows)
}

// each divides n items among the workers.
func (h *heads) each(n int, fn func(i int)) {
	workers := min(h.o.workers(), n)
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() {
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				fn(i)
			}
		})
	}
	if n > 0 {
		for i := range n / workers {
			fn(i)
		}
	}
	wg.Wait()
}

// top is the largest logit of a row so far.
type top struct {
	id    int32
	value float32
}

func (t *top) add(logits []float32, first int) {
	if i, v := vec.ArgMax(logits); first == 0 || v > t.value {
		t.id, t.value = int32(first+i), v
	}
}

// compare scores rows, and finds the likeliest token of every row of both states.
func (h *heads) compare(ss [2]*states, rows []int, chunks []corpus.Chunk, starts []int) ([]metrics.Token, [2][]top, error) {
	n := ss[0].rows.Len()
	tops := [2][]top{make([]top, n), make([]top, n)}
	x := newScores[metrics.Row](rows, n, chunks, starts)
	tokens := make([]metrics.Token, 0, len(rows))
	err := h.tiles(ss[:], func(first, count, id, width int) {
		if id == 0 {
			x.begin(first, count, (*metrics.Row).Reset)
		}
		h.each(count, func(i int) {
			a, b := ss[0].out[i*width:][:width], ss[1].out[i*width:][:width]
			tops[0][first+i].add(a, id)
			tops[1][first+i].add(b, id)
			if r := x.of(first + i); r != nil {
				r.Add(a, b, id)
			}
		})
	}, func(int, int) error {
		return x.end(func(r *metrics.Row, chunk int) error {
			t, err := r.Score()
			t.Chunk = chunk
			tokens = append(tokens, t)
			return err
		})
	})
	return tokens, tops, err
}

// single is compare for one model.
func (h *heads) single(s *states, rows []int, chunks []corpus.Chunk, starts []int) ([]metrics.OneToken, []top, error) {
	n := s.rows.Len()
	tops := make([]top, n)
	x := newScores[metrics.One](rows, n, chunks, starts)
	tokens := make([]metrics.OneToken, 0, len(rows))
	err := h.tiles([]*states{s}, func(first, count, id, width int) {
		if id == 0 {
			x.begin(first, count, (*metrics.One).Reset)
		}
		h.each(count, func(i int) {
			a := s.out[i*width:][:width]
			tops[first+i].add(a, id)
			if r := x.of(first + i); r != nil {
				r.Add(a, id)
			}
		})
	}, func(int, int) error {
		return x.end(func(r *metrics.One, chunk int) error {
			t, err := r.Score()
			t.Chunk = chunk
			tokens = append(tokens, t)
			return err
		})
	})
	return tokens, tops, err
}

// targetsOf are the tokens that rows predict; that of a chunk's last row is −1.
func targetsOf(chunks []corpus.Chunk, starts []int) []int {
	out := make([]int, starts[len(chunks)])
	for i, c := range chunks {
		row := out[starts[i]:starts[i+1]]
		copy(row, c.IDs[1:])
		row[len(row)-1] = -1
	}
	return out
}

// drafts are the likeliest tokens by an MTP layer, for each of its rows.
func (h *heads) drafts(m *runner.Model, ev *runner.Evaluation) ([]top, error) {
	head, _ := m.MTPHead(h.o.runner("", nil))
	s := &states{rows: ev.MTP, head: head}
	tops := make([]top, ev.MTP.Len())
	err := h.tiles([]*states{s}, func(first, count, id, width int) {
		h.each(count, func(i int) { tops[first+i].add(s.out[i*width:][:width], id) })
	}, func(int, int) error { return nil })
	return tops, err
}

func guessesOf(ev *runner.Evaluation, drafts, main []top) (g Guesses) {
	for t := range ev.Texts {
		for i := range ev.MTPStarts[t+1] - ev.MTPStarts[t] {
			g.Draft = append(g.Draft, int(drafts[ev.MTPStarts[t]+i].id))
			g.Main = append(g.Main, int(main[ev.Starts[t]+i+1].id))
			g.Chunk = append(g.Chunk, t)
		}
	}
	return g
}
