package verify_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/verify"
)

const (
	fusedExperts, fusedRows, fusedCols = 3, 260, 300

	fused = "model.language_model.layers.0.mlp.experts.gate_up_proj"
)

var fusedConfig = map[string]any{
	"model_type": "qwen3_5_moe", "hidden_size": fusedCols, "moe_intermediate_size": fusedRows / 2, "num_experts": fusedExperts,
	"num_experts_per_tok": 1, "num_hidden_layers": 1, "vocab_size": 4,
	"quantization_config": map[string]any{"quant_method": "fp8", "weight_block_size": []int{128, 128}},
}

// fusedCodes quantizes the experts of src, [E,o,i] in BF16, each for itself.
func fusedCodes(t *testing.T, src entry) (codes, scales entry, stats fp8.Stats) {
	t.Helper()
	codes = entry{fused, safetensors.F8E4M3, src.shape, make([]byte, len(src.data)/2)}
	scales = entry{fused + "_scale_inv", safetensors.F32, []int64{fusedExperts, 3, 3}, nil}
	const size = fusedRows * fusedCols
	for e := range fusedExperts {
		tiles := make([]fp8.TileStats, 9)
		m := fp8.Matrix{Data: src.data[2*e*size : 2*(e+1)*size], Elem: fp8.ElemBF16, Rows: fusedRows, Cols: fusedCols, Stride: fusedCols}
		if err := fp8.Quantize(codes.data[e*size:(e+1)*size], fusedCols, tiles, m, fp8.Options{}); err != nil {
			t.Fatal(err)
		}
		for _, x := range tiles {
			stats.Add(x)
			scales.data = put(scales.data, safetensors.F32, float64(x.Scale))
		}
	}
	return codes, scales, stats
}

// Experts of a layer in one FP8 tensor have the scales of all matrices in another,
// as transformers holds them.
func TestFusedFP8(t *testing.T) {
	src := matrix(safetensors.BF16, fusedExperts*fusedRows, fusedCols, 1)
	src.name, src.shape = fused, []int64{fusedExperts, fusedRows, fusedCols}
	codes, scales, stats := fusedCodes(t, src)
	base, cand := checkpoint(t, fusedConfig, src), checkpoint(t, fusedConfig, codes, scales)
	wantFailed(t, integrity(t, cand), nil)
	r := compare(t, base, cand)
	wantFailed(t, r, nil)
	want, _ := stats.SQNR()
	if len(r.Weights.Tensors) != 1 || math.Abs(*r.Weights.WorstSQNR-want) > 1e-5 {
		t.Errorf("%+v, want %v dB", r.Weights.Tensors, want)
	}
	wantUnchecked(t, r.Weights.Fresh, 1, "no F32 weight_scale_inv of 128×128 tiles")
	r = compare(t, cand, cand)
	wantFailed(t, r, nil)
	if r.Weights.WorstSQNR != nil || r.Weights.Quantized != 1 {
		t.Errorf("against itself: %+v", r.Weights)
	}
	// The way back.
	wide := entry{fused, safetensors.BF16, src.shape, nil}
	for i, c := range codes.data {
		row, col := i/fusedCols, i%fusedCols
		tile := row/fusedRows*9 + row%fusedRows/128*3 + col/128
		wide.data = put(wide.data, safetensors.BF16, float64(fp8.E4M3ToFloat32(c)*math.Float32frombits(binary.LittleEndian.Uint32(scales.data[4*tile:]))))
	}
	plain := maps.Clone(fusedConfig)
	delete(plain, "quantization_config")
	wantFailed(t, compare(t, cand, checkpoint(t, plain, wide)), nil)
	wide.data[len(wide.data)-1] ^= 0x80
	wantFailed(t, compare(t, cand, checkpoint(t, plain, wide)), []string{"kept"}, fused, "1 of 234,000 values")
	// The ideal is that of matrices, not of tiles across experts.
	damage(t, cand, fused+"_scale_inv", func(p []byte) { p[4*17+3]++ }) // of the last expert
	r = compare(t, base, cand)
	wantFailed(t, r, []string{"codes", "sqnr"}, fused, "less than")
	if ideal := *r.Weights.Tensors[0].Ideal; math.Abs(ideal-want) > 1e-9 {
		t.Errorf("ideal %v, want %v", ideal, want)
	}
	damage(t, cand, fused+"_scale_inv", func(p []byte) { p[4*17+3] |= 0x80 })
	wantFailed(t, integrity(t, cand), []string{"scales"}, fused+"_scale_inv", "index 17")
}

func TestFusedScales(t *testing.T) {
	codes := entry{fused, safetensors.F8E4M3, []int64{fusedExperts, fusedRows, fusedCols}, make([]byte, fusedExperts*fusedRows*fusedCols)}
	scales := func(suffix string, shape ...int64) entry {
		e := entry{name: fused + suffix, dtype: safetensors.F32, shape: shape}
		n := int64(1)
		for _, x := range shape {
			n *= x
		}
		for range n {
			e.data = put(e.data, safetensors.F32, 1)
		}
		return e
	}
	for _, shape := range [][]int64{{3, 3, 3}, {3, 1, 1}, {3, 1}, {3}, {3, 260}, {3, 260, 1}} {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			dir := checkpoint(t, fusedConfig, codes, scales("_scale", shape...))
			wantFailed(t, integrity(t, dir), nil)
			wantFailed(t, compare(t, dir, dir), nil)
		})
	}
	for _, shape := range [][]int64{{3, 3, 2}, {9, 3}, {2, 3, 3}, {1}, {}} {
		r := integrity(t, checkpoint(t, fusedConfig, codes, scales("_scale_inv", shape...)))
		wantFailed(t, r, []string{"scales"}, fused+"_scale_inv")
	}
	_, err := verify.Integrity(context.Background(), open(t, checkpoint(t, fusedConfig, codes, scales("_scale_inv", 3, 3, 3), scales("_scale", 3, 3, 3))), verify.Options{})
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "a second scale") {
		t.Errorf("two scales: %v", err)
	}
	_, err = verify.Integrity(context.Background(), open(t, checkpoint(t, fusedConfig, codes, scales("_input_scale", 3))), verify.Options{})
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "without a scale") {
		t.Errorf("a scale of activations only: %v", err)
	}
	if !slices.Equal(codes.shape, []int64{3, 260, 300}) {
		t.Error("shapes were changed")
	}
}
