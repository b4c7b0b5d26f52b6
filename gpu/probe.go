package gpu

import (
	"errors"
	"fmt"
	"math"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// load builds the kernels and looks at the device's arithmetic: with division of
// its own, and where that is not correctly rounded, with division in integers.
func (a *accelerator) load() error {
	for _, soft := range []bool{false, true} {
		if err := a.dev.Build(soft); err != nil {
			return err
		}
		wrong, err := a.probe()
		if err != nil || wrong == nil {
			return err
		}
		if !errors.Is(wrong, errDivision) || soft {
			return wrong
		}
	}
	return nil
}

// errDivision says that quotients are off.
var errDivision = errors.New("division is not correctly rounded")

// probe compares quotients, products and sums with the processor's. wrong says in
// what the device differs.
func (a *accelerator) probe() (wrong, err error) {
	x, y := probePairs()
	got := make([]float32, 4*len(x))
	if err := a.runProbe(got, x, y); err != nil {
		return nil, err
	}
	for i := range x {
		for k, want := range [4]float32{x[i] / y[i], x[i] / y[i], x[i] * y[i], x[i] + y[i]} {
			if math.Float32bits(got[4*i+k]) == math.Float32bits(want) || k == 1 && x[i] > 0x1p10*y[i] {
				continue
			}
			what := [4]error{errDivision, errDivision, errors.New("multiplication is not correctly rounded"), errors.New("addition is not correctly rounded")}[k]
			if tiny(want) || tiny(x[i]) || tiny(y[i]) {
				what = fmt.Errorf("subnormal numbers are not kept: %w", what)
			}
			return fmt.Errorf("its arithmetic is not that of IEEE 754: %w (%g and %g gave %g, not %g)", what, x[i], y[i], got[4*i+k], want), nil
		}
	}
	return nil, nil
}

// tiny says whether x is subnormal or zero.
func tiny(x float32) bool { return math.Float32bits(x)&0x7f800000 == 0 }

// probePairs are pairs of which the device may divide the first, finite and ≥ 0,
// by the second, which is normal and positive.
func probePairs() (x, y []float32) {
	const n = 1 << 13
	state := uint64(0x9e3779b97f4a7c15)
	next := func() uint32 { // splitmix64
		state += 0x9e3779b97f4a7c15
		z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return uint32((z ^ z>>31) >> 32)
	}
	edges := []uint32{0, 1, 2, 3, 0x7fffff, 0x800000, 0x800001, 0xffffff, 0x1000000, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x40000000, 0x43e00000, 0x7f7fffff}
	for _, a := range edges {
		for _, b := range edges {
			if b >= 0x800000 {
				x, y = append(x, math.Float32frombits(a)), append(y, math.Float32frombits(b))
			}
		}
	}
	for len(x) < n {
		a, b := next()&0x7fffffff, next()&0x7fffffff
		switch len(x) % 4 {
		case 0: // quotients near 1, where most is rounded
			a, b = a&0x7fffff|0x3f800000, b&0x7fffff|0x3f800000
		case 1: // subnormal quotients and products
			a, b = a&0xffffff, b&0x3ffffff|0x3f800000
		case 2: // weights of BF16 by usual scales
			a, b = a&0x7ff0000|0x38000000, b&0x7ffffff|0x38000000
		}
		if a >= 0x7f800000 || b >= 0x7f800000 || b < 0x800000 {
			continue
		}
		p, q := math.Float32frombits(a), math.Float32frombits(b)
		if tooLarge(p/q) || tooLarge(p*q) || tooLarge(p+q) {
			continue
		}
		x, y = append(x, p), append(y, q)
	}
	return x, y
}

func tooLarge(x float32) bool { return x > math.MaxFloat32 }

// runProbe runs the kernel on buffers of its own.
func (a *accelerator) runProbe(out, x, y []float32) (err error) {
	s := &slot{dev: a.dev}
	if s.queue, err = a.dev.NewQueue(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.free()) }()
	for _, b := range []struct {
		to *driver.Buffer
		n  int
	}{{&s.src, len(x)}, {&s.dst, len(y)}, {&s.small[0], len(out)}} {
		if *b.to, err = a.dev.NewBuffer(4 * b.n); err != nil {
			*b.to = nil
			return err
		}
	}
	host, err := s.host(&s.out, 4*len(out))
	if err != nil {
		return err
	}
	in, err := s.host(&s.in, 4*len(x)+4*len(y))
	if err != nil {
		return err
	}
	putFloats(in, x)
	putFloats(in[4*len(x):], y)
	if err := s.queue.Write(s.src, 0, in[:4*len(x)]); err != nil {
		return err
	}
	if err := s.queue.Write(s.dst, 0, in[4*len(x):]); err != nil {
		return err
	}
	if err := s.launch(kernels.Probe, ceilDiv(len(x), kernels.GroupSize), buffers(s.src, s.dst, s.small[0]), len(x)); err != nil {
		return err
	}
	if err := s.queue.Read(host, s.small[0]); err != nil {
		return err
	}
	e, err := s.queue.Record()
	if err != nil {
		return err
	}
	if err := errors.Join(e.Wait(), e.Free()); err != nil {
		return err
	}
	floats(out, host)
	return nil
}
