package engine_test

import (
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/scheme"
)

// channels are mean squares that differ as those of real channels do: over orders
// of magnitude, some zero, in places by whole tiles.
func channels(module string, cols int64) []float32 {
	r := source(uint64(len(module)) + uint64(cols))
	out := make([]float32, cols)
	for i := range out {
		out[i] = float32(math.Exp(3 * r.NormFloat64()))
		if r.IntN(10) == 0 || i/128%5 == 3 {
			out[i] = 0
		}
	}
	return out
}

// measured has the channels that p refers to.
func measured(p *plan.Plan) func(string) ([]float32, bool) {
	cols := map[string]int64{}
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Quant.Channels != "" {
			cols[t.Quant.Channels] = t.Shape[1]
		}
	}
	return func(module string) ([]float32, bool) { return channels(module, cols[module]), cols[module] > 0 }
}

// calibrated plans tiny with what a calibration gives: weighted searches, but for
// every seventh weight, and a scale behind every other one.
func calibrated(t testing.TB) (*hf.Checkpoint, *plan.Plan) {
	t.Helper()
	ck, p := mustOpen(t, tiny(), tinyShard)
	p.Calibration = strings.Repeat("c0", 32)
	old := p.Tensors
	p.Tensors = nil
	for i := range old {
		x := old[i]
		if x.Op == plan.Quantize {
			x.Quant = plan.Quant{Params: scheme.Params{Search: fp8.SearchWeighted}, Channels: x.Meta.Module}
			if i%7 == 0 {
				x.Quant, x.Uncovered = plan.Quant{Params: scheme.Params{Search: fp8.SearchMSE}}, true
			}
		}
		p.Tensors = append(p.Tensors, x)
		if x.Op == plan.ScaleOf && i%4 != 0 {
			p.Tensors = append(p.Tensors, constantBeside(x, "input_scale", float32(i)/448, i%8 == 1))
		}
	}
	p.Regroup(func(i int) bool { return p.Tensors[i].Meta.Role == model.Scale })
	if err := p.Pack(tinyShard); err != nil {
		t.Fatal(err)
	}
	return ck, p
}

func constantBeside(x plan.Tensor, param string, value float32, uncovered bool) plan.Tensor {
	return plan.Tensor{
		Name: x.Meta.Module + "." + param, DType: safetensors.F32, Shape: []int64{}, Op: plan.Constant, Value: value,
		Source: x.Source, Meta: x.Meta, Uncovered: uncovered,
	}
}

// Weighted codes, tile by tile, are what the kernel makes of the whole matrix with
// its channels; constants are there; neither chunks nor workers show.
func TestCalibrated(t *testing.T) {
	steady(t)
	ck, p := calibrated(t)
	got := everyWay(t, ck, p)
	in := map[string]string{}
	for name, raw := range folder(t, tiny()) {
		if filepath.Ext(name) == ".safetensors" {
			for n, data := range tensorsOf(t, raw) {
				in[n] = data
			}
		}
	}
	weighed, constants := 0, 0
	for i := range p.Tensors {
		x := &p.Tensors[i]
		switch x.Op {
		case plan.Quantize:
			codes, scales := quantizedWhole(t, in[x.Name], fp8.ElemBF16, x.Shape[0], x.Shape[1], x.Quant)
			if got[x.Name] != codes || got[p.Tensors[i+1].Name] != scales {
				t.Errorf("%s: not what the kernel makes of the whole matrix", x.Name)
			}
			plain, _ := quantizedWhole(t, in[x.Name], fp8.ElemBF16, x.Shape[0], x.Shape[1], plan.Quant{Params: scheme.Params{Search: fp8.SearchMSE}})
			if codes != plain {
				weighed++
			}
		case plan.Constant:
			constants++
			if raw := got[x.Name]; raw != string(encode(nil, safetensors.F32, float64(x.Value))) {
				t.Errorf("%s: % x, want %v", x.Name, raw, x.Value)
			}
		}
	}
	if weighed == 0 || constants == 0 {
		t.Errorf("%d weights that channels make a difference to, %d constants: nothing is tested", weighed, constants)
	}
}

