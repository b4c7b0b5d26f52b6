package engine_test

import (
	"path/filepath"
	"testing"

	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/blockio/faultfs"
	"quern/scheme"
)

// planOf plans by hand: recipe turns each tensor of the input into those of the
// output, the scale that it is given being the input tensor NAME_scale, if there
// is one. Such scales are not outputs.
func planOf(t testing.TB, dir string, shard int64, recipe func(x plan.Tensor, scale *plan.Tensor) []plan.Tensor) (*hf.Checkpoint, *plan.Plan) {
	t.Helper()
	ck, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.New(ck)
	p.Tool, p.Command = "test", "test"
	old := p.Tensors
	p.Tensors = nil
	scales := map[string]*plan.Tensor{}
	for i := range old {
		if n, ok := cutSuffix(old[i].Name, "_scale"); ok {
			scales[n] = &old[i]
		}
	}
	for i := range old {
		if _, ok := cutSuffix(old[i].Name, "_scale"); !ok {
			p.Tensors = append(p.Tensors, recipe(old[i], scales[old[i].Name])...)
		}
	}
	p.Regroup(func(i int) bool { return p.Tensors[i].Op == plan.ScaleOf })
	if err := p.Pack(shard); err != nil {
		t.Fatal(err)
	}
	return ck, p
}

func cutSuffix(s, suffix string) (string, bool) {
	if n := len(s) - len(suffix); n > 0 && s[n:] == suffix {
		return s[:n], true
	}
	return s, false
}

// copied is the recipe that changes nothing.
func copied(x plan.Tensor, _ *plan.Tensor) []plan.Tensor { return []plan.Tensor{x} }

// quantized is the recipe for codes and scale.
func quantized(q plan.Quant) func(plan.Tensor, *plan.Tensor) []plan.Tensor {
	return func(x plan.Tensor, scale *plan.Tensor) []plan.Tensor {
		x.Op, x.DType, x.Quant = plan.Quantize, safetensors.F8E4M3, q
		if q.Search == fp8.SearchWeighted {
			x.Quant.Channels = x.Name
		}
		if x.Source.DType == safetensors.F8E4M3 {
			x.Op = plan.Requantize
			lay(&x, scale)
		}
		s := plan.Tensor{Name: x.Name + "_scale_inv", DType: safetensors.F32, Op: plan.ScaleOf, Source: x.Source}
		s.Shape = []int64{(x.Shape[0] + 127) / 128, (x.Shape[1] + 127) / 128}
		return []plan.Tensor{x, s}
	}
}

// dequantized is the recipe for BF16 from codes and scale.
func dequantized(x plan.Tensor, scale *plan.Tensor) []plan.Tensor {
	x.Op, x.DType = plan.Dequantize, safetensors.BF16
	lay(&x, scale)
	return []plan.Tensor{x}
}

// lay gives x its scale.
func lay(x, scale *plan.Tensor) {
	g, err := scheme.GridOf(x.Shape[0], x.Shape[1], scale.Shape, nil)
	if err != nil {
		panic(err)
	}
	x.Scale, x.Grid = &scale.Source, &g
}

// turned is the recipe for another dtype.
func turned(op plan.Op, d safetensors.DType) func(plan.Tensor, *plan.Tensor) []plan.Tensor {
	return func(x plan.Tensor, _ *plan.Tensor) []plan.Tensor {
		x.Op, x.DType = op, d
		return []plan.Tensor{x}
	}
}

// everyWay makes the output with large and with the smallest slabs, with one
// worker and with several; it fails where two differ, and returns the tensors.
func everyWay(t *testing.T, ck *hf.Checkpoint, p *plan.Plan) map[string]string {
	t.Helper()
	first := convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
	ways := map[string]engine.Options{
		"large slabs":           {Workers: 3},
		"smallest, one worker":  {Workers: 1, Memory: engine.MinMemory(p)},
		"smallest, two workers": {Workers: 2, Memory: engine.MinMemory(p) + 64<<10},
		"many workers":          {Workers: 8, Memory: 100 << 20},
		"read ahead":            {Workers: 3},
	}
	if raced { // races need workers, not comparisons
		delete(ways, "large slabs")
		delete(ways, "smallest, one worker")
	}
	for what, o := range ways {
		got := convertTo(t, ck, p, filepath.Join(temp(t), "out"), func(d *engine.Options) {
			d.Workers, d.Memory = o.Workers, o.Memory
			if what == "read ahead" {
				engine.ReadAhead(d)
			}
			through(d, &faultfs.FS{NoSync: true})
		})
		sameFiles(t, what, got, first)
	}
	return outputs(t, first)
}

// quantizedWhole is what the kernel makes of a matrix in one piece.
func quantizedWhole(t testing.TB, data string, e fp8.Elem, rows, cols int64, q plan.Quant) (codes, scales string) {
	t.Helper()
	o := fp8.Options{Search: q.Search}
	if q.UE8M0 {
		o.ScaleFormat = fp8.ScaleUE8M0
	}
	if q.Search == fp8.SearchWeighted {
		o.Weights = channels(q.Channels, cols)
	}
	c := make([]byte, rows*cols)
	tiles := make([]fp8.TileStats, ((rows+127)/128)*((cols+127)/128))
	if err := fp8.Quantize(c, int(cols), tiles, fp8.Matrix{Data: []byte(data), Elem: e, Rows: int(rows), Cols: int(cols), Stride: int(cols)}, o); err != nil {
		t.Fatal(err)
	}
	var s []byte
	for i := range tiles {
		s = encode(s, safetensors.F32, float64(tiles[i].Scale))
	}
	return string(c), string(s)
}

// scaleAt is the scale of element r, c by the definition of each layout.
type scaleAt func(s []float32, r, c int64) float32
