package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/x448/float16"

	"quern/convert"
	"quern/convert/manifest"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/verify"
)

const dense = "model.layers.0.mlp.up_proj.weight"

// matrix is a source of the given type with random weights, which repeat after a
// prime number of them.
func matrix(d safetensors.DType, rows, cols int64, seed uint64) entry {
	r := rand.New(rand.NewPCG(seed, 7))
	var some []byte
	for range 65_521 {
		some = put(some, d, r.NormFloat64()*0.02)
	}
	n := int(rows * cols * d.Bits() / 8)
	return entry{dense, d, []int64{rows, cols}, bytes.Repeat(some, n/len(some)+1)[:n]}
}

func put(p []byte, d safetensors.DType, x float64) []byte {
	switch d {
	case safetensors.BF16:
		return binary.LittleEndian.AppendUint16(p, fp8.BF16FromFloat32(float32(x)))
	case safetensors.F16:
		return binary.LittleEndian.AppendUint16(p, float16.Fromfloat32(float32(x)).Bits())
	case safetensors.F32:
		return binary.LittleEndian.AppendUint32(p, math.Float32bits(float32(x)))
	}
	return binary.LittleEndian.AppendUint64(p, math.Float64bits(x))
}

// fresh compares with one worker and with three, which must not matter.
func fresh(t *testing.T, base, cand string) *verify.Fresh {
	t.Helper()
	var out []*verify.Report
	for _, workers := range []int{1, 3} {
		r, err := verify.Compare(context.Background(), open(t, base), open(t, cand), verify.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if !reflect.DeepEqual(out[0], out[1]) {
		t.Errorf("one worker: %+v\nthree: %+v", out[0], out[1])
	}
	return out[0].Weights.Fresh
}

// wantEqual checks that all of n tensors are equal to a fresh quantization.
func wantEqual(t *testing.T, f *verify.Fresh, n int) {
	t.Helper()
	if f == nil || !f.Equal || f.Checked != n || f.Different != 0 || len(f.First) != 0 || f.Unchecked != nil {
		t.Errorf("%+v, want %d equal tensors", f, n)
	}
}

// wantUnchecked checks that nothing was compared, for the only reason given.
func wantUnchecked(t *testing.T, f *verify.Fresh, n int, why string) {
	t.Helper()
	if f == nil || f.Equal || f.Checked != 0 || !reflect.DeepEqual(f.Unchecked, []verify.Unchecked{{Why: why, Tensors: n}}) {
		t.Errorf("%+v, want %d tensors unchecked: %s", f, n, why)
	}
}

func forget(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, manifest.Name)); err != nil {
		t.Fatal(err)
	}
}

func TestFresh(t *testing.T) {
	src := tiny(t)
	for name, o := range map[string]convert.QuantizeOptions{
		"default": {}, "ue8m0": {UE8M0: true}, "mse": {Search: fp8.SearchMSE}, "both": {UE8M0: true, Search: fp8.SearchMSE}, "some": {KeepMTP: true, Keep: []string{"*o_proj"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := quantized(t, src, o)
			r := compare(t, src, out)
			f := fresh(t, src, out)
			if r.Weights.Quantized == 0 { // tiny has nothing but ragged matrices
				if f != nil {
					t.Errorf("%+v of nothing", f)
				}
				return
			}
			wantEqual(t, f, r.Weights.Quantized)
			search, format := "none", "float"
			if o.Search == fp8.SearchMSE {
				search = "mse"
			}
			if o.UE8M0 {
				format = "ue8m0"
			}
			if f.Search != search || f.ScaleFormat != format || f.Assumed {
				t.Errorf("%+v", f)
			}
			forget(t, out) // the config still says of which form the scales are
			f = fresh(t, src, out)
			if f.Search != "none" || f.ScaleFormat != format || !f.Assumed || f.Equal != (f.Different == 0) || f.Checked != r.Weights.Quantized {
				t.Errorf("without a manifest: %+v", f)
			}
			// Powers of two leave the search little choice, and here none.
			if f.Equal != (o.Search == fp8.SearchNone || o.UE8M0) {
				t.Errorf("without a manifest: %+v", f)
			}
		})
	}
}

