package plan_test

import (
	"slices"
	"strings"
	"testing"

	"quern/convert/plan"
	"quern/formats/safetensors"
)

// quantized is a packed plan of two weights with their scales and a vector, and one
// that goes back.
func quantized(t *testing.T) *plan.Plan {
	t.Helper()
	p := &plan.Plan{Input: plan.Input{Files: []plan.InputFile{{Name: "a", Size: 1 << 20, Data: 1024}, {Name: "b", Size: 1 << 20, Data: 8}}}}
	view := func(name string, d safetensors.DType, offset int64, shape ...int64) plan.View {
		return plan.View{Name: name, DType: d, Shape: shape, Offset: offset}
	}
	for i, name := range []string{"x", "y"} {
		v := view(name, safetensors.BF16, int64(i)*200_000, 256, 300)
		p.Tensors = append(p.Tensors,
			plan.Tensor{Name: name, DType: safetensors.F8E4M3, Shape: v.Shape, Op: plan.Quantize, Source: v, Group: i},
			plan.Tensor{Name: name + "_scale_inv", DType: safetensors.F32, Shape: []int64{2, 3}, Op: plan.ScaleOf, Source: v, Group: i})
	}
	norm := view("norm", safetensors.BF16, 600_000, 300)
	scale := view("w_scale", safetensors.F32, 0, 2, 3)
	scale.File = 1
	p.Tensors = append(p.Tensors,
		plan.Tensor{Name: "norm", DType: safetensors.BF16, Shape: norm.Shape, Op: plan.Copy, Source: norm, Group: 2},
		plan.Tensor{Name: "w", DType: safetensors.BF16, Shape: []int64{256, 300}, Op: plan.Dequantize, Source: view("w", safetensors.F8E4M3, 700_000, 256, 300), Scale: &scale, Grid: &plan.Grid{Rows: 2, Cols: 3, TileRows: 128, TileCols: 128, Parts: 1}, Group: 3},
		plan.Tensor{Name: "one", DType: safetensors.F32, Shape: []int64{}, Op: plan.Constant, Value: 1, Group: 4},
	)
	if err := p.Pack(100_000); err != nil {
		t.Fatal(err)
	}
	if len(p.Shards) < 3 {
		t.Fatal(len(p.Shards))
	}
	return p
}

// A plan that a stage has spoilt is refused before anything is created, whatever the
// mistake: a weight parted from its scale would have its scale written over the
// header of the file.
func TestValidate(t *testing.T) {
	if err := quantized(t).Validate(); err != nil {
		t.Fatal(err)
	}
	first := func(p *plan.Plan, i int) (*plan.Shard, int) {
		for k := range p.Shards {
			if n := slices.Index(p.Shards[k].Tensors, i); n >= 0 {
				return &p.Shards[k], n
			}
		}
		panic("no shard")
	}
	for what, c := range map[string]struct {
		spoil func(p *plan.Plan)
		says  string
	}{
		"scale in another group": {func(p *plan.Plan) { p.Tensors[1].Group = 9 }, `"x_scale_inv": it is parted`},
		"scale in another file": {func(p *plan.Plan) {
			if err := p.PackFiles([][]int{{0, 2, 3, 4, 5}, {1, 6}}); err != nil {
				panic(err)
			}
		}, `"x_scale_inv" lies in another file`},
		"scale not behind its weight": {func(p *plan.Plan) { p.Tensors[1], p.Tensors[4] = p.Tensors[4], p.Tensors[1] }, "scale"},
		"no scale":                    {func(p *plan.Plan) { p.Tensors[1].Op = plan.Constant }, `"x": its scale does not follow`},
		"scale of another shape":      {func(p *plan.Plan) { p.Tensors[1].Shape = []int64{3, 2} }, "no scales of"},
		"two places for a tensor":     {func(p *plan.Plan) { s, n := first(p, 1); s.Tensors[n] = 0 }, "two places"},
		"no place for a tensor": {func(p *plan.Plan) {
			p.Shards = slices.DeleteFunc(p.Shards, func(s plan.Shard) bool { return slices.Contains(s.Tensors, 4) })
		}, "lies in no file"},
		"over the header":     {func(p *plan.Plan) { s, n := first(p, 1); s.Offsets[n] = 0 }, "lies over"},
		"over a neighbour":    {func(p *plan.Plan) { s, n := first(p, 0); s.Offsets[n]-- }, "lies over"},
		"a hole":              {func(p *plan.Plan) { s, n := first(p, 5); s.Offsets[n] += 8; s.Size += 8 }, "belong to nothing"},
		"a file too small":    {func(p *plan.Plan) { p.Shards[0].Size-- }, "end at"},
		"two files of a name": {func(p *plan.Plan) { p.Shards[1].Name = p.Shards[0].Name }, "name"},
		"a path":              {func(p *plan.Plan) { p.Shards[1].Name = "../model.safetensors" }, "name"},
		"source beyond":       {func(p *plan.Plan) { p.Tensors[0].Source.Offset = 1 << 20 }, `does not lie within "a"`},
		"source before":       {func(p *plan.Plan) { p.Tensors[0].Source.Offset = -1 }, "does not lie within"},
		"source of no file":   {func(p *plan.Plan) { p.Tensors[0].Source.File = 2 }, "file 2 of 2"},
		"order beyond": {func(p *plan.Plan) {
			p.Tensors[4].Source.Order = make([]int, 300)
			p.Tensors[4].Source.Order[3] = 1 << 19
		}, "does not lie within"},
		"a stride too small": {func(p *plan.Plan) { p.Tensors[0].Source.Stride = 3 }, "stride of 3"},
		"a stride beyond":    {func(p *plan.Plan) { p.Tensors[0].Source.Stride = 8000 }, "does not lie within"},
		"another type":       {func(p *plan.Plan) { p.Tensors[4].DType = safetensors.F16 }, "does not make"},
		"another size":       {func(p *plan.Plan) { p.Tensors[4].Source.Shape = []int64{299} }, "does not make"},
		"codes of no shape":  {func(p *plan.Plan) { p.Tensors[0].Source.Shape = []int64{300, 256} }, "does not make"},
		"no scales":          {func(p *plan.Plan) { p.Tensors[5].Scale = nil }, "without scales"},
		"scales elsewhere":   {func(p *plan.Plan) { p.Tensors[5].Scale.Offset = 1 << 20 }, `does not lie within "b"`},
		"a grid too small":   {func(p *plan.Plan) { p.Tensors[5].Grid.TileCols = 64 }, "does not cover"},
		"another grid":       {func(p *plan.Plan) { p.Tensors[5].Grid.Rows = 3 }, "no grid"},
		"no operation":       {func(p *plan.Plan) { p.Tensors[4].Op = 0 }, "there is no op 0"},
	} {
		p := quantized(t)
		c.spoil(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
