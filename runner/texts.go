package runner

import (
	"fmt"
	"slices"

	"quern/internal/invalid"
	"quern/internal/vec"
)

// chunkRows is how many rows pass a feed-forward block at once.
func (e *evaluator) chunkRows() int {
	c := e.m.cfg
	inner := max(c.ExpertSize(), c.SharedSize(), c.IntermediateSize)
	return min(max(e.budget.rows(5*e.m.hidden+2*e.m.Width()+4*inner), 64), 4096)
}

// groups are whole texts of about as many rows as there is memory for, and pieces of those
// that are longer.
func (e *evaluator) groups(scratch int) []group {
	return groupsOf(e.starts, min(e.budget.rows(scratch+3*e.m.hidden+2*e.x.width), mostRows))
}

const (
	mostRows = 8192 // that pass a text mixer together
	// pieceRows divides the rows of a piece, so that recurrent layers cut a text into the
	// same chunks (runner/recur) whatever the pieces are.
	pieceRows = 64
)

// groupsOf divides texts that begin at starts into groups of about limit rows.
func groupsOf(starts []int, limit int) []group {
	var gs []group
	limit = max(limit/pieceRows, 1) * pieceRows
	for i := range len(starts) - 1 {
		n := starts[i+1] - starts[i]
		if n == 0 {
			continue
		}
		if n > limit {
			gs = append(gs, piecesOf(starts[i], n, limit)...)
			continue
		}
		if k := len(gs) - 1; k < 0 || gs[k].last || gs[k].n+n > limit {
			gs = append(gs, group{first: starts[i]})
		}
		g := &gs[len(gs)-1]
		g.segs = append(g.segs, segment{first: g.n, n: n})
		g.n += n
	}
	return gs
}

// piecesOf divides a text of n rows that begins at row first. What a mixer keeps of it lies
// in a memory until the last piece is done.
func piecesOf(first, n, limit int) []group {
	gs, m := chunksOf(n, limit), newMemory()
	for i := range gs {
		g := &gs[i]
		g.segs = []segment{{n: g.n, pos: g.first, memory: m, known: n, piece: true}}
		g.first += first
		g.last = i == len(gs)-1
	}
	return gs
}

// finite refuses states that are no numbers.
func (e *evaluator) finite(layer, first int, x []float32) error {
	i := vec.FirstNonFinite(x)
	if i < 0 {
		return nil
	}
	width := e.x.width
	text, position := e.place.of(i / width)
	return invalid.Errorf("%q: layer %d gives %v for text %d, position %d, channel %d: the model computes no number there", e.m.c.Path, layer, x[i], text, position, i%width)
}

// gather reads the embeddings of the tokens into rows of x, each row of the table once.
func (e *evaluator) gather(x *Rows, table *matrix) error {
	ids := e.tokens
	order := byID(ids)
	slab := make([]byte, table.bytes()/int64(table.out))
	row, wide := make([]float32, table.in), make([]float32, x.width)
	for i, at := range order {
		if i == 0 || ids[at] != ids[order[i-1]] {
			if err := table.row(e.m.files, row, slab, ids[at]); err != nil {
				return fmt.Errorf("embedding of token %d: %w", ids[at], err)
			}
			e.m.factors.embed(row)
			e.load.count(int64(len(slab)))
			if x.width == len(row) {
				wide = row
			} else {
				e.m.frame.expand(e.pass, wide, row, 1)
			}
		}
		if err := x.put(at, wide); err != nil {
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
