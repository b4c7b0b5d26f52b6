package runner

import (
	"slices"

	"quern/runner/sparse"
)

// poolState is what is kept of a text where every so many tokens become one entry: the
// entries, and the tokens that wait for theirs. It is taken back by running again what came
// since the mark.
type poolState struct {
	pool       sparse.Pool
	entries    []float32
	now        sparse.Pending
	marked     *sparse.Pending // nil before the first mark
	kv, gate   []float32       // since the mark
	at, tokens int             // at the mark, and now
}

// push adds rows, the last of which is token n of the text.
func (s *poolState) push(p *sparse.Pool, kv, gate []float32, n int) {
	if s.pool.Size == 0 {
		// With weights of its own: those of the pass may be gone when tokens are taken back.
		s.pool = *p
		s.pool.Bias, s.pool.Norm = slices.Clone(p.Bias), slices.Clone(p.Norm)
	}
	s.entries = s.pool.Push(s.entries, kv, gate, &s.now)
	s.tokens = n
	if s.marked != nil {
		s.kv, s.gate = append(s.kv, kv...), append(s.gate, gate...)
	}
}

func (s *poolState) mark() {
	s.marked, s.kv, s.gate, s.at = s.now.Clone(), s.kv[:0], s.gate[:0], s.tokens
}

func (s *poolState) rewind(n int) {
	if n == s.tokens {
		return
	}
	width := (n - s.at) * s.pool.Width()
	s.now.Set(s.marked)
	s.kv, s.gate, s.tokens = s.kv[:width], s.gate[:width], n
	s.pool.Push(nil, s.kv, s.gate, &s.now) // entries that are there, as the mixer left them
	s.entries = s.entries[:s.now.Count*s.pool.Size]
}
