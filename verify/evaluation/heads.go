package evaluation

import (
	"context"
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
	x    []float32 // a block of states
	out  []float32 // its logits
}

// heads turns hidden states into figures, a tile of the vocabulary and a block of rows
// at a time.
type heads struct {
	ctx   context.Context
	o     Options
	vocab int
}

// blockRows is how many states meet a tile at once.
const blockRows = 256

func newHeads(ctx context.Context, o Options, vocab int) *heads {
	return &heads{ctx: ctx, o: o, vocab: vocab}
}

// tiles calls fn for every block of rows with the logits of every tile of all states,
// tile by tile. All states have as many rows.
func (h *heads) tiles(ss []*states, fn func(first, n, id, width int)) error {
	limit := h.o.Memory / 8
	if limit <= 0 {
		limit = 64 << 20
	}
	limit = min(limit, 64<<20)
	width := h.vocab
	for _, s := range ss {
		width = min(width, s.head.TileRows(limit))
	}
	for id := 0; id < h.vocab; id += width {
		n := min(width, h.vocab-id)
		var err error
		for _, s := range ss {
			if s.tile, s.buf, err = s.head.Tile(id, n, s.buf); err != nil {
				return err
			}
		}
		for first := 0; first < ss[0].rows.Len(); first += blockRows {
			if err := h.ctx.Err(); err != nil {
				return err
			}
			rows := min(blockRows, ss[0].rows.Len()-first)
			for _, s := range ss {
				if err := s.logits(first, rows, n); err != nil {
					return err
				}
			}
			fn(first, rows, id, n)
		}
	}
	return nil
}

// logits computes a block.
func (s *states) logits(first, rows, width int) error {
	if s.x == nil {
		s.x = make([]float32, blockRows*s.rows.Width())
	}
	if cap(s.out) < blockRows*width {
		s.out = make([]float32, blockRows*width)
	}
	x, err := s.rows.View(first, rows, s.x)
	if err != nil {
		return err
	}
	s.out = s.out[:rows*width]
	s.tile.Logits(s.out, x, rows)
	return nil
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
	at := scoredAt(rows, n)
	targets := targetsOf(chunks, starts)
	state := make([]metrics.Row, len(rows))
	for i, r := range rows {
		state[i].Reset(targets[r])
	}
	err := h.tiles(ss[:], func(first, count, id, width int) {
		h.each(count, func(i int) {
			a, b := ss[0].out[i*width:][:width], ss[1].out[i*width:][:width]
			tops[0][first+i].add(a, id)
			tops[1][first+i].add(b, id)
			if j := at[first+i]; j >= 0 {
				state[j].Add(a, b, id)
			}
		})
	})
	if err != nil {
		return nil, tops, err
	}
	tokens := make([]metrics.Token, len(rows))
	in := chunksOf(chunks)
	for i := range state {
		if tokens[i], err = state[i].Score(); err != nil {
			return nil, tops, blame(err, chunks, starts, rows[i])
		}
		tokens[i].Chunk = in[i]
	}
	return tokens, tops, nil
}

// single is compare for one model.
func (h *heads) single(s *states, rows []int, chunks []corpus.Chunk, starts []int) ([]metrics.OneToken, []top, error) {
	n := s.rows.Len()
	tops := make([]top, n)
	at := scoredAt(rows, n)
	targets := targetsOf(chunks, starts)
	state := make([]metrics.One, len(rows))
	for i, r := range rows {
		state[i].Reset(targets[r])
	}
	err := h.tiles([]*states{s}, func(first, count, id, width int) {
		h.each(count, func(i int) {
			a := s.out[i*width:][:width]
			tops[first+i].add(a, id)
			if j := at[first+i]; j >= 0 {
				state[j].Add(a, id)
			}
		})
	})
	if err != nil {
		return nil, nil, err
	}
	tokens := make([]metrics.OneToken, len(rows))
	in := chunksOf(chunks)
	for i := range state {
		if tokens[i], err = state[i].Score(); err != nil {
			return nil, nil, blame(err, chunks, starts, rows[i])
		}
		tokens[i].Chunk = in[i]
	}
	return tokens, tops, nil
}

// chunksOf are, for each scored row, the number of its chunk.
func chunksOf(chunks []corpus.Chunk) []int {
	var in []int
	for i, c := range chunks {
		for range max(c.To-c.From, 0) {
			in = append(in, i)
		}
	}
	return in
}

// scoredAt is the inverse of rows: −1 for rows that are not scored.
func scoredAt(rows []int, n int) []int32 {
	at := make([]int32, n)
	for i := range at {
		at[i] = -1
	}
	for i, r := range rows {
		at[r] = int32(i)
	}
	return at
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
	})
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
