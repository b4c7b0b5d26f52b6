package runner

import (
	"quern/gemm"
	"quern/gpu"
)

// product multiplies many rows: on the processor, or on a device.
type product struct {
	workers int
	fast    bool       // BF16 arithmetic, on the processor
	device  gpu.Device // nil: the processor
}

// deviceWork is how many multiplications make the way to a device and back worth it.
const deviceWork = 1 << 24

// mul is y = x·Wᵀ. What a device cannot do, or has failed to, the processor does:
// gpu.WithFallback says so once.
func (p product) mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) {
	if p.device != nil && rows*w.Out*w.In >= deviceWork && p.device.Mul(y, ldy, x, ldx, rows, w).Wait() == nil {
		return
	}
	gemm.Mul(y, ldy, x, ldx, rows, w, gemm.Options{Workers: p.workers, BF16: p.fast})
}
