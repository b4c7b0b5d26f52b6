package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/verify"
)

// agrees holds the figures against those that the manifest has from the kernels.
func agrees(t *testing.T, dir string, r *verify.WeightsReport) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, manifest.Name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*manifest.Error{}
	for _, x := range m.Tensors {
		if x.Error != nil {
			want[x.Name] = x.Error
		}
	}
	if len(r.Tensors) != len(want) || r.Quantized != len(want) {
		t.Fatalf("%d tensors measured, %d are quantized", len(r.Tensors), len(want))
	}
	for _, x := range r.Tensors {
		w := want[x.Name]
		switch {
		case w == nil:
			t.Errorf("%s: not quantized", x.Name)
		case (w.SQNR == nil) != (x.SQNR == nil):
			t.Errorf("%s: %v, the manifest has %v", x.Name, x.SQNR, w.SQNR)
		case w.SQNR != nil && (math.Abs(*w.SQNR-*x.SQNR) > 1e-3 || math.Abs(w.Relative-x.Relative) > 1e-5*w.Relative || math.Abs(w.Max-x.MaxAbs) > 1e-5*w.Max):
			t.Errorf("%s: %v dB, relative %v, max %v; the manifest has %v, %v, %v", x.Name, *x.SQNR, x.Relative, x.MaxAbs, *w.SQNR, w.Relative, w.Max)
		case math.Abs(x.Cosine-1) > 1e-3:
			t.Errorf("%s: cosine %v", x.Name, x.Cosine)
		}
	}
}

func TestQuantized(t *testing.T) {
	src := tiny(t)
	for name, o := range map[string]convert.QuantizeOptions{
		"default": {}, "ue8m0": {UE8M0: true}, "search": {Search: fp8.SearchMSE}, "bf16": {KeepBF16: true}, "mtp": {KeepMTP: true}, "some": {Keep: []string{"*o_proj"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := quantized(t, src, o)
			r := compare(t, src, out)
			wantFailed(t, r, nil)
			agrees(t, out, r.Weights)
			if r.Weights.WorstSQNR == nil != (r.Weights.Quantized == 0) {
				t.Errorf("worst %v of %d", r.Weights.WorstSQNR, r.Weights.Quantized)
			}
			if c := open(t, out); r.Weights.Kept+2*r.Weights.Quantized != c.Len() {
				t.Errorf("%d kept and %d quantized of %d tensors", r.Weights.Kept, r.Weights.Quantized, c.Len())
			}
		})
	}
}

func TestSelf(t *testing.T) {
	src := tiny(t)
	out := quantized(t, src, convert.QuantizeOptions{})
	r := compare(t, src, src)
	wantFailed(t, r, nil)
	if g := gate(t, r, "sqnr"); g.Skipped == "" || r.Weights.Quantized != 0 || r.Weights.WorstSQNR != nil || r.Weights.Tensors == nil || r.Weights.Roles == nil {
		t.Errorf("BF16 against itself: %+v, %+v", g, r.Weights)
	}
	r = compare(t, out, out)
	wantFailed(t, r, nil)
	if g := gate(t, r, "sqnr"); !math.IsInf(g.Value, 1) || r.Weights.Quantized == 0 || r.Weights.WorstSQNR != nil || r.Weights.WorstTensor != "" {
		t.Errorf("FP8 against itself: %+v, %+v", g, r.Weights)
	}
	for _, x := range r.Weights.Tensors {
		if x.SQNR != nil || x.Relative != 0 || x.Cosine != 1 || x.MaxAbs != 0 {
			t.Errorf("%+v", x)
		}
	}
}

