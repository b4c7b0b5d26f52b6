package convert_test

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

const castProj = "model.layers.0.mlp.experts.1.down_proj"

// mxfp4 is a matrix of all codes, whose groups have the exponents of a function.
func mxfp4(rows, cols int64, exponent func(row, group int64) uint8) []item {
	codes, scales := make([]byte, rows*cols/2), make([]byte, rows*cols/32)
	for i := range codes {
		codes[i] = byte(7*i + i/251)
	}
	for i := range scales {
		scales[i] = exponent(int64(i)/(cols/32), int64(i)%(cols/32))
	}
	packed := item{tensor(castProj+".weight_packed", safetensors.U8, rows, cols/2), codes}
	return []item{packed, {tensor(castProj+".weight_scale", safetensors.U8, rows, cols/32), scales}}
}

const castConfig = `{"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]%s}`

// run converts and returns the manifest's word on the matrix.
func run(t *testing.T, in *hf.Checkpoint, o convert.QuantizeOptions, r convert.RunOptions) (*hf.Checkpoint, manifest.Tensor, []byte, error) {
	t.Helper()
	p, err := convert.PlanQuantize(in, o)
	if err != nil {
		return nil, manifest.Tensor{}, nil, err
	}
	dir := filepath.Join(t.TempDir(), "out")
	done, err := convert.Run(t.Context(), in, p, dir, r)
	if err != nil {
		return nil, manifest.Tensor{}, nil, err
	}
	raw, err := done.Manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range done.Manifest.Tensors {
		if x.Cast != nil {
			return open(t, dir), x, raw, nil
		}
	}
	return open(t, dir), manifest.Tensor{}, raw, nil
}

// decoded are the values of a checkpoint's matrix, bit for bit.
func decoded(t *testing.T, c *hf.Checkpoint) []byte {
	t.Helper()
	return data(t, toBF16(t, c.Dir), castProj+".weight")
}

// MXFP4 becomes MXFP8, whatever its scales, and FP8 in tiles as far as they reach: 14
// powers of two below the largest. What is beyond is counted, or refused.
func TestMXFP4IsCast(t *testing.T) {
	const rows, cols = 200, 320 // tiles are cut
	groups := int64(rows * cols / 32)
	within := func(span int64) func(row, group int64) uint8 {
		return func(row, group int64) uint8 { return uint8(120 - (row*7+group*3)%(span+1)) }
	}
	for _, c := range []struct {
		name     string
		to       *scheme.Scheme
		exponent func(row, group int64) uint8
		exact    bool
	}{
		{"all spans", scheme.MXFP8, func(row, group int64) uint8 { return uint8(20 + (row*10+group)%200) }, true},
		{"14", scheme.BlockFP8, within(14), true},
		{"15", scheme.BlockFP8, within(15), false},
	} {
		t.Run(c.to.Name+" "+c.name, func(t *testing.T) {
			in := open(t, checkpoint(t, strings.Replace(castConfig, "%s", "", 1), mxfp4(rows, cols, c.exponent)...))
			out, x, raw, err := run(t, in, convert.QuantizeOptions{Scheme: c.to}, convert.RunOptions{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			if x.Cast == nil || x.Cast.Groups != groups || (x.Cast.Changed == 0) != c.exact || (x.Error.SQNR == nil) != c.exact {
				t.Errorf("%+v, %+v", x.Cast, x.Error)
			}
			if c.exact && !bytes.Equal(decoded(t, in), decoded(t, out)) {
				t.Error("values have changed")
			}
			if c.to == scheme.MXFP8 && !bytes.Equal(data(t, out, castProj+".weight_scale_inv"), data(t, in, castProj+".weight_scale")) {
				t.Error("scales are not the codes' own")
			}
			// Neither workers nor memory leave a trace.
			_, _, again, err := run(t, in, convert.QuantizeOptions{Scheme: c.to}, convert.RunOptions{Workers: 4, Memory: 300 << 20})
			if err != nil || !bytes.Equal(raw, again) {
				t.Errorf("the manifest differs: %v", err)
			}
			_, _, _, err = run(t, in, convert.QuantizeOptions{Scheme: c.to, Lossless: true}, convert.RunOptions{Workers: 1})
			if c.exact && err != nil || !c.exact && (!errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), castProj) || !strings.Contains(err.Error(), "--lossless")) {
				t.Errorf("--lossless: %v", err)
			}
			// (row·7+group·3)%16 is 15 in row 0 first, group 5; one worker takes the rows in order.
			if !c.exact && err != nil && !strings.Contains(err.Error(), "first that of row 0, columns 160 to 191: its scale is 15 powers of two below the largest one that shares a scale in fp8, and 14 are exact") {
				t.Errorf("which group: %v", err)
			}
		})
	}
}

