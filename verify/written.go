package verify

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"

	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/internal/ui"
	"quern/scheme"
	"quern/source"
)

// measured is a quantized tensor that is held against its baseline.
type measured interface {
	weight() *plan.Tensor
	source() *baseline
	// share tells of all that engines fuse with it, itself among them, whose scale it
	// has to share where there is one for each tensor.
	share(all []*baseline)
	energy() *energy
	best() *float64 // dB that the same rule gives; nil where nobody asked
	limit() float64 // dB that the ratio has to reach
	is() *scheme.Scheme
	problem() string
	anew() *freshCheck
}

// written is a weight whose codes lie under no grid, read by whole rows.
type written struct {
	*plan.Written
	*scheme.Scheme
	codes   *plan.View
	outputs []scheme.Output
	files   *source.Files

	mu    sync.Mutex // a baseline is asked by the checks of all that engines fuse with it
	whole [][]byte   // of outputs of the whole matrix, once they are read
}

// newWritten says no of a scheme whose parts are not whole rows.
func newWritten(w *plan.Written, codes *plan.View, files *source.Files) (*written, bool) {
	s, err := scheme.Find(w.Scheme)
	if err != nil || s.Grain.Rows < 1 || s.Grain.Cols != 0 {
		return nil, false
	}
	return &written{Written: w, Scheme: s, codes: codes, outputs: s.Outputs(w.Params, w.Rows, w.Cols), files: files, whole: make([][]byte, len(w.Scales)+1)}, true
}

// rows returns the bytes of each output for some rows; codes are those if they are
// there already.
func (x *written) rows(codes []byte, p scheme.Part) ([][]byte, error) {
	in := make([][]byte, len(x.outputs))
	for k := range x.outputs {
		o, v := &x.outputs[k], x.codes
		if k > 0 {
			v = &x.Scales[k-1]
		}
		switch {
		case k == 0 && codes != nil:
			in[k] = codes
		case o.Whole():
			var err error
			if in[k], err = x.wholly(k, v); err != nil {
				return nil, err
			}
		default:
			in[k] = make([]byte, o.Size(p))
			rest := in[k]
			for at, n := range o.Runs(p, x.Cols) {
				if err := x.files.Read(v, rest[:n], at); err != nil {
					return nil, err
				}
				rest = rest[n:]
			}
		}
	}
	return in, nil
}

// wholly returns output k of the whole matrix, which v is.
func (x *written) wholly(k int, v *plan.View) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.whole[k] == nil {
		p := make([]byte, v.Bytes())
		if err := x.files.Read(v, p, 0); err != nil {
			return nil, err
		}
		x.whole[k] = p
	}
	return x.whole[k], nil
}

// decode writes the values of rows as float32.
func (x *written) decode(dst []byte, in [][]byte, p scheme.Part) error {
	if err := x.Decode(x.Params, dst, int(x.Cols), fp8.ElemF32, in, p); err != nil {
		return invalid.Errorf("tensor %q: %w", x.codes.Name, err)
	}
	return nil
}

// load writes the values of n elements from the first on.
func (x *written) load(dst []byte, first, n int64) error {
	if n == 0 {
		return nil
	}
	g := x.Grain.Rows
	p := scheme.Part{Row: first / x.Cols / g * g, Cols: x.Cols}
	p.Rows = min(((first+n-1)/x.Cols/g+1)*g, x.Written.Rows) - p.Row
	in, err := x.rows(nil, p)
	if err != nil {
		return err
	}
	wide := make([]byte, 4*p.Rows*p.Cols)
	if err := x.decode(wide, in, p); err != nil {
		return err
	}
	copy(dst[:4*n], wide[4*(first-p.Row*x.Cols):])
	return nil
}

// writtenCheck measures a weight in codes that lie under no grid against its baseline.
type writtenCheck struct {
	*written
	tensor *plan.Tensor
	base   *baseline
	sum    energy
	ideal  *float64
	fresh  *freshCheck

	wrong, first int64 // weights whose codes are not the nearest
	got, want    float32
	of           float32
}

// newWrittenCheck gives job j the check of codes against base.
func newWrittenCheck(j *job, x *comparison, w *written, base *baseline) *writtenCheck {
	c := &writtenCheck{written: w, tensor: j.tensor, base: base, fresh: x.recipe.rows(w.Scheme, w.Params, base, j.tensor)}
	if c.inOrder() {
		width := w.outputs[0].Width(w.Cols)
		j.step = max(writtenBytes/max(width, 1), 1) * width
		j.base, j.unit, j.per = base, max(width, 1), w.Cols*base.size()
	}
	j.checks = append(j.checks, c)
	return c
}

// writtenBytes bounds the codes of a piece: their values take eight times as much.
const writtenBytes = partBytes / 8

func (c *writtenCheck) weight() *plan.Tensor  { return c.tensor }
func (c *writtenCheck) source() *baseline     { return c.base }
func (c *writtenCheck) share(all []*baseline) { c.fresh.partners = all }
func (c *writtenCheck) energy() *energy       { return &c.sum }
func (c *writtenCheck) best() *float64        { return c.ideal }
func (c *writtenCheck) anew() *freshCheck     { return c.fresh }

