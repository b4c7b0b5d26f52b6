package gpu

import (
	"sync"

	"quern/fp8"
	"quern/gemm"
	"quern/gpu/driver"
)

// Info says what a device is.
type Info = driver.Info

// Device quantizes, dequantizes and multiplies. All methods may be called from
// many goroutines at once.
//
// The calls that return a [Pending] may go on after they have returned: what they
// were given must neither be changed nor, where it is written to, be read before
// Wait returns. They wait themselves while the device has no room for more.
type Device interface {
	Info() Info

	// Amax writes the largest magnitude of every tile of m. A tile with a weight
	// that is not finite gets a number that is not finite. amax has an entry for
	// every tile, as tiles in [fp8.Quantize].
	Amax(amax []float32, m fp8.Matrix) *Pending

	// Scales writes the scale that Quantize would choose for every tile, NaN for a
	// tile with a weight that is not finite.
	Scales(scales []float32, m fp8.Matrix, o fp8.Options) *Pending

	// Quantize is [fp8.Quantize].
	Quantize(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) *Pending

	// Dequantize is [fp8.Dequantize].
	Dequantize(dst []byte, dstStride int, elem fp8.Elem, codes []byte, codeStride, rows, cols int, g fp8.Grid) *Pending

	// Mul is [gemm.Mul]: y[r*ldy+o] = Σᵢ x[r*ldx+i]·W[o][i] for r < rows. Each sum is
	// one chain in the order of i, in float32, so that a row of y does not depend on
	// the rows beside it, and the same device gives the same bits. Where Info().FMA is
	// true, these are the bits of gemm.Mul; of all devices
	//
	//	|y − exact| ≤ (w.In+1)·2⁻²⁴·Σᵢ|x·W| + w.In·2⁻¹⁴⁹
	//
	// holds to first order, where x, W and the exact sum are finite. Weights that are
	// transposed, or are no stored ones, are multiplied by on the processor.
	Mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) *Pending

	// NewBuffer returns n > 0 bytes of host memory that the device reads and
	// writes by itself.
	NewBuffer(n int) (*Buffer, error)

	// Close waits for what is under way and gives everything back, buffers
	// included.
	Close() error
}

// Pending is a call under way.
type Pending struct {
	wait func() error
	once sync.Once
	err  error
}

// NewPending returns a Pending whose first Wait calls wait.
func NewPending(wait func() error) *Pending { return &Pending{wait: wait} }

// Wait returns when the call is done, with its error. It may be called any number
// of times, from any goroutine.
func (p *Pending) Wait() error {
	p.once.Do(func() {
		if p.wait != nil {
			p.err = p.wait()
			p.wait = nil
		}
	})
	return p.err
}

// done returns a call that has ended.
func done(err error) *Pending { return &Pending{err: err} }

// Buffer is host memory that a device reads and writes by itself.
type Buffer struct {
	Bytes []byte

	free func() error
	once sync.Once
	err  error
}

// Free gives the memory back. Bytes must not be used any more.
func (b *Buffer) Free() error {
	b.once.Do(func() {
		b.Bytes = nil
		if b.free != nil {
			b.err = b.free()
		}
	})
	return b.err
}