// FP8 whose scales are powers of two becomes MXFP8: the codes, and the exponents of
// their tiles.
func TestUE8M0IsCast(t *testing.T) {
	const rows, cols = 200, 320
	exponents := []byte{120, 127, 118, 121, 119, 122}
	values := make([]float32, len(exponents))
	for i, e := range exponents {
		values[i] = float32(math.Ldexp(1, int(e)-127))
	}
	const quant = `, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]%s}`
	config := func(more string) string {
		return strings.Replace(castConfig, "%s", strings.Replace(quant, "%s", more, 1), 1)
	}
	weight := codes(castProj+".weight", rows, cols)
	for _, c := range []struct {
		name, config string
		scale        item
		cast         bool
	}{
		{"E8M0", config(""), item{tensor(castProj+".weight_scale_inv", safetensors.F8E8M0, 2, 3), exponents}, true},
		{"U8", config(""), item{tensor(castProj+".weight_scale_inv", safetensors.U8, 2, 3), exponents}, true},
		{"F32, declared", config(`, "scale_fmt": "ue8m0"`), floatItem(castProj+".weight_scale_inv", safetensors.F32, values, 2, 3), true},
		{"F32", config(""), floatItem(castProj+".weight_scale_inv", safetensors.F32, values, 2, 3), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := open(t, checkpoint(t, c.config, weight, c.scale))
			out, x, _, err := run(t, in, convert.QuantizeOptions{Scheme: scheme.MXFP8, Lossless: c.cast}, convert.RunOptions{})
			if !c.cast {
				if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "--requantize") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if x.Cast == nil || *x.Cast != (manifest.Cast{Groups: rows * cols / 32}) {
				t.Errorf("%+v", x.Cast)
			}
			if !bytes.Equal(data(t, out, castProj+".weight"), weight.raw) || !bytes.Equal(decoded(t, in), decoded(t, out)) {
				t.Error("codes or values have changed")
			}
			scales := data(t, out, castProj+".weight_scale_inv")
			for i, s := range scales {
				if want := exponents[int64(i)/10/128*3+int64(i)%10/4]; s != want {
					t.Fatalf("scale %d is %d, want %d", i, s, want)
				}
			}
		})
	}
	odd := open(t, checkpoint(t, config(`, "scale_fmt": "ue8m0"`), weight, floatItem(castProj+".weight_scale_inv", safetensors.F32, []float32{1, 1, 1, 1, 3, 1}, 2, 3)))
	if _, _, _, err := run(t, odd, convert.QuantizeOptions{Scheme: scheme.MXFP8}, convert.RunOptions{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "no power of two") || !strings.Contains(err.Error(), castProj) {
		t.Errorf("a scale that is declared to be a power of two and is none: %v", err)
	}
}

// Everything else rounds a second time, and has to be asked for.
func TestOtherCodesAreRequantized(t *testing.T) {
	config := strings.Replace(castConfig, "%s", "", 1)
	plain := func(_, _ int64) uint8 { return 120 }
	in := open(t, checkpoint(t, config, mxfp4(64, 64, plain)...))
	if _, _, _, err := run(t, in, convert.QuantizeOptions{Scheme: scheme.INT4}, convert.RunOptions{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "--requantize") || !strings.Contains(err.Error(), castProj) {
		t.Errorf("%v", err)
	}
	out, _, _, err := run(t, in, convert.QuantizeOptions{Scheme: scheme.INT4, Requantize: true}, convert.RunOptions{})
	if err != nil || !out.Has(castProj+".weight_shape") {
		t.Errorf("%v", err)
	}
	var usage *convert.UsageError
	if _, _, _, err := run(t, in, convert.QuantizeOptions{Scheme: scheme.INT4, Requantize: true, Lossless: true}, convert.RunOptions{}); !errors.As(err, &usage) {
		t.Errorf("lossless and rounded: %v", err)
	}
	numbers := open(t, checkpoint(t, config, floatItem(castProj+".weight", safetensors.BF16, make([]float32, 64*64), 64, 64)))
	if _, _, _, err := run(t, numbers, convert.QuantizeOptions{Lossless: true}, convert.RunOptions{}); !errors.As(err, &usage) || !strings.Contains(err.Error(), castProj) {
		t.Errorf("numbers: %v", err)
	}
	nan := open(t, checkpoint(t, config, mxfp4(64, 64, func(row, _ int64) uint8 {
		if row == 9 {
			return 255
		}
		return 120
	})...))
	for _, s := range []*scheme.Scheme{scheme.MXFP8, scheme.BlockFP8} {
		if _, _, _, err := run(t, nan, convert.QuantizeOptions{Scheme: s}, convert.RunOptions{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "row 9") {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	// What is kept beside codes that are cast becomes numbers, and is said.
	both := open(t, checkpoint(t, config, append(mxfp4(64, 64, plain), floatItem("model.layers.0.self_attn.o_proj.weight", safetensors.BF16, make([]float32, 64*64), 64, 64))...))
	p := mustPlan(t, both, convert.QuantizeOptions{Keep: []string{"*down_proj"}})
	if i := slices.IndexFunc(p.Tensors, func(x plan.Tensor) bool { return x.Op == plan.Dequantize }); i < 0 || !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "becomes BF16") }) {
		t.Errorf("%v", p.Notes)
	}
}
