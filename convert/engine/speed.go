package engine

import (
	"math"
	"math/rand/v2"
	"time"

	"quern/convert/plan"
	"quern/fp8"
	"quern/store"
)

// Speed estimates how many bytes of input a second the processor can take
// through p, from a short run of the quantize kernel and rates of the rest that
// do not vary much.
func Speed(p *plan.Plan, o Options) float64 {
	mem, err := divide(p, o.withDefaults())
	if err != nil {
		return 1
	}
	kernel := kernelRate(p)
	const hashRate, copyRate = 2.5e9, 5e9 // bytes a second and core: BLAKE3, and reading plus writing by the system
	var seconds, bytes float64
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Op == plan.ScaleOf || t.Op == plan.Constant {
			continue
		}
		in, out := float64(t.Source.Bytes()), float64(t.Bytes())
		seconds += out/hashRate + (in+out)/copyRate
		if t.Op != plan.Copy {
			seconds += in / kernel
		}
		bytes += in
	}
	return bytes / math.Max(seconds, 1e-9) * float64(mem.workers)
}

// kernelRate measures the quantize kernel with p's settings for some
// tens of milliseconds, on one core.
func kernelRate(p *plan.Plan) float64 {
	const edge = 2 * fp8.Tile
	o := fp8.Options{}
	for i := range p.Tensors {
		o.Search = max(o.Search, p.Tensors[i].Quant.Search) // the later ones take longer
	}
	data := make([]byte, edge*edge*2)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(data); i += 2 {
		w := fp8.BF16FromFloat32(float32(r.NormFloat64()) * 0.02)
		data[i], data[i+1] = byte(w), byte(w>>8)
	}
	codes, tiles := make([]byte, edge*edge), make([]fp8.TileStats, 4)
	m := fp8.Matrix{Data: data, Elem: fp8.ElemBF16, Rows: edge, Cols: edge, Stride: edge}
	// The best of many short runs is what the processor can; others that work beside it
	// only take away. A processor that idled needs some milliseconds to its speed: the
	// rate counts when it has stood for long enough.
	const settled, most = 15 * time.Millisecond, 90 * time.Millisecond
	best := 0.0
	start := time.Now()
	for since := start; time.Since(since) < settled && time.Since(start) < most; {
		t := time.Now()
		_ = fp8.Quantize(codes, edge, tiles, m, o)
		now := time.Now()
		rate := float64(len(data)) / now.Sub(t).Seconds()
		if rate > best*1.01 {
			since = now
		}
		best = math.Max(best, rate)
	}
	return best
}

// Free is the space in bytes that is free where dir is, or will be.
func Free(dir string) (int64, error) {
	out, err := store.OpenSink(dir)
	if err != nil {
		return 0, err
	}
	return out.Free()
}