func TestBF16(t *testing.T) {
	v := synth.Tiny()
	v.DType = safetensors.F32
	src := filepath.Join(t.TempDir(), "f32")
	if err := v.Write(src); err != nil {
		t.Fatal(err)
	}
	kept := quantized(t, src, convert.QuantizeOptions{KeepBF16: true})
	r := compare(t, src, kept)
	wantFailed(t, r, nil)
	agrees(t, kept, r.Weights)
	wide := dequantized(t, kept)
	wantFailed(t, compare(t, kept, wide), nil) // codes times scales, rounded
	wantFailed(t, compare(t, wide, kept), nil) // the codes again, against their BF16
	damage(t, wide, expert, func(p []byte) { p[2*136+2] ^= 1 })
	wantFailed(t, compare(t, kept, wide), []string{"digest", "kept"})
	if f := gate(t, compare(t, kept, wide), "kept").Failures; !slices.Equal(f, []string{
		`tensor "` + expert + `" (routed_expert): 1 of 9,792 values differ from the baseline's F8_E4M3 rounded to BF16, the first at index 137 (row 1, column 1)`,
	}) {
		t.Errorf("%q", f)
	}
	damage(t, kept, "lm_head.weight", func(p []byte) { p[0] ^= 1 })
	if f := gate(t, compare(t, src, kept), "kept").Failures; len(f) != 1 || !strings.Contains(f[0], "F32 rounded to BF16") {
		t.Errorf("%q", f)
	}
}

