package outputs

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/verify/metrics"
)

// pass reads both files once and takes figures of every row.
type pass struct {
	base, quant *File
	logits, mtp *scores // mtp is nil where a file lacks it
	hidden      []distance
	units       []unit
	bytes       int64 // to be read
}

// unit is a run of rows of one sequence, small enough to be read at once where rows
// are. Each has results of its own, so that it does not matter who does it when.
type unit struct {
	seq, first, rows int
	bytes            int64
	do               func(w *worker, u *unit) error
}

// scores are the figures of the rows of logits.
type scores struct {
	name        string
	pair        [2]tensor
	ahead       int             // row i predicts the token i+ahead
	short       bool            // rows are one less than tokens
	tokens      []metrics.Token // by row
	differences []float64       // by unit
}

// distance is how far two tensors of hidden states are apart, by unit.
type distance struct {
	layer int
	pair  [2]tensor
	parts []part
}

// part are sums over the rows of one unit.
type part struct{ most, base, diff float64 } // max |x−y|, Σx², Σ(x−y)²

// tileLogits is how many logits of a row are added at once: they stay in the
// processor's first cache.
const tileLogits = 2048

// worker is the memory of one goroutine.
type worker struct {
	base, quant []float32 // pieceElements each
	row         metrics.Row
}

// newPass plans the pass. Files whose hidden states have different widths are
// refused.
func newPass(base, quant *File) (*pass, error) {
	p := &pass{base: base, quant: quant, logits: &scores{name: base.logits.name, pair: [2]tensor{base.logits, quant.logits}, ahead: 1}}
	p.score(p.logits)
	if base.HasMTP && quant.HasMTP {
		p.mtp = &scores{name: base.mtp.name, pair: [2]tensor{base.mtp, quant.mtp}, ahead: 2, short: true}
		p.score(p.mtp)
	}
	for _, i := range base.Hidden {
		a := base.hidden[i]
		b, ok := quant.hidden[i]
		if !ok {
			continue
		}
		if a.width != b.width {
			return nil, invalid.Errorf("comparing %q with %q: tensor %q has rows of %d against %d", base.Path, quant.Path, a.name, a.width, b.width)
		}
		p.hidden = append(p.hidden, distance{layer: i, pair: [2]tensor{a, b}})
	}
	for i := range p.hidden {
		d := &p.hidden[i]
		d.parts = make([]part, p.split(d.pair, false, func(w *worker, u *unit, n int) error { return p.distance(w, u, d, n) }))
	}
	return p, nil
}

// score plans the units of s.
func (p *pass) score(s *scores) {
	n := p.base.starts[len(p.base.IDs)]
	if s.short {
		n -= len(p.base.IDs)
	}
	s.tokens = make([]metrics.Token, n)
	s.differences = make([]float64, p.split(s.pair, s.short, func(w *worker, u *unit, n int) error { return p.rows(w, u, s, n) }))
}

// split adds the units of a pair of tensors and returns how many there are; do gets
// the number of the unit among them.
func (p *pass) split(pair [2]tensor, short bool, do func(w *worker, u *unit, n int) error) int {
	count := 0
	size := int64(pair[0].width) * (bytesOf(pair[0].dtype) + bytesOf(pair[1].dtype))
	for s, ids := range p.base.IDs {
		n := len(ids)
		if short {
			n--
		}
		for first := 0; first < n; {
			rows := min(max(1, pieceElements/pair[0].width), n-first)
			number := count
			p.units = append(p.units, unit{
				seq: s, first: first, rows: rows, bytes: int64(rows) * size,
				do: func(w *worker, u *unit) error { return do(w, u, number) },
			})
			p.bytes += int64(rows) * size
			first += rows
			count++
		}
	}
	return count
}

func bytesOf(d safetensors.DType) int64 { return d.Bits() / 8 }

// run does all units. The error is that of the first unit in order that has one.
func (p *pass) run(ctx context.Context, o Options) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var (
		wg         sync.WaitGroup
		next, done atomic.Int64
		mu         sync.Mutex
		failed     = len(p.units) // the first unit that failed
		cause      error
	)
	for range min(workers, len(p.units)) {
		wg.Go(func() {
			w := &worker{base: make([]float32, pieceElements), quant: make([]float32, pieceElements)}
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(p.units) {
					return
				}
				u := &p.units[i]
				if err := u.do(w, u); err != nil {
					next.Add(int64(len(p.units))) // those before this one are under way
					mu.Lock()
					if i < failed {
						failed, cause = i, err
					}
					mu.Unlock()
					return
				}
				if sum := done.Add(u.bytes); o.Progress != nil {
					o.Progress(sum, p.bytes)
				}
			}
		})
	}
	wg.Wait()
	if cause != nil {
		return cause
	}
	return ctx.Err()
}

// pieces reads the rows of a unit from both files, all at once or, where one row is
// too long for that, in pieces. each gets the column that a piece begins at.
func (p *pass) pieces(w *worker, u *unit, pair *[2]tensor, each func(col int, base, quant []float32) error) error {
	width := pair[0].width
	for col := 0; col < width; col += pieceElements {
		n := min(width-col, pieceElements)
		a, b := w.base[:u.rows*n], w.quant[:u.rows*n]
		if err := p.base.tile(&pair[0], a, u.seq, u.first, u.rows, col, n); err != nil {
			return err
		}
		if err := p.quant.tile(&pair[1], b, u.seq, u.first, u.rows, col, n); err != nil {
			return err
		}
		if err := each(col, a, b); err != nil {
			return err
		}
	}
	return nil
}