// Every type of source, tiles that are ragged, and rows whose number of bytes has
// no common divisor with pieces or blocks.
func TestFreshSources(t *testing.T) {
	for _, d := range []safetensors.DType{safetensors.BF16, safetensors.F16, safetensors.F32, safetensors.F64} {
		for _, shape := range [][2]int64{{1, 1}, {128, 128}, {257, 384}, {130, 1001}, {1300, 2051}} {
			t.Run(fmt.Sprint(d, shape), func(t *testing.T) {
				if testing.Short() && shape[0] > 1000 && d != safetensors.F64 { // which has the smallest pieces
					t.Skip("-short")
				}
				src := checkpoint(t, nil, matrix(d, shape[0], shape[1], 1))
				out := quantized(t, src, convert.QuantizeOptions{Search: map[int64]fp8.Search{257: fp8.SearchMSE}[shape[0]]})
				wantEqual(t, fresh(t, src, out), 1)
				last := shape[0]*shape[1] - 1
				damage(t, out, dense, func(p []byte) { p[last] ^= 0x80 })
				f := fresh(t, src, out)
				if f.Equal || f.Different != 1 || !slices.Equal(f.First, []verify.Different{{Name: dense, Codes: 1}}) {
					t.Errorf("%+v", f)
				}
			})
		}
	}
}

func TestNotFresh(t *testing.T) {
	src := tiny(t)
	all := compare(t, src, quantized(t, src, convert.QuantizeOptions{})).Weights.Quantized
	for _, c := range []struct {
		name, tensor string
		change       func([]byte)
		want         verify.Different
	}{
		{"a code", expert, func(p []byte) { p[9791] ^= 1 }, verify.Different{Codes: 1}},
		{"a NaN code", expert, func(p []byte) { p[77] = 0x7f }, verify.Different{Codes: 1}},
		{"codes", expert, func(p []byte) { p[0], p[136], p[5000] = p[0]^1, p[136]^1, p[5000]^1 }, verify.Different{Codes: 3}},
		{"a scale", expert + "_scale_inv", func(p []byte) { p[4] ^= 1 }, verify.Different{Scales: 1}},
		{"a NaN scale", expert + "_scale_inv", func(p []byte) { copy(p, []byte{0, 0, 0xc0, 0x7f}) }, verify.Different{Scales: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := quantized(t, src, convert.QuantizeOptions{})
			damage(t, out, c.tensor, c.change)
			f := fresh(t, src, out)
			c.want.Name = expert
			if f.Equal || f.Checked != all || f.Different != 1 || !slices.Equal(f.First, []verify.Different{c.want}) {
				t.Errorf("%+v, want %+v", f, c.want)
			}
		})
	}
	// Rounded twice: first with other scales, then as if that were the original.
	twice := quantized(t, dequantized(t, quantized(t, src, convert.QuantizeOptions{Search: fp8.SearchMSE})), convert.QuantizeOptions{})
	f := fresh(t, src, twice)
	if f.Equal || f.Different < all/2 || len(f.First) != 20 || f.First[0].Codes == 0 {
		t.Errorf("rounded twice: %+v", f)
	}
	r := compare(t, src, twice)
	if g := gate(t, r, "kept"); !g.Passed {
		t.Errorf("%+v", g)
	}
}

// What the manifest says of the search decides what is compared.
func TestFreshSearch(t *testing.T) {
	src := tiny(t)
	out := quantized(t, src, convert.QuantizeOptions{})
	all := compare(t, src, out).Weights.Quantized
	say := func(value string) {
		edit(t, out, func(m *manifest.Manifest) {
			for i := range m.Options {
				if m.Options[i].Name == "search" {
					m.Options[i].Value = value
				}
			}
		})
	}
	say("mse")
	if f := fresh(t, src, out); f.Equal || f.Search != "mse" || f.Checked != all {
		t.Errorf("%+v", f)
	}
	say("weighted")
	wantUnchecked(t, fresh(t, src, out), all, "made with a calibration")
	say("\x1b")
	wantUnchecked(t, fresh(t, src, out), all, `the manifest's search "\x1b" is not known`)
	edit(t, out, func(m *manifest.Manifest) { m.Options = nil })
	f := fresh(t, src, out)
	wantEqual(t, f, all)
	if !f.Assumed {
		t.Errorf("%+v", f)
	}
	write(t, filepath.Join(out, manifest.Name), []byte("{}"))
	if _, _, err := verify.Weights(context.Background(), open(t, src), open(t, out), verify.Options{}); err == nil {
		t.Error("a manifest that is none is taken")
	}
}

