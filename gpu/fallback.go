package gpu

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"quern/fp8"
	"quern/gemm"
)

// WithFallback returns a device that does on the processor what d does not manage:
// the call that an error of the device has met, and, unless its memory was merely
// short, all calls after it. The results are the same, but those of Mul, which are
// within its bound. log, if not nil, gets one line when that happens first, for
// short memory and for other errors each. Closing it closes d.
func WithFallback(d Device, log func(string)) Device {
	if log == nil {
		log = func(string) {}
	}
	return &fallback{Device: d, log: log}
}

type fallback struct {
	Device
	log  func(string)
	lost atomic.Bool
	said [2]sync.Once
}

// or returns the call on the device, and on the processor where that fails.
func (f *fallback) or(call func(Device) *Pending) *Pending {
	if f.lost.Load() {
		return call(CPU())
	}
	p := call(f.Device)
	return NewPending(func() error {
		err := p.Wait()
		if !errors.Is(err, ErrDevice) {
			return err
		}
		f.note(err)
		return call(CPU()).Wait()
	})
}

func (f *fallback) note(err error) {
	if errors.Is(err, ErrMemory) {
		f.said[0].Do(func() {
			f.log(fmt.Sprintf("%v; the processor does what does not fit, with the same result", err))
		})
		return
	}
	f.lost.Store(true)
	f.said[1].Do(func() {
		f.log(fmt.Sprintf("%v; the processor goes on, with the same result", err))
	})
}

func (f *fallback) Amax(amax []float32, m fp8.Matrix) *Pending {
	return f.or(func(d Device) *Pending { return d.Amax(amax, m) })
}

func (f *fallback) Scales(scales []float32, m fp8.Matrix, o fp8.Options) *Pending {
	return f.or(func(d Device) *Pending { return d.Scales(scales, m, o) })
}

func (f *fallback) Quantize(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) *Pending {
	return f.or(func(d Device) *Pending { return d.Quantize(codes, codeStride, tiles, m, o) })
}

func (f *fallback) Dequantize(dst []byte, dstStride int, elem fp8.Elem, codes []byte, codeStride, rows, cols int, g fp8.Grid) *Pending {
	return f.or(func(d Device) *Pending {
		return d.Dequantize(dst, dstStride, elem, codes, codeStride, rows, cols, g)
	})
}

func (f *fallback) Mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) *Pending {
	return f.or(func(d Device) *Pending { return d.Mul(y, ldy, x, ldx, rows, w) })
}

// NewBuffer returns ordinary memory where the device has none.
func (f *fallback) NewBuffer(n int) (*Buffer, error) {
	if !f.lost.Load() {
		b, err := f.Device.NewBuffer(n)
		if !errors.Is(err, ErrDevice) {
			return b, err
		}
		f.note(err)
	}
	return CPU().NewBuffer(n)
}

// Close does not complain about a device that is lost: that has been said.
func (f *fallback) Close() error {
	if err := f.Device.Close(); !f.lost.Load() {
		return err
	}
	return nil
}