func TestDamagedWeights(t *testing.T) {
	src := tiny(t)
	double := func(p []byte) {
		binary.LittleEndian.PutUint32(p, binary.LittleEndian.Uint32(p)+1<<23)
	}
	for _, c := range []struct {
		name, tensor string
		change       func([]byte)
		gates        []string
		texts        []string
	}{
		{"router", router, func(p []byte) { p[2] ^= 1 }, []string{"kept"}, []string{router, "(router)", "1 of 544 values", "index 1 "}},
		{"scale doubled", expert + "_scale_inv", double, []string{"codes", "sqnr"}, []string{expert, "less than", "absmax"}},
		{"codes", expert, func(p []byte) {
			for i := range p[:2000] {
				p[i] ^= 4
			}
		}, []string{"codes", "sqnr"}, []string{expert, "(routed_expert)"}},
		{"NaN code", expert, func(p []byte) { p[0] = 0x7f }, []string{"codes", "sqnr"}, []string{expert, "not finite"}},
		{"NaN scale", expert + "_scale_inv", func(p []byte) { copy(p, []byte{0, 0, 0xc0, 0x7f}) }, []string{"codes", "sqnr"}, []string{expert, "not finite"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := quantized(t, src, convert.QuantizeOptions{})
			damage(t, out, c.tensor, c.change)
			w, gates, err := verify.Weights(context.Background(), open(t, src), open(t, out), verify.Options{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			r := &verify.Report{Weights: w}
			r.Add(gates...)
			wantFailed(t, r, c.gates, c.texts...)
			if c.gates[0] == "codes" && (w.WorstTensor != expert || w.Tensors[0].Name != expert || w.WorstSQNR == nil) {
				t.Errorf("worst: %q", w.WorstTensor)
			}
			if g := gate(t, r, "sqnr"); g.Passed != (g.Value >= g.Limit) {
				t.Errorf("%+v", g)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOnlyOneSide(t *testing.T) {
	a := entry{"model.norm.weight", safetensors.BF16, []int64{2}, make([]byte, 4)}
	b := entry{"lm_head.weight", safetensors.BF16, []int64{2, 2}, make([]byte, 8)}
	codes := entry{"model.layers.0.mlp.up_proj.weight", safetensors.F8E4M3, []int64{2, 2}, make([]byte, 4)}
	scale := entry{codes.name + "_scale_inv", safetensors.F32, []int64{1, 1}, []byte{0, 0, 0x80, 0x3f}}
	wide := entry{codes.name, safetensors.BF16, []int64{2, 2}, make([]byte, 8)}
	turned := entry{codes.name, safetensors.BF16, []int64{4, 1}, make([]byte, 8)}
	ints := entry{codes.name, safetensors.I16, []int64{2, 2}, make([]byte, 8)}
	static := entry{"model.layers.0.mlp.up_proj.input_scale", safetensors.F32, []int64{}, []byte{0, 0, 0x80, 0x3f}}
	b64 := b
	b64.dtype, b64.data = safetensors.F64, make([]byte, 32)
	half := b
	half.dtype = safetensors.F16
	dir := func(e ...entry) string { return checkpoint(t, nil, e...) }
	for _, c := range []struct {
		name       string
		base, cand string
		gates      []string
		texts      []string
	}{
		{"missing", dir(a, b), dir(a), []string{"kept"}, []string{"lm_head.weight", "missing"}},
		{"extra", dir(a), dir(a, b), []string{"kept"}, []string{"lm_head.weight", "the baseline has no such tensor"}},
		{"scales come", dir(a, wide), dir(a, codes, scale, static), nil, nil},
		{"scales go", dir(a, codes, scale, static), dir(a, wide), nil, nil},
		{"quantized from nothing", dir(a), dir(a, codes, scale), []string{"sqnr"}, []string{codes.name, "no such tensor"}},
		{"shape", dir(turned), dir(codes, scale), []string{"sqnr"}, []string{codes.name, "shape [2 2], the baseline has [4 1]"}},
		{"kept shape", dir(turned), dir(wide), []string{"kept"}, []string{codes.name, "shape [2 2]"}},
		{"no numbers", dir(ints), dir(codes, scale), []string{"sqnr"}, []string{"dtype I16"}},
		{"narrowed", dir(a, b), dir(a, half), []string{"kept"}, []string{"dtype F16, the baseline has BF16"}},
		{"rounded", dir(a, b64), dir(a, b), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := compare(t, c.base, c.cand)
			wantFailed(t, r, c.gates, c.texts...)
		})
	}
	if _, _, err := verify.Weights(context.Background(), open(t, dir(codes)), open(t, dir(wide)), verify.Options{}); !errors.Is(err, invalid.Input) || !strings.HasPrefix(err.Error(), "baseline: ") {
		t.Errorf("baseline without a scale: %v", err)
	}
}

// Fused experts of the baseline are compared with the matrices that they become.
func TestFused(t *testing.T) {
	config := map[string]any{
		"model_type": "qwen3_5_moe", "hidden_size": 130, "moe_intermediate_size": 3, "num_experts": 2,
		"num_experts_per_tok": 1, "num_hidden_layers": 1, "vocab_size": 4,
	}
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		out := make([]byte, 2*n)
		for i := range n {
			binary.LittleEndian.PutUint16(out[2*i:], fp8.BF16FromFloat32(float32(r.NormFloat64())))
		}
		return out
	}
	m := "model.language_model.layers.0.mlp.experts."
	src := checkpoint(t, config,
		entry{m + "gate_up_proj", safetensors.BF16, []int64{2, 6, 130}, random(2 * 6 * 130)},
		entry{m + "down_proj", safetensors.BF16, []int64{2, 130, 3}, random(2 * 130 * 3)},
	)
	out := quantized(t, src, convert.QuantizeOptions{})
	rep := compare(t, src, out)
	wantFailed(t, rep, nil)
	agrees(t, out, rep.Weights)
	if rep.Weights.Quantized != 6 {
		t.Errorf("%d tensors measured, want 6", rep.Weights.Quantized)
	}
	damage(t, out, m+"1.up_proj.weight", func(p []byte) {
		for i := range p {
			p[i] ^= 0x80
		}
	})
	wantFailed(t, compare(t, src, out), []string{"digest", "codes", "sqnr"}, m+"1.up_proj.weight")
	// A checkpoint that lacks one of them.
	some := checkpoint(t, config, entry{m + "0.down_proj.weight", safetensors.BF16, []int64{130, 3}, first(t, src, m+"down_proj", 780)})
	rep = compare(t, src, some)
	want := []string{
		`tensor "` + m + `1.down_proj.weight" (routed_expert): missing; the baseline has it`,
		`tensor "` + m + `gate_up_proj" (routed_expert): missing; the baseline has it`,
	}
	if got := sorted(gate(t, rep, "kept").Failures); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// first returns the first n bytes of a tensor.
func first(t *testing.T, dir, tensor string, n int) []byte {
	t.Helper()
	var out []byte
	damage(t, dir, tensor, func(p []byte) { out = slices.Clone(p[:n]) })
	return out
}

// What is found must not depend on workers, nor on how tensors are cut: the wide
// matrix spans several pieces and lies in one row of tiles.
func TestWorkers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const rows, cols = 2, 2_200_001
	data := make([]byte, 2*rows*cols)
	for i := range rows * cols {
		binary.LittleEndian.PutUint16(data[2*i:], fp8.BF16FromFloat32(float32(r.NormFloat64())))
	}
	name := "model.layers.0.mlp.up_proj.weight"
	src := checkpoint(t, nil, entry{name, safetensors.BF16, []int64{rows, cols}, data},
		entry{"model.layers.0.mlp.down_proj.weight", safetensors.BF16, []int64{cols, rows}, data})
	for _, o := range []convert.QuantizeOptions{{}, {UE8M0: true}} {
		out := quantized(t, src, o)
		// One row of the scales too large by half: below 31 dB, so that the ideal is measured.
		damage(t, out, name+"_scale_inv", func(p []byte) {
			for i := 0; i < len(p); i += 4 {
				x := math.Float32frombits(binary.LittleEndian.Uint32(p[i:]))
				binary.LittleEndian.PutUint32(p[i:], math.Float32bits(1.25*x))
			}
		})
		var reports []*verify.Report
		for _, workers := range []int{1, 3} {
			c, err := verify.Compare(context.Background(), open(t, src), open(t, out), verify.Options{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, c)
		}
		a, b := reports[0], reports[1]
		if !reflect.DeepEqual(a, b) {
			t.Errorf("one worker: %+v\nthree: %+v", a, b)
		}
		g := gate(t, a, "sqnr")
		if g.Passed || len(g.Failures) != 1 || !strings.Contains(g.Failures[0], name) {
			t.Fatalf("%+v", g)
		}
		// The ideal equals what the engine's kernels measured.
		var ideal float64
		for _, x := range a.Weights.Tensors {
			if x.Name == name {
				ideal = *x.Ideal
			}
		}
		edit(t, out, func(m *manifest.Manifest) {
			for _, x := range m.Tensors {
				if x.Name == name && math.Abs(*x.Error.SQNR-ideal) > 1e-9 {
					t.Errorf("ideal %v, the manifest has %v", ideal, *x.Error.SQNR)
				}
			}
		})
	}
}

// Every layout of scales, over every type of baseline.
func TestLayouts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const rows, cols = 260, 384
	codes := make([]byte, rows*cols)
	for i := range codes {
		if codes[i] = byte(r.Uint32()); codes[i]&0x7f == 0x7f {
			codes[i] = 0
		}
	}
	name := "model.layers.0.mlp.up_proj.weight"
	for _, shape := range [][]int64{{3, 3}, {1}, {rows}, {rows, 1}, {rows, 6}, {3, 1, 3, 1}, {5, 3}} {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		raw := make([]byte, n) // E8M0
		for i := range raw {
			raw[i] = byte(120 + r.IntN(10))
		}
		fp := checkpoint(t, nil,
			entry{name, safetensors.F8E4M3, []int64{rows, cols}, codes},
			entry{name + "_scale_inv", safetensors.F8E8M0, shape, raw})
		wide := dequantized(t, fp)
		wantFailed(t, compare(t, fp, wide), nil)
		// Powers of two times E4M3 fit BF16, so the way back is exact.
		rep := compare(t, wide, fp)
		wantFailed(t, rep, nil)
		if rep.Weights.WorstSQNR != nil {
			t.Errorf("scales %v: %v dB, want exact", shape, *rep.Weights.WorstSQNR)
		}
		for _, e := range []struct {
			dtype safetensors.DType
			put   func(p []byte, x float32) []byte
		}{
			{safetensors.F32, func(p []byte, x float32) []byte { return binary.LittleEndian.AppendUint32(p, math.Float32bits(x)) }},
			{safetensors.F64, func(p []byte, x float32) []byte {
				return binary.LittleEndian.AppendUint64(p, math.Float64bits(float64(x)))
			}},
		} {
			var data []byte
			for _, w := range bf16s(first(t, wide, name, 2*rows*cols)) {
				data = e.put(data, w)
			}
			src := checkpoint(t, nil, entry{name, e.dtype, []int64{rows, cols}, data})
			rep := compare(t, src, fp)
			wantFailed(t, rep, nil)
			if rep.Weights.WorstSQNR != nil {
				t.Errorf("scales %v against %v: %v dB, want exact", shape, e.dtype, *rep.Weights.WorstSQNR)
			}
		}
	}
}

func bf16s(p []byte) []float32 {
	out := make([]float32, len(p)/2)
	for i := range out {
		out[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(p[2*i:]))
	}
	return out
}

func TestSetLimit(t *testing.T) {
	src := tiny(t)
	out := quantized(t, src, convert.QuantizeOptions{})
	damage(t, out, router, func(p []byte) { p[2] ^= 1 })
	r := compare(t, src, out)
	wantFailed(t, r, []string{"digest", "kept"})
	if !r.SetLimit("kept", 1) || !r.SetOff("digest") || r.SetLimit("speed", 1) || r.SetOff("speed") {
		t.Error("wrong idea of which gates there are")
	}
	if !r.Passed || gate(t, r, "digest").Skipped == "" {
		t.Errorf("%+v", r.Gates)
	}
	if !r.SetLimit("sqnr", 45) || r.Passed {
		t.Errorf("%+v", r.Gates)
	}
	if g := gate(t, r, "sqnr"); g.Value != *r.Weights.WorstSQNR || g.Limit != 45 || len(g.Failures) != 21 {
		t.Errorf("%+v", g)
	}
	if r.SetLimit("sqnr", 20); !r.Passed {
		t.Errorf("%+v", r.Gates)
	}
}

func TestText(t *testing.T) {
	src := tiny(t)
	out := quantized(t, src, convert.QuantizeOptions{})
	damage(t, out, router, func(p []byte) { p[2] ^= 1 })
	var b bytes.Buffer
	compare(t, src, out).Print(&b)
	for _, want := range []string{"digest  FAILED", "finite  passed", "≤ 0", "≥ 31", router, "mtp routed_expert", "worst tensors", "against " + src, "2 of 9 gates failed"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	b.Reset()
	integrity(t, src).Print(&b)
	if !strings.Contains(b.String(), "not checked") || !strings.Contains(b.String(), "there is no quern-manifest.json") || !strings.HasSuffix(b.String(), "\nall gates passed, 2 not checked\n") {
		t.Errorf("%s", &b)
	}
}

func TestJSON(t *testing.T) {
	out := quantized(t, tiny(t), convert.QuantizeOptions{})
	raw, err := json.Marshal(compare(t, out, out))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Passed bool
		Gates  []map[string]any
		Weight struct {
			Worst  *float64 `json:"worst_sqnr_db"`
			Tensor *string  `json:"worst_tensor"`
		} `json:"weights"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if !got.Passed || got.Weight.Worst != nil || got.Weight.Tensor == nil || len(got.Gates) != 9 {
		t.Errorf("%+v", got)
	}
	for _, g := range got.Gates {
		for _, key := range []string{"name", "value", "limit", "passed"} {
			if _, ok := g[key]; !ok {
				t.Errorf("gate %v lacks %q", g, key)
			}
		}
	}
}

// Weights that lie between codes reach no 31 dB; the gate asks what is possible.
func TestIdeal(t *testing.T) {
	const n = 128
	data := make([]byte, 0, 2*n*n)
	for i := range n * n {
		x := float32(17) // between the codes 16 and 18
		if i == 0 {
			x = 448 // which makes the scale 1
		}
		data = binary.LittleEndian.AppendUint16(data, fp8.BF16FromFloat32(x))
	}
	name := "model.layers.0.mlp.up_proj.weight"
	src := checkpoint(t, nil, entry{name, safetensors.BF16, []int64{n, n}, data})
	for _, o := range []convert.QuantizeOptions{{}, {UE8M0: true}} {
		out := quantized(t, src, o)
		r := compare(t, src, out)
		wantFailed(t, r, nil)
		want := 10 * math.Log10((448*448+(n*n-1)*17*17)/float64(n*n-1))
		g := gate(t, r, "sqnr")
		if math.Abs(g.Value-want) > 1e-5 || math.Abs(g.Limit-(want-0.1)) > 1e-5 || *r.Weights.WorstSQNR != g.Value || r.Weights.WorstTensor != name {
			t.Errorf("%+v, want %v", g, want)
		}
		// A decibel further down it fails.
		damage(t, out, name, func(p []byte) {
			for i := range 500 {
				p[1+i] += 2 // 16 becomes 20
			}
		})
		wantFailed(t, compare(t, src, out), []string{"digest", "codes", "sqnr"})
	}
}
