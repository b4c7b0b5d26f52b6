package verify

import (
	"context"
	"fmt"
	"math"

	"quern/convert/plan"
	"quern/fp8"
	"quern/source"
)

// digestCheck takes the digest of a tensor's bytes.
type digestCheck struct {
	size int64
	sum  [32]byte
}

func (c *digestCheck) piece(_ context.Context, w *worker, p []byte, at int64) error {
	if at == 0 {
		w.hash.Reset()
	}
	_, _ = w.hash.Write(p)
	if at+int64(len(p)) == c.size {
		w.hash.Sum(c.sum[:0])
	}
	return nil
}

// finiteCheck counts what is no number.
type finiteCheck struct {
	tensor *plan.Tensor
	elem   fp8.Elem
	codes  bool // E4M3 codes instead of elem
	count  int64
	first  int64
}

func (c *finiteCheck) piece(_ context.Context, _ *worker, p []byte, at int64) error {
	var n, first int64
	size := int64(1)
	if c.codes {
		n, first = fp8.CountNaNCodes(p)
	} else {
		n, first = fp8.CountNonFinite(p, c.elem)
		size = int64(c.elem.Size())
	}
	if n > 0 && c.count == 0 {
		c.first = at/size + first
	}
	c.count += n
	return nil
}

// problem says what was found, "" if nothing was.
func (c *finiteCheck) problem() string {
	what := "NaN or infinite values"
	switch {
	case c.count == 0:
		return ""
	case c.codes:
		what = "NaN codes"
	case c.elem == fp8.ElemF64:
		what = "NaN, infinite or beyond float32's range"
	}
	return fmt.Sprintf("%s: %d of %d are %s, the first at %s", title(c.tensor), c.count, elements(c.tensor.Shape), what, index(c.first, c.tensor.Shape))
}

// scaleCheck looks at the scales of a weight.
type scaleCheck struct {
	tensor *plan.Tensor
	ue8m0  bool
	bad    finding // not positive and finite
	uneven finding // no powers of two although they should be
}

// finding is how often something was met, and where first.
type finding struct {
	count, first int64
	value        float32
}

func (f *finding) note(i int64, x float32) {
	if f.count == 0 {
		f.first, f.value = i, x
	}
	f.count++
}

func (c *scaleCheck) piece(_ context.Context, _ *worker, p []byte, at int64) error {
	size := c.tensor.DType.Bits() / 8
	var block [512]float32
	for i := int64(0); i < int64(len(p))/size; i += int64(len(block)) {
		dst := block[:min(int64(len(block)), int64(len(p))/size-i)]
		if !source.Floats(dst, p[i*size:], c.tensor.DType) {
			return nil // of a dtype that is not known: the gate says so
		}
		for k, x := range dst {
			if !(x > 0) || x > math.MaxFloat32 {
				c.bad.note(at/size+i+int64(k), x)
			} else if c.ue8m0 && !isPowerOfTwo(x) {
				c.uneven.note(at/size+i+int64(k), x)
			}
		}
	}
	return nil
}

// problems say what was found.
func (c *scaleCheck) problems() (out []string) {
	for _, f := range []struct {
		finding
		what string
	}{{c.bad, "not positive and finite"}, {c.uneven, "no powers of two, though the config says ue8m0"}} {
		if f.count > 0 {
			out = append(out, fmt.Sprintf("%s: %d of %d scales are %s, the first is %v at %s",
				title(c.tensor), f.count, elements(c.tensor.Shape), f.what, f.value, index(f.first, c.tensor.Shape)))
		}
	}
	return out
}

// isPowerOfTwo reports whether x, positive and finite, is one.
func isPowerOfTwo(x float32) bool {
	f, _ := math.Frexp(float64(x))
	return f == 0.5
}

// title names a tensor in a failure.
func title(t *plan.Tensor) string { return fmt.Sprintf("tensor %q (%s)", t.Name, role(t)) }

// index says where element i of a tensor lies.
func index(i int64, shape []int64) string {
	if len(shape) != 2 || shape[1] == 0 {
		return fmt.Sprintf("index %d", i)
	}
	return fmt.Sprintf("index %d (row %d, column %d)", i, i/shape[1], i%shape[1])
}

func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}