func (c *writtenCheck) is() *scheme.Scheme { return c.Scheme }

func (c *writtenCheck) limit() float64 {
	if c.ideal == nil {
		return c.Floor
	}
	return min(c.Floor, *c.ideal-tolerance)
}

// inOrder reports whether codes lie row by row in the file.
func (c *writtenCheck) inOrder() bool { return c.outputs[0].Across == 0 && c.Grain.Rows == 1 }

func (c *writtenCheck) piece(ctx context.Context, w *worker, codes []byte, at int64) error {
	if !c.inOrder() {
		if at > 0 {
			return nil
		}
		return c.apart(ctx, w)
	}
	width := c.outputs[0].Width(c.Cols)
	p := scheme.Part{Row: at / width, Rows: int64(len(codes)) / width, Cols: c.Cols}
	if err := c.part(ctx, w, codes, p); err != nil || at+int64(len(codes)) < c.codes.Bytes() {
		return err
	}
	return c.end()
}

// apart reads codes that do not lie row by row, by the rows of the matrix.
func (c *writtenCheck) apart(ctx context.Context, w *worker) error {
	g := c.Grain.Rows
	step := max(2*writtenBytes/max(c.Cols, 1)/g, 1) * g
	for row := int64(0); row < c.Written.Rows; row += step {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p := scheme.Part{Row: row, Rows: min(step, c.Written.Rows-row), Cols: c.Cols}
		if err := c.part(ctx, w, nil, p); err != nil {
			return err
		}
	}
	return c.end()
}

// part measures some rows.
func (c *writtenCheck) part(ctx context.Context, w *worker, codes []byte, p scheme.Part) error {
	n := p.Rows * p.Cols
	in, err := c.rows(codes, p)
	if err != nil {
		return err
	}
	w.values, w.weights = grown(w.values, 4*n), grown(w.weights, 4*n)
	got, want := w.values[:4*n], w.weights[:4*n]
	if err := c.decode(got, in, p); err != nil {
		return err
	}
	if codes == nil { // the piece is another part of the tensor
		err = c.base.floats(want, p.Row*p.Cols, n)
	} else {
		want, err = w.piece.floats(want, p.Row*p.Cols, n)
	}
	if err != nil {
		return err
	}
	for i := 0; i < len(got); i += 4 * blockElements {
		end := min(i+4*blockElements, len(got))
		c.sum.add(want[i:end], got[i:end])
	}
	m := fp8.Matrix{Data: want, Elem: fp8.ElemF32, Rows: int(p.Rows), Cols: int(p.Cols), Stride: int(p.Cols)}
	same, err := c.fresh.rows(ctx, w, p, m, in)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", c.tensor.Name, err)
	}
	if !same && c.Recode != nil {
		if err := c.look(in, got, m, p); err != nil {
			return err
		}
	}
	return nil
}

// end sums up.
func (c *writtenCheck) end() error {
	if err := c.fresh.end(c.whole); err != nil {
		return err
	}
	if db := c.sum.sqnr(); db != nil && *db < c.Floor && !math.IsNaN(c.sum.diff) {
		c.ideal = c.fresh.sqnr()
	}
	return nil
}

// look counts the weights of some rows that the codes do not stand for as nearly as the
// nearest ones under the same scales, which are what a second rounding of the quotient
// may part.
func (c *writtenCheck) look(in [][]byte, got []byte, m fp8.Matrix, p scheme.Part) error {
	if _, finite := scheme.Amax(m); !finite {
		return nil // such weights have no codes
	}
	near := append([][]byte{make([]byte, len(in[0]))}, in[1:]...)
	if err := c.Recode(c.Params, near, m, p); err != nil {
		return invalid.Errorf("tensor %q: %w", c.tensor.Name, err)
	}
	if bytes.Equal(near[0], in[0]) {
		return nil
	}
	best := make([]byte, len(got))
	if err := c.decode(best, near, p); err != nil {
		return err
	}
	slack := float32(reciprocal)
	if !c.base.exact() {
		slack = throughBF16
	}
	for i := 0; i < len(got); i += 4 {
		g, b, w := f32(got[i:]), f32(best[i:]), f32(m.Data[i:])
		if g == b || abs32(w-g)-abs32(w-b) <= abs32(w)*slack {
			continue
		}
		if c.wrong == 0 {
			c.first, c.got, c.want, c.of = p.Row*p.Cols+int64(i/4), g, b, w
		}
		c.wrong++
	}
	return nil
}

func abs32(x float32) float32 { return float32(math.Abs(float64(x))) }

// problem says which codes are not the nearest, "" if all are.
func (c *writtenCheck) problem() string {
	if c.wrong == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s of %s codes are not the nearest to their weights under their scales, the first at %s: it stands for %v where the weight is %v, which %v is nearest to",
		title(c.tensor), ui.Count(c.wrong), ui.Count(c.Rows*c.Cols), index(c.first, []int64{c.Rows, c.Cols}), c.got, c.of, c.want)
}
