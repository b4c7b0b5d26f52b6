package engine

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/blake3"
	"quern/scheme"
	"quern/store"
)

// Speed estimates how many bytes of input a second the processor can take through p,
// from short runs of the coders that it has and rates of the rest that do not vary
// much.
func Speed(p *plan.Plan, o Options) float64 {
	mem, err := divide(p, o.withDefaults())
	if err != nil {
		return 1
	}
	const copyRate = 5e9 // bytes a second and core: reading plus writing by the system
	hashing := digesting()
	coding := map[kernel]float64{} // seconds a weight
	var seconds, bytes float64
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Op == plan.ScaleOf || t.Op == plan.Constant {
			continue
		}
		in, out := float64(t.Source.Bytes()), float64(t.Bytes())
		seconds += out*hashing + (in+out)/copyRate
		for _, k := range kernels(t) {
			if _, known := coding[k]; !known {
				coding[k] = k.measure()
			}
			r := t.Reading()
			rows, cols := r.Matrix()
			seconds += coding[k] * float64(rows) * float64(cols)
		}
		if t.Quant.Survey != "" { // is read twice
			seconds += in / copyRate
		}
		bytes += in
	}
	return bytes / math.Max(seconds, 1e-9) * float64(mem.workers)
}

// kernel is a coder or a decoder as a plan uses it.
type kernel struct {
	scheme string
	params scheme.Params
	elem   fp8.Elem // of what is coded, or of what codes become
	decode bool
}

// kernels are those that making t takes, for each weight of its matrix.
func kernels(t *plan.Tensor) []kernel {
	var list []kernel
	elem, numbers := plan.Elem(t.Source.DType)
	if t.Op == plan.Requantize || t.Op == plan.Recast {
		elem, numbers = fp8.ElemF32, false
	}
	if t.Op == plan.Dequantize || t.Op.Quantizes() && !numbers {
		k := kernel{elem: elem, decode: true}
		if t.Op == plan.Dequantize {
			k.elem = fp8.ElemBF16
		}
		if t.Written != nil {
			k.scheme, k.params = t.Written.Scheme, t.Written.Params
		}
		list = append(list, k)
	}
	if t.Op.Quantizes() {
		list = append(list, kernel{scheme: t.Quant.Scheme, params: t.Quant.Params, elem: elem})
	}
	return list
}

// edge is the sample's: two tiles of block FP8, and a multiple of every group.
const edge = 2 * fp8.Tile

// measure is how many seconds a weight takes, from some tens of milliseconds on one
// core. What cannot be tried counts as nothing: the plan will say why.
func (k kernel) measure() float64 {
	run, err := k.prepare()
	if err != nil {
		return 0
	}
	return best(run) / (edge * edge)
}

// digesting is how many seconds a byte of a digest takes, measured as kernels are.
func digesting() float64 {
	sample, h := make([]byte, piece), blake3.New()
	return best(func() (time.Duration, error) {
		start := time.Now()
		_, err := h.Write(sample)
		return time.Since(start), err
	}) / piece
}

// best is how many seconds run takes at best, 0 if it fails.
func best(run func() (time.Duration, error)) float64 {
	// The best of many short runs is what the processor can; others that work beside it
	// only take away. A processor that idled needs some milliseconds to its speed: the
	// time counts when it has stood for long enough.
	const settled, most = 15 * time.Millisecond, 90 * time.Millisecond
	least := math.Inf(1)
	start := time.Now()
	for since := start; time.Since(since) < settled && time.Since(start) < most; {
		took, err := run()
		if err != nil {
			return 0
		}
		if took.Seconds() < least*0.99 {
			since = time.Now()
		}
		least = math.Min(least, took.Seconds())
	}
	return least
}

// prepare returns what codes or decodes a sample once and says how long it took.
func (k kernel) prepare() (func() (time.Duration, error), error) {
	s, err := scheme.Find(k.scheme)
	if err != nil {
		return nil, err
	}
	part := scheme.Part{Rows: edge, Cols: edge}
	var outs [][]byte
	for _, o := range s.Outputs(k.params, edge, edge) {
		n := o.Size(part)
		if o.Whole() {
			n, _ = safetensors.SizeOf(o.DType, o.Shape)
		}
		outs = append(outs, make([]byte, n))
	}
	if !k.decode || s.Coder != nil {
		weights := specimen(k.elem)
		code := func() (time.Duration, error) { return k.code(s, outs, part, weights) }
		if _, err := code(); err != nil || !k.decode {
			return code, err
		}
	}
	values := make([]byte, edge*edge*k.elem.Size())
	grid := fp8.Grid{Scales: []float32{1, 1, 1, 1}, Rows: 2, Cols: 2, TileRows: fp8.Tile, TileCols: fp8.Tile}
	return func() (time.Duration, error) {
		start := time.Now()
		if s.Decode == nil {
			err := fp8.Dequantize(values, edge, k.elem, outs[0], edge, edge, edge, grid)
			return time.Since(start), err
		}
		err := s.Decode(k.params, values, edge, k.elem, outs, part)
		return time.Since(start), err
	}, nil
}

// code codes the sample. A coder is of one matrix, each part of which comes once.
func (k kernel) code(s *scheme.Scheme, outs [][]byte, part scheme.Part, weights fp8.Matrix) (time.Duration, error) {
	job := scheme.Job{Params: k.params, Rows: edge, Cols: edge, Amax: 0.1}
	if k.params.Search == fp8.SearchWeighted {
		job.Channels = slices.Repeat([]float32{1}, edge)
	}
	c, err := s.Coder(&job)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = c.Code(outs, part, weights)
	took := time.Since(start)
	for n, o := range s.Outputs(k.params, edge, edge) {
		if o.Whole() {
			copy(outs[n], c.Whole(n))
		}
	}
	return took, err
}

// specimen is a matrix of weights as models have them, in BF16 or float32.
func specimen(elem fp8.Elem) fp8.Matrix {
	if elem != fp8.ElemBF16 {
		elem = fp8.ElemF32
	}
	m := fp8.Matrix{Elem: elem, Rows: edge, Cols: edge, Stride: edge, Data: make([]byte, edge*edge*elem.Size())}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range edge * edge {
		x := float32(r.NormFloat64()) * 0.02
		if elem == fp8.ElemF32 {
			binary.LittleEndian.PutUint32(m.Data[4*i:], math.Float32bits(x))
		} else {
			binary.LittleEndian.PutUint16(m.Data[2*i:], fp8.BF16FromFloat32(x))
		}
	}
	return m
}

// Free is the space in bytes that is free where dir is, or will be.
func Free(dir string) (int64, error) {
	out, err := store.OpenSink(dir)
	if err != nil {
		return 0, err
	}
	return out.Free()
}