// What is no quantization by quern, or cannot be made anew.
func TestFreshUnchecked(t *testing.T) {
	src := tiny(t)
	fp := quantized(t, src, convert.QuantizeOptions{})
	again := quantized(t, fp, convert.QuantizeOptions{})
	all := compare(t, src, fp).Weights.Quantized
	copied := "the baseline is FP8, of which codes are copied"
	wantUnchecked(t, fresh(t, fp, again), all, copied)
	wantUnchecked(t, fresh(t, fp, fp), all, copied)
	wantEqual(t, fresh(t, src, again), all) // copies of codes that were fresh
	if f := fresh(t, fp, src); f != nil {
		t.Errorf("%+v of BF16", f)
	}

	scales := func(d safetensors.DType, name string, shape ...int64) string {
		n := int64(1)
		for _, x := range shape {
			n *= x
		}
		return checkpoint(t, nil,
			entry{dense, safetensors.F8E4M3, []int64{256, 128}, make([]byte, 256*128)},
			entry{name, d, shape, bytes.Repeat([]byte{0x01}, int(n*d.Bits()/8))})
	}
	zeros := checkpoint(t, nil, entry{dense, safetensors.BF16, []int64{256, 128}, make([]byte, 2*256*128)})
	other := "no F32 weight_scale_inv of 128×128 tiles"
	for _, dir := range []string{
		scales(safetensors.F32, strings.TrimSuffix(dense, "weight")+"scale", 2, 1),
		scales(safetensors.BF16, dense+"_scale_inv", 2, 1),
		scales(safetensors.F32, dense+"_scale_inv", 256, 1),
		scales(safetensors.F32, dense+"_scale_inv", 1),
		scales(safetensors.F32, dense+"_scale_inv", 2, 1, 1, 1),
	} {
		wantUnchecked(t, fresh(t, zeros, dir), 1, other)
	}
	for _, name := range []string{"_scale_inv", "_scale"} { // deepseek, compressed-tensors
		if f := fresh(t, zeros, scales(safetensors.F32, dense+name, 2, 1)); f.Checked != 1 || !slices.Equal(f.First, []verify.Different{{Name: dense, Scales: 2}}) {
			t.Errorf("scales of zeros are 1: %+v", f)
		}
	}
	broken := checkpoint(t, nil, entry{dense, safetensors.BF16, []int64{256, 128}, bytes.Repeat([]byte{0xc0, 0x7f}, 256*128)})
	wantUnchecked(t, fresh(t, broken, scales(safetensors.F32, dense+"_scale_inv", 2, 1)), 1, "the baseline has values that are not finite")
	empty := checkpoint(t, nil, entry{dense, safetensors.BF16, []int64{0, 128}, nil})
	none := checkpoint(t, nil, entry{dense, safetensors.F8E4M3, []int64{0, 128}, nil}, entry{dense + "_scale_inv", safetensors.F32, []int64{0, 1}, nil})
	wantEqual(t, fresh(t, empty, none), 1)
}