// The manifest names the calibration and marks what it did not reach.
func TestCalibratedManifest(t *testing.T) {
	ck, p := calibrated(t)
	files := convertTo(t, ck, p, filepath.Join(temp(t), "out"), quick)
	m, err := manifest.Decode([]byte(files[manifest.Name]))
	if err != nil {
		t.Fatal(err)
	}
	if m.Calibration != p.Calibration {
		t.Errorf("calibration %q", m.Calibration)
	}
	want := map[string]bool{}
	for i := range p.Tensors {
		want[p.Tensors[i].Name] = p.Tensors[i].Uncovered
	}
	marked := 0
	for _, x := range m.Tensors {
		if x.Uncovered != want[x.Name] {
			t.Errorf("%s: uncovered %v", x.Name, x.Uncovered)
		}
		if x.Uncovered {
			marked++
		}
	}
	if marked == 0 || marked == len(m.Tensors) {
		t.Errorf("%d of %d are marked", marked, len(m.Tensors))
	}
}

// Resumed, the output is the same; with another calibration it is another run.
func TestCalibratedResume(t *testing.T) {
	steady(t)
	ck, p := calibrated(t)
	want := convertTo(t, ck, p, filepath.Join(temp(t), "clean"), quick)
	begun := killed(t, ck, p)
	out := filepath.Join(temp(t), "out")
	restore(t, out, begun)
	r, err := start(ck, p, out, quick)
	if err != nil || r.Resumed < 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	sameFiles(t, "resumed", folder(t, out), want)

	for what, files := range map[string]map[string]string{"unfinished": begun, "finished": want} {
		_, other := calibrated(t)
		other.Calibration = strings.Repeat("d1", 32)
		out := filepath.Join(temp(t), "out")
		restore(t, out, files)
		_, err := start(ck, other, out, quick)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), p.Calibration) || !strings.Contains(err.Error(), other.Calibration) {
			t.Errorf("%s: %v", what, err)
		}
		sameFiles(t, what, folder(t, out), files)
	}
}

// A file of nothing but constants is made without reading anything, and a constant
// of several elements has its value in each.
func TestOnlyConstants(t *testing.T) {
	ck, p := planOf(t, checkpoint(t, generic, tensor{name: "a", dtype: safetensors.BF16, shape: []int64{8, 8}}), 1, func(x plan.Tensor, _ *plan.Tensor) []plan.Tensor {
		c := constantBeside(x, "k_scale", 0.25, false)
		c.Shape = []int64{2, 3}
		return []plan.Tensor{x, c}
	})
	if len(p.Shards) != 2 {
		t.Fatalf("%d shards", len(p.Shards))
	}
	got := everyWay(t, ck, p)
	if x := floats(t, safetensors.F32, []byte(got[p.Tensors[1].Name])); len(x) != 6 || x[0] != 0.25 || x[5] != 0.25 {
		t.Errorf("%v", x)
	}
	r, err := start(ck, p, filepath.Join(temp(t), "out"), quick)
	if err != nil || r.Read != 128 {
		t.Errorf("%d bytes read, %v", r.Read, err)
	}
}

// A calibration that does not fit the plan is named; what was finished stays.
func TestBadChannels(t *testing.T) {
	steady(t)
	ck, p := calibrated(t)
	bad := ""
	for i := range p.Tensors {
		if m := p.Tensors[i].Quant.Channels; m != "" {
			bad = m
		}
	}
	good := measured(p)
	of := func(change func([]float32) []float32) func(string) ([]float32, bool) {
		return func(module string) ([]float32, bool) {
			x, ok := good(module)
			if module == bad {
				x = change(x)
			}
			return x, ok && x != nil
		}
	}
	for what, c := range map[string]struct {
		channels func(string) ([]float32, bool)
		says     string
	}{
		"gone":     {of(func([]float32) []float32 { return nil }), "are gone"},
		"short":    {of(func(x []float32) []float32 { return x[1:] }), "input channels, the weight"},
		"NaN":      {of(func(x []float32) []float32 { x[5] = float32(math.NaN()); return x }), "channel 5"},
		"infinite": {of(func(x []float32) []float32 { x[6] = float32(math.Inf(1)); return x }), "channel 6"},
		"negative": {of(func(x []float32) []float32 { x[7] = -1; return x }), "is -1"},
	} {
		out := filepath.Join(temp(t), "out")
		_, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Channels = c.channels })
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", what, err)
		}
		finish(t, ck, p, out, what)
	}
	out := filepath.Join(temp(t), "out")
	if _, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Channels = nil }); err == nil || len(folder(t, out)) != 0 {
		t.Errorf("without a calibration: %v", err)
	}
}

// Constants and channels survive the plan's JSON.
func TestCalibratedJSON(t *testing.T) {
	_, p := calibrated(t)
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"op":"constant"`, `"channels":"model.layers.`, `"uncovered":true`, `"calibration":"c0c0`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s", want)
		}
	}
}
