package runner

import (
	"math"

	"quern/gemm"
	"quern/source"
)

// shortlist is the part of an output head that drafts are read from. A draft may be any
// token, for the main model judges it, so the head of multi-token prediction, which is most
// of what a draft costs, need not be multiplied whole (FR-Spec, arXiv 2502.14856). Half of
// the list are the tokens with the lowest ids: vocabularies of byte pairs number them by
// how frequent they were. The other half are those that the text had last, prompt and all;
// before there are any, the lowest ids that follow.
type shortlist struct {
	m     *matrix
	files *source.Files

	weight gemm.Weight
	tokens []int       // of each row
	rows   map[int]int // of each token
	fixed  int         // rows that stay
	last   []int       // where the text had the token of each row last; 0: nowhere yet
	seen   int         // tokens of the text that were taken
}

// leastShortlist is the size below which a head is not worth cutting.
const leastShortlist = 512

// shortlistSize is how many rows of a head greedy drafts are read from: a quarter, which
// costs them little acceptance (docs/benchmarks.md; FR-Spec takes as much).
func shortlistSize(vocab int) int { return min(max(vocab/4, leastShortlist), vocab) }

// plain reports whether rows of m lie by themselves, as numbers.
func (m *matrix) plain() bool { return m.scale == nil && m.written == nil && !m.transposed }

// newShortlist reads the first rows of a head that is plain.
func newShortlist(m *matrix, files *source.Files, n int) (*shortlist, error) {
	w, err := m.load(files, make([]byte, m.rowBytes()*int64(n)), 0, n)
	if err != nil {
		return nil, err
	}
	l := &shortlist{m: m, files: files, weight: *w, tokens: make([]int, n), rows: make(map[int]int, n), last: make([]int, n), fixed: n / 2}
	for i := range n {
		l.tokens[i], l.rows[i] = i, i
	}
	return l, nil
}

// learn gives those tokens of the text places that came since the last call.
func (l *shortlist) learn(text []int) error {
	l.seen = max(l.seen, len(text)-4*len(l.tokens)) // what lies further back is soon out again
	for ; l.seen < len(text); l.seen++ {
		row, ok := l.rows[text[l.seen]]
		if !ok {
			row = l.oldest()
			if err := l.put(row, text[l.seen]); err != nil {
				return err
			}
		}
		l.last[row] = l.seen + 1
	}
	return nil
}

// oldest is the row whose token the text has not had for longest.
func (l *shortlist) oldest() int {
	row := l.fixed
	for i := row; i < len(l.last); i++ {
		if l.last[i] <= l.last[row] { // of those that it never had the highest id
			row = i
		}
	}
	return row
}

// put gives a row to a token.
func (l *shortlist) put(row, token int) error {
	w, err := l.m.load(l.files, make([]byte, l.m.rowBytes()), token, 1)
	if err != nil {
		return err
	}
	per := len(l.weight.Data) / len(l.tokens)
	copy(l.weight.Data[row*per:], w.Data)
	delete(l.rows, l.tokens[row])
	l.tokens[row], l.rows[token] = token, row
	return nil
}

// logits are those of the whole vocabulary behind state z: −Inf for tokens that are not
// on the list.
func (l *shortlist) logits(z []float32, vocab, workers int, f *factors) []float32 {
	y, out := make([]float32, len(l.tokens)), make([]float32, vocab)
	gemm.MulFew(y, len(y), z, l.weight.In, 1, &l.weight, gemm.Options{Workers: workers})
	f.finish(y)
	for i := range out {
		out[i] = float32(math.Inf(-1))
	}
	for i, id := range l.tokens {
		out[id] = y[i]
	}
	return out
}