// Matrices of which a row of tiles is more than a piece, and more than there is
// memory for.
func TestFreshWide(t *testing.T) {
	const cols = 17_003 // in BF16 a row of tiles has 4.4 MB
	src := checkpoint(t, nil, matrix(safetensors.BF16, 140, cols, 2))
	out := quantized(t, src, convert.QuantizeOptions{})
	wantEqual(t, fresh(t, src, out), 1)
	damage(t, out, dense, func(p []byte) { p[130*cols+1] ^= 1 })
	damage(t, out, dense+"_scale_inv", func(p []byte) { p[4*200] ^= 1 })
	if f := fresh(t, src, out); !slices.Equal(f.First, []verify.Different{{Name: dense, Codes: 1, Scales: 1}}) {
		t.Errorf("%+v", f)
	}

	if testing.Short() {
		t.Skip("-short: no matrices that are too wide")
	}
	const widest = 32 << 20 / 128 / 8 // of F64
	for _, c := range []struct {
		rows, cols int64
		fits       bool
	}{{128, widest, true}, {129, widest + 1, false}, {127, widest + 1, true}} {
		e := entry{dense, safetensors.F64, []int64{c.rows, c.cols}, make([]byte, 8*c.rows*c.cols)}
		e.data[7] = 0x3f
		src = checkpoint(t, nil, e)
		out = quantized(t, src, convert.QuantizeOptions{})
		r := compare(t, src, out)
		wantFailed(t, r, nil)
		if c.fits {
			wantEqual(t, r.Weights.Fresh, 1)
		} else {
			wantUnchecked(t, r.Weights.Fresh, 1, "too wide for a row of tiles in memory")
		}
	}
}

// Fused experts of the baseline are quantized one by one.
func TestFreshFused(t *testing.T) {
	config := map[string]any{
		"model_type": "qwen3_5_moe", "hidden_size": 300, "moe_intermediate_size": 130, "num_experts": 3,
		"num_experts_per_tok": 1, "num_hidden_layers": 1, "vocab_size": 4,
	}
	m := "model.language_model.layers.0.mlp.experts."
	gate, down := matrix(safetensors.BF16, 3*260, 300, 3), matrix(safetensors.BF16, 3*300, 130, 4)
	gate.name, gate.shape = m+"gate_up_proj", []int64{3, 260, 300}
	down.name, down.shape = m+"down_proj", []int64{3, 300, 130}
	src := checkpoint(t, config, gate, down)
	out := quantized(t, src, convert.QuantizeOptions{})
	wantEqual(t, fresh(t, src, out), 9)
	damage(t, out, m+"2.up_proj.weight", func(p []byte) { p[len(p)-1] ^= 1 })
	if f := fresh(t, src, out); !slices.Equal(f.First, []verify.Different{{Name: m + "2.up_proj.weight", Codes: 1}}) {
		t.Errorf("%+v", f)
	}
}

func TestFreshText(t *testing.T) {
	src := tiny(t)
	out := quantized(t, src, convert.QuantizeOptions{})
	all := compare(t, src, out).Weights.Quantized
	text := func(base, cand string) string {
		t.Helper()
		var b bytes.Buffer
		compare(t, base, cand).Print(&b)
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(line)) - 1; n > 100 && strings.Contains(strings.TrimSpace(line), " ") && !strings.Contains(line, src) {
				t.Errorf("%d columns: %q", n, line)
			}
		}
		return strings.Join(strings.Fields(b.String()), " ")
	}
	wants := func(got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	wants(text(src, out), fmt.Sprintf("every byte of %d tensors equals a fresh quantization of the baseline (search none, float scales)", all))
	wants(text(out, out), "fresh quantization of the baseline: not checked: the baseline is FP8")
	forget(t, out)
	damage(t, out, expert, func(p []byte) { p[0] ^= 1 })
	wants(text(src, out), fmt.Sprintf(`1 of %d tensors differ from a fresh quantization of the baseline (search none assumed, float scales): first %q (1 codes, 0 scales)`, all, expert))

	raw, err := json.Marshal(compare(t, src, out))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Weights struct{ Fresh map[string]any }
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"search": "none", "scale_fmt": "float", "search_assumed": true, "checked": float64(all), "equal": false, "different": 1.0,
		"first": []any{map[string]any{"name": expert, "codes": 1.0, "scales": 0.0}},
	}
	if !reflect.DeepEqual(got.Weights.Fresh, want) {
		t.Errorf("%v, want %v", got.Weights.Fresh, want)
	}
}
