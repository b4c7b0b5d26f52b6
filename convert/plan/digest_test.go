package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/fp8"
)

// full is a plan in which everything is set.
func full() *plan.Plan {
	p := pairs(2, 10, 20)
	p.Options = []plan.Option{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}
	p.Input = plan.Input{
		Files: []plan.InputFile{{Name: "x.safetensors", Size: 1000, Header: "00ff", Data: 88}}, Config: "11aa",
		Side: []plan.SideFile{{Name: "tokenizer.json", Size: 5}},
	}
	p.Config = "{}\n"
	for i := range p.Tensors {
		t := &p.Tensors[i]
		t.Source = plan.View{Name: t.Name, DType: safetensors.BF16, Shape: []int64{10, 20}, Offset: int64(i) * 400}
	}
	p.Tensors[0].Op = plan.Requantize
	p.Tensors[0].Scale = &plan.View{Name: "s", DType: safetensors.F32, Shape: []int64{1, 1}}
	p.Tensors[0].Grid = &plan.Grid{Rows: 1, Cols: 1, TileRows: 128, TileCols: 128, Parts: 1}
	if err := p.Pack(1); err != nil {
		panic(err)
	}
	return p
}

func digest(t *testing.T, p *plan.Plan) string {
	t.Helper()
	d, err := p.Digest()
	if err != nil || len(d) != 64 {
		t.Fatalf("%q, %v", d, err)
	}
	return d
}

// The digest names what is written: all that bytes depend on, nothing else.
func TestDigest(t *testing.T) {
	want := digest(t, full())
	if digest(t, full()) != want {
		t.Fatal("equal plans have two digests")
	}
	seen := map[string]string{want: "nothing"}
	for what, change := range map[string]func(p *plan.Plan){
		"tool":            func(p *plan.Plan) { p.Tool = "u" },
		"command":         func(p *plan.Plan) { p.Command = "d" },
		"option":          func(p *plan.Plan) { p.Options[1].Value = "3" },
		"input name":      func(p *plan.Plan) { p.Input.Files[0].Name = "y.safetensors" },
		"input size":      func(p *plan.Plan) { p.Input.Files[0].Size++ },
		"input header":    func(p *plan.Plan) { p.Input.Files[0].Header = "00fe" },
		"input config":    func(p *plan.Plan) { p.Input.Config = "11ab" },
		"side file":       func(p *plan.Plan) { p.Input.Side[0].Name = "LICENSE" },
		"side file size":  func(p *plan.Plan) { p.Input.Side[0].Size++ },
		"config":          func(p *plan.Plan) { p.Config = "{}" },
		"tensor name":     func(p *plan.Plan) { p.Tensors[1].Name = "z" },
		"dtype":           func(p *plan.Plan) { p.Tensors[1].DType = safetensors.BF16 },
		"shape":           func(p *plan.Plan) { p.Tensors[1].Shape = []int64{1} },
		"op":              func(p *plan.Plan) { p.Tensors[2].Op = plan.Requantize },
		"source":          func(p *plan.Plan) { p.Tensors[2].Source.Offset++ },
		"source dtype":    func(p *plan.Plan) { p.Tensors[2].Source.DType = safetensors.F16 },
		"source file":     func(p *plan.Plan) { p.Tensors[2].Source.File++ },
		"scale":           func(p *plan.Plan) { p.Tensors[0].Scale.Offset++ },
		"no scale":        func(p *plan.Plan) { p.Tensors[0].Scale = nil },
		"grid":            func(p *plan.Plan) { p.Tensors[0].Grid.Parts++ },
		"ue8m0":           func(p *plan.Plan) { p.Tensors[0].Quant.UE8M0 = true },
		"search":          func(p *plan.Plan) { p.Tensors[0].Quant.Search = fp8.SearchMSE },
		"other search":    func(p *plan.Plan) { p.Tensors[0].Quant.Search = fp8.SearchWeighted },
		"channels":        func(p *plan.Plan) { p.Tensors[0].Quant.Channels = "m" },
		"calibration":     func(p *plan.Plan) { p.Calibration = "22bb" },
		"value":           func(p *plan.Plan) { p.Tensors[0].Value = 1 },
		"uncovered":       func(p *plan.Plan) { p.Tensors[0].Uncovered = true },
		"finite":          func(p *plan.Plan) { p.Tensors[0].Finite = true },
		"group":           func(p *plan.Plan) { p.Tensors[3].Group++ },
		"shards":          func(p *plan.Plan) { p.Shards = p.Shards[:1] },
		"shard name":      func(p *plan.Plan) { p.Shards[0].Name = "n" },
		"order in a file": func(p *plan.Plan) { p.Shards[0].Tensors = []int{0, 1} },
	} {
		p := full()
		change(p)
		d := digest(t, p)
		if other, ok := seen[d]; ok {
			t.Errorf("%s: the digest is as with %s changed", what, other)
		}
		seen[d] = what
	}
	p := full()
	p.Notes = []string{"for people"}
	p.Tensors[0].Why, p.Tensors[0].Meta = "for people", model.Tensor{Role: model.Norm}
	if digest(t, p) != want {
		t.Error("what is for people changes the digest")
	}
}

// Dry runs print ops by name, also in JSON; the engine's errors do, too.
func TestOps(t *testing.T) {
	raw, err := json.Marshal([]plan.Op{plan.Copy, plan.Cast, plan.Widen, plan.Quantize, plan.Requantize, plan.ScaleOf, plan.Dequantize, plan.Constant, 0, 99})
	if want := `["copy","cast","widen","quantize","requantize","scale of","dequantize","constant","op 0","op 99"]`; err != nil || string(raw) != want {
		t.Errorf("%s, %v", raw, err)
	}
	for o := plan.Copy; o <= plan.Dequantize; o++ {
		if want := strings.HasSuffix(o.String(), "quantize") && o != plan.Dequantize; o.Quantizes() != want {
			t.Errorf("%s: Quantizes is %v", o, !want)
		}
	}
}

func TestOption(t *testing.T) {
	p := full()
	if p.Option("b") != "2" || p.Option("c") != "" {
		t.Errorf("%q, %q", p.Option("b"), p.Option("c"))
	}
}
