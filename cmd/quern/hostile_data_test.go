package main

import (
	"fmt"
	"strings"

	st "quern/formats/safetensors"
)

// hostileData are cases in which headers are fine and numbers are not, or
// tensors do not fit together.
func hostileData() []hostile {
	var out []hostile
	add := func(name string, args []string, say []string, tensors ...fixtureTensor) {
		out = append(out, hostile{name: "data/" + name, in: with(folder{"model.safetensors": string(fixture(tensors).file())}), args: args, say: say})
	}
	const (
		attn = "model.layers.0.self_attn.o_proj"
	)
	square := []int64{128, 128}
	good := goodFixture()

	// NaN and infinity: in what gets codes the whole tensor is looked at again,
	// so that the message counts and names the first.
	at := func(t fixtureTensor, size int, bits string, places ...int) fixtureTensor {
		t.data = append([]byte(nil), t.data...)
		for _, p := range places {
			copy(t.data[p*size:], bits)
		}
		return t
	}
	weights := func(d st.DType, shape ...int64) fixtureTensor {
		return tensor(weight, d, shape, noise(d, 3)...)
	}
	says := func(count string, i int, more ...string) []string {
		return append([]string{`"model.safetensors"`, weight, count, fmt.Sprintf("first at index %d ", i)}, more...)
	}
	add("BF16 NaN", nil, says("1 value is", 500, "row 3, column 116"), at(good[0], 2, "\xc0\x7f", 500), good[1])
	add("BF16 signalling NaN", nil, says("1 value is", 0), at(good[0], 2, "\x81\x7f", 0), good[1])
	add("BF16 infinity", nil, says("1 value is", 16383), at(good[0], 2, "\x80\xff", 16383), good[1])
	add("BF16 three", nil, says("3 values are", 7), at(good[0], 2, "\x80\x7f", 9000, 7, 8), good[1])
	add("F16 NaN", nil, says("1 value is", 129, "row 1, column 1"), at(weights(st.F16, 128, 128), 2, "\x01\x7e", 129))
	add("F16 infinity", nil, says("2 values are", 40), at(weights(st.F16, 128, 128), 2, "\x00\xfc", 40, 41))
	add("F32 NaN", nil, says("1 value is", 77), at(weights(st.F32, 128, 128), 4, "\x00\x00\xc0\x7f", 77))
	add("F32 infinity", nil, says("1 value is", 77), at(weights(st.F32, 128, 128), 4, "\x00\x00\x80\x7f", 77))
	add("F64 NaN", nil, says("1 value is", 77), at(weights(st.F64, 128, 128), 8, "\x00\x00\x00\x00\x00\x00\xf8\x7f", 77))
	add("F64 infinity", nil, says("1 value is", 77), at(weights(st.F64, 128, 128), 8, "\x00\x00\x00\x00\x00\x00\xf0\xff", 77))
	add("F64 beyond float32", nil, says("1 value is", 77, "float32"), at(weights(st.F64, 128, 128), 8, "\x00\x00\x00\x00\x00\x00\x00\x48", 77))
	add("NaN in the last ragged tile", nil, says("1 value is", 130*140-1, "row 129, column 139"), at(weights(st.BF16, 130, 140), 2, "\xc0\x7f", 130*140-1))
	add("all NaN", nil, says("16384 values are", 0), tensor(weight, st.BF16, square, 0x7fc0))

	// Kept tensors are looked at too.
	for _, k := range []struct {
		name  string
		dtype st.DType
		bits  string
		shape []int64
	}{
		{"model.norm.weight", st.BF16, "\xc0\x7f", []int64{128}},
		{"model.layers.1.mlp.gate.weight", st.BF16, "\x80\x7f", []int64{4, 128}},
		{"model.layers.1.mlp.gate.e_score_correction_bias", st.F32, "\x00\x00\xc0\x7f", []int64{4}},
		{"model.embed_tokens.weight", st.F16, "\x00\x7c", []int64{32, 128}},
		{"lm_head.weight", st.F32, "\x00\x00\x80\xff", []int64{32, 128}},
		{"model.layers.1.eh_proj.weight", st.F64, "\x00\x00\x00\x00\x00\x00\xf8\x7f", []int64{128, 256}},
	} {
		x := at(tensor(k.name, k.dtype, k.shape, noise(k.dtype, 4)...), int(k.dtype.Bits()/8), k.bits, 3)
		add("kept "+k.name, nil, []string{k.name, "first at index 3"}, good[0], x)
	}
	add("kept F64 beyond BF16", []string{"quantize", "--quiet", "--keep-dtype", "bf16", "in", "out"}, []string{"lm_head.weight", "first at index 3"},
		good[0], at(tensor("lm_head.weight", st.F64, []int64{32, 128}, noise(st.F64, 4)...), 8, "\x00\x00\x00\x00\x00\x00\x00\x48", 3))
	add("kept F32 beyond BF16", []string{"quantize", "--quiet", "--keep-dtype", "bf16", "in", "out"}, []string{"lm_head.weight", "BF16", "index 3"},
		good[0], at(tensor("lm_head.weight", st.F32, []int64{32, 128}, noise(st.F32, 4)...), 4, "\xff\xff\x7f\x7f", 3))

	// FP8 and its scales.
	codes := tensor(weight, st.F8E4M3, square, noise(st.F8E4M3, 5)...)
	scale := func(d st.DType, shape []int64, bits ...uint64) fixtureTensor {
		return tensor(weight+"_scale_inv", d, shape, bits...)
	}
	one := []int64{1, 1}
	fine := scale(st.F32, one, 0x3c000000)
	add("FP8 without scale", nil, []string{weight, "without a scale"}, codes)
	add("scale without weight", nil, []string{weight + "_scale_inv", "without its weight"}, good[1], fine)
	add("scale of a weight of integers", nil, []string{weight, "I8"}, tensor(weight, st.I8, []int64{128, 128}, make([]uint64, 128*128)...), fine)
	add("two scales", nil, []string{weight + "_scale", "second scale"}, codes, fine, tensor(weight+"_scale", st.F32, one, 0x3c000000))
	add("scale of 3×3", nil, []string{weight + "_scale_inv", "[3 3]", "[128 128]"}, codes, scale(st.F32, []int64{3, 3}, 0x3c000000))
	add("scale of 5 dimensions", nil, []string{weight + "_scale_inv", "[1 1 1 1 2]"}, codes, scale(st.F32, []int64{1, 1, 1, 1, 2}, 0x3c000000))
	add("scale of nothing", nil, []string{weight + "_scale_inv", "[0]"}, codes, scale(st.F32, []int64{0}, 0))
	add("scale of integers", nil, []string{weight + "_scale_inv", "I32"}, codes, scale(st.I32, one, 1))
	add("scale of F64", nil, []string{weight + "_scale_inv", "F64"}, codes, scale(st.F64, one, 0x3ff0000000000000))
	add("scale by row", nil, []string{weight, "128×128 tile", "convert --to bf16"}, codes, scale(st.F32, []int64{128, 1}, 0x3c000000))
	add("scale by tiles of 64", nil, []string{weight + "_scale_inv", "[2 2]"}, codes, scale(st.F32, []int64{2, 2}, 0x3c000000))
	for _, s := range []struct {
		name  string
		dtype st.DType
		bits  uint64
	}{
		{"F32 zero", st.F32, 0},
		{"F32 negative zero", st.F32, 0x80000000},
		{"F32 negative", st.F32, 0xbf800000},
		{"F32 NaN", st.F32, 0x7fc00000},
		{"F32 infinity", st.F32, 0x7f800000},
		{"F32 negative infinity", st.F32, 0xff800000},
		{"BF16 zero", st.BF16, 0},
		{"BF16 negative", st.BF16, 0xbf80},
		{"BF16 NaN", st.BF16, 0x7fc0},
		{"BF16 infinity", st.BF16, 0x7f80},
		{"F16 zero", st.F16, 0},
		{"F16 negative", st.F16, 0xbc00},
		{"F16 NaN", st.F16, 0x7e00},
		{"F16 infinity", st.F16, 0x7c00},
		{"E8M0 NaN", st.F8E8M0, 255},
		{"E8M0 in U8 NaN", st.U8, 255},
	} {
		wide := tensor(weight, st.F8E4M3, []int64{256, 128}, noise(st.F8E4M3, 5)...)
		good := uint64(0x3c000000)
		switch s.dtype {
		case st.BF16, st.F16:
			good = 0x3c00
		case st.F8E8M0, st.U8:
			good = 120
		}
		say := []string{`"model.safetensors"`, weight + "_scale_inv", "index 1", "not positive and finite"}
		pair := []fixtureTensor{wide, scale(s.dtype, []int64{2, 1}, good, s.bits)}
		add("scale "+s.name, nil, say, pair...)
		add("scale "+s.name+" to BF16", []string{"convert", "--quiet", "--to", "bf16", "in", "out"}, say, pair...)
	}
	nan := func(bits string) fixtureTensor { return at(codes, 1, bits, 1000, 2000) }
	for _, args := range [][]string{nil, {"quantize", "--quiet", "--requantize", "in", "out"}, {"convert", "--quiet", "--to", "bf16", "in", "out"}} {
		name := strings.Join(args, " ")
		add("NaN code 7f "+name, args, []string{weight, "2 codes are NaN", "first at index 1000 (row 7, column 104)"}, nan("\x7f"), fine)
		add("NaN code ff "+name, args, []string{weight, "2 codes are NaN", "first at index 1000 "}, nan("\xff"), fine)
	}
	add("codes times scale beyond BF16", []string{"convert", "--quiet", "--to", "bf16", "in", "out"}, []string{weight},
		tensor(weight, st.F8E4M3, square, 0x7e), scale(st.F32, one, 0x7f000000))
	add("codes times scale beyond float32", []string{"quantize", "--quiet", "--requantize", "in", "out"}, []string{weight},
		tensor(weight, st.F8E4M3, square, 0x7e), scale(st.F32, one, 0x7f7fffff))
	add("FP8 vector", nil, []string{weight, "[128]"}, tensor(weight, st.F8E4M3, []int64{128}, 0x38), fine)
	add("FP8 of three dimensions", nil, []string{weight, "[2 64 128]"}, tensor(weight, st.F8E4M3, []int64{2, 64, 128}, 0x38), fine)
	add("F8_E5M2", nil, []string{weight, "F8_E5M2"}, tensor(weight, st.F8E5M2, square, 0x38), fine)
	add("F8_E4M3FNUZ", nil, []string{weight, "F8_E4M3FNUZ"}, tensor(weight, st.F8E4M3FNUZ, square, 0x38), fine)
	add("FP8 for powers of two", []string{"quantize", "--quiet", "--scale-fmt", "ue8m0", "in", "out"}, []string{weight, "second time", "--requantize"}, codes, fine)

	// What is packed, or no float: not for quantize, not for convert.
	add("INT4 in I32", nil, []string{attn, "I32"}, good[1], tensor(attn+".weight_packed", st.I32, []int64{128, 16}, 1), tensor(attn+".weight_scale", st.BF16, []int64{128, 4}, 0x3c00))
	add("NVFP4 in U8", nil, []string{attn, "U8"}, good[1], tensor(attn+".weight", st.U8, []int64{128, 64}, 1), tensor(attn+".weight_scale", st.F8E4M3, []int64{128, 8}, 0x38), tensor(attn+".weight_scale_2", st.F32, []int64{}, 0x3f800000))
	add("GPTQ", nil, []string{attn}, good[1], tensor(attn+".qweight", st.I32, []int64{16, 128}, 1), tensor(attn+".qzeros", st.I32, []int64{1, 16}, 1), tensor(attn+".scales", st.F16, []int64{1, 128}, 0x3c00))
	add("I8", nil, []string{weight, "I8"}, tensor(weight, st.I8, square, 1), good[1])
	add("F4", nil, []string{weight, "F4"}, tensor(weight, st.F4, square, 0x11), good[1])
	add("BOOL", nil, []string{weight, "BOOL"}, tensor(weight, st.Bool, square, 1), good[1])
	toBF16 := []string{"convert", "--quiet", "--to", "bf16", "in", "out"}
	add("INT4 in I32 to BF16", toBF16, []string{attn + ".weight_packed", "I32"}, good[1], tensor(attn+".weight_packed", st.I32, []int64{128, 16}, 1), tensor(attn+".weight_scale", st.BF16, []int64{128, 4}, 0x3c00))
	nvfp4 := func(cols int64, scale uint64) []fixtureTensor {
		return []fixtureTensor{good[1], tensor(attn+".weight", st.U8, []int64{128, 16}, 1), tensor(attn+".weight_scale", st.F8E4M3, []int64{128, cols}, 0x38), tensor(attn+".weight_scale_2", st.F32, []int64{}, scale)}
	}
	add("NVFP4 with too few scales to BF16", toBF16, []string{attn + ".weight_scale", "[128 1]", "128×32"}, nvfp4(1, 0x3f800000)...)
	add("NVFP4 with a scale of zero to BF16", toBF16, []string{attn + ".weight", "scale 0"}, nvfp4(2, 0)...)
	add("NVFP4 with a scale of NaN to BF16", toBF16, []string{attn + ".weight", "scale NaN"}, nvfp4(2, 0x7fc00000)...)
	add("NVFP4 without its second scale to BF16", toBF16, []string{attn, "U8"}, nvfp4(2, 1)[:3]...)
	add("I8 to BF16", toBF16, []string{weight, "I8"}, tensor(weight, st.I8, square, 1), good[1])
	add("F4 to BF16", toBF16, []string{weight, "F4"}, tensor(weight, st.F4, square, 0x11), good[1])
	return out
}
