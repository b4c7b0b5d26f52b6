package evaluation

import "quern/corpus"

// scores are the rows of a span that are scored, each with what has been seen of its
// logits.
type scores[R any] struct {
	rows    []int   // of all, in order
	at      []int32 // numbers in rows; −1: not scored
	targets []int
	chunks  []corpus.Chunk
	in      []int32 // chunks of rows
	starts  []int
	first   int // of the span
	state   []R
}

func newScores[R any](rows []int, n int, chunks []corpus.Chunk, starts []int) *scores[R] {
	x := &scores[R]{rows: rows, at: make([]int32, n), targets: targetsOf(chunks, starts), chunks: chunks, starts: starts}
	for i := range x.at {
		x.at[i] = -1
	}
	for i, r := range rows {
		x.at[r] = int32(i)
	}
	for i, c := range chunks {
		for range max(c.To-c.From, 0) {
			x.in = append(x.in, int32(i))
		}
	}
	return x
}

// begin readies rows for their logits.
func (x *scores[R]) begin(first, n int, reset func(r *R, target int)) {
	for i := first; i < first+n; i++ {
		if x.at[i] < 0 {
			continue
		}
		k := len(x.state)
		if k < cap(x.state) {
			x.state = x.state[:k+1]
		} else {
			x.state = append(x.state, *new(R))
		}
		reset(&x.state[k], x.targets[i])
	}
}

// of is the state of a row, nil where that is not scored.
func (x *scores[R]) of(row int) *R {
	if x.at[row] < 0 {
		return nil
	}
	return &x.state[int(x.at[row])-x.first]
}

// end takes the scores of a span, in order.
func (x *scores[R]) end(score func(r *R, chunk int) error) error {
	for i := range x.state {
		j := x.first + i
		if err := score(&x.state[i], int(x.in[j])); err != nil {
			return blame(err, x.chunks, x.starts, x.rows[j])
		}
	}
	x.first += len(x.state)
	x.state = x.state[:0]
	return nil
}