// rows scores the rows of a unit.
func (p *pass) rows(w *worker, u *unit, s *scores, number int) error {
	width := s.pair[0].width
	ids := p.base.IDs[u.seq]
	at := p.base.starts[u.seq] + u.first // of the unit's first row in s.tokens
	if s.short {
		at -= u.seq
	}
	return p.pieces(w, u, &s.pair, func(col int, base, quant []float32) error {
		s.differences[number] = max(s.differences[number], metrics.MaxAbsDiff(base, quant))
		n := len(base) / u.rows
		for row := range u.rows {
			if col == 0 {
				target := -1
				if i := u.first + row + s.ahead; i < len(ids) {
					target = ids[i]
				}
				w.row.Reset(target)
			}
			for i := 0; i < n; i += tileLogits {
				j := min(i+tileLogits, n)
				w.row.Add(base[row*n+i:row*n+j], quant[row*n+i:row*n+j], col+i)
			}
			if col+n < width {
				continue // the rest of the row is another piece
			}
			t, err := w.row.Score()
			if err != nil {
				return p.blame(err, s.name, u.seq, u.first+row)
			}
			s.tokens[at+row] = t
		}
		return nil
	})
}

// blame names the file, the sequence and the position of a row that has no score.
func (p *pass) blame(err error, name string, seq, position int) error {
	var bad *metrics.NonFinite
	if !errors.As(err, &bad) {
		return err
	}
	path := p.quant.Path
	if bad.Base {
		path = p.base.Path
	}
	return invalid.Errorf("reading %q: tensor %q: sequence %d, position %d: %w", path, name, seq, position, err)
}

// distance takes the sums of a unit's hidden states.
func (p *pass) distance(w *worker, u *unit, d *distance, number int) error {
	width := d.pair[0].width
	return p.pieces(w, u, &d.pair, func(col int, base, quant []float32) error {
		sum := &d.parts[number]
		for i, x := range base {
			x, y := float64(x), float64(quant[i])
			e := x - y
			if math.IsNaN(e) || math.IsInf(e, 0) {
				path, v := p.base.Path, x
				if !math.IsNaN(x) && !math.IsInf(x, 0) {
					path, v = p.quant.Path, y
				}
				return invalid.Errorf("reading %q: tensor %q: sequence %d, position %d: element %d is %v",
					path, d.pair[0].name, u.seq, u.first+i/width, col+i%width, v)
			}
			sum.most = max(sum.most, math.Abs(e))
			sum.base += float64(x * x) // no fused multiply-add: the same on all machines
			sum.diff += float64(e * e)
		}
		return nil
	})
}

// maxAbs is the largest difference of all rows.
func (s *scores) maxAbs() metrics.Figure {
	most := 0.0
	for _, d := range s.differences {
		most = max(most, d)
	}
	return metrics.Figure(most)
}

// scored are the tokens of the rows that predict a token of the file.
func (s *scores) scored(f *File) []metrics.Token {
	out := make([]metrics.Token, 0, len(s.tokens)-len(f.IDs))
	for q := range f.IDs {
		for _, t := range s.tokens[f.starts[q] : f.starts[q+1]-1] {
			t.Chunk = q
			out = append(out, t)
		}
	}
	return out
}

// acceptance holds each row of the MTP layer against the next one of the main model.
func (p *pass) acceptance(f *File) *MTP {
	n := len(p.mtp.tokens)
	in := make([]int, n)
	draft, main := [2][]int{make([]int, n), make([]int, n)}, [2][]int{make([]int, n), make([]int, n)}
	for s := range f.IDs {
		for i := f.starts[s]; i < f.starts[s+1]-1; i++ {
			d, m := &p.mtp.tokens[i-s], &p.logits.tokens[i+1]
			d.Chunk, in[i-s] = s, s
			draft[0][i-s], draft[1][i-s] = d.TopBase, d.TopQuant
			main[0][i-s], main[1][i-s] = m.TopBase, m.TopQuant
		}
	}
	base, quant := metrics.Acceptance(draft[0], main[0], in), metrics.Acceptance(draft[1], main[1], in)
	_, drop := metrics.Drop(draft, main, in)
	return &MTP{
		Tokens:         n,
		AcceptanceBase: base.Rate, AcceptanceBaseUncertainty: base.Uncertainty,
		AcceptanceQuant: quant.Rate, AcceptanceQuantUncertainty: quant.Uncertainty,
		AcceptanceDropUncertainty: drop,
		Summary:                   metrics.Summarize(p.mtp.tokens),
	}
}

// difference adds the units up, in their order.
func (d *distance) difference(rows int) HiddenDifference {
	var sum part
	for _, u := range d.parts {
		sum.most = max(sum.most, u.most)
		sum.base += u.base
		sum.diff += u.diff
	}
	h := HiddenDifference{
		Layer: d.layer, MaxAbs: metrics.Figure(sum.most),
		RMS:  metrics.Figure(math.Sqrt(sum.base / float64(rows) / float64(d.pair[0].width))),
		SQNR: metrics.Figure(10 * math.Log10(sum.base/sum.diff)),
	}
	if sum.most > 0 {
		h.Relative = h.MaxAbs / h.RMS
	}
	return h
}
