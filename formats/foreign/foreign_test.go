package foreign_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/formats/foreign"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// of returns a checkpoint with the tensors given, all of zeros.
func of(t *testing.T, tensors ...safetensors.Tensor) *hf.Checkpoint {
	t.Helper()
	var b bytes.Buffer
	for i := range tensors {
		n, err := safetensors.SizeOf(tensors[i].DType, tensors[i].Shape)
		if err != nil {
			t.Fatal(err)
		}
		tensors[i].End = n
	}
	err := safetensors.Write(&b, tensors, nil, func(i int, w io.Writer) error {
		_, err := w.Write(make([]byte, tensors[i].End))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func x(name string, d safetensors.DType, shape ...int64) safetensors.Tensor {
	return safetensors.Tensor{Name: name, DType: d, Shape: shape}
}

// Names, dtypes and shapes as the exporters of each form write them, for a linear
// of 64 outputs and 128 inputs.
func TestRecognise(t *testing.T) {
	const m = "model.layers.0.mlp.experts.3.up_proj"
	const fused = "model.layers.0.mlp.experts.gate_up_proj"
	const (
		u8, i8, i32, u32      = safetensors.U8, safetensors.I8, safetensors.I32, safetensors.U32
		bf16, f16, f32        = safetensors.BF16, safetensors.F16, safetensors.F32
		e4m3, e5m2, e8m0, i64 = safetensors.F8E4M3, safetensors.F8E5M2, safetensors.F8E8M0, safetensors.I64
	)
	for _, c := range []struct {
		form    string
		tensors []safetensors.Tensor
	}{
		{"torchao", []safetensors.Tensor{x(m+"._weight_qdata", e4m3, 64, 128), x(m+"._weight_scale", f32, 64, 1)}},
		{"torchao", []safetensors.Tensor{x(m+"._weight_qdata", i8, 64, 128), x(m+"._weight_scale", bf16, 64)}},
		{"torchao", []safetensors.Tensor{x(m+".weight:_data", i8, 64, 128), x(m+".weight:_scale", bf16, 64)}},
		{"bitsandbytes NF4", []safetensors.Tensor{x(m+".weight", u8, 4096, 1), x(m+".weight.absmax", u8, 128), x(m+".weight.quant_state.bitsandbytes__nf4", u8, 80)}},
		{"bitsandbytes FP4", []safetensors.Tensor{x(m+".weight", u8, 4096, 1), x(m+".weight.absmax", f32, 128), x(m+".weight.quant_state.bitsandbytes__fp4", u8, 80)}},
		{"bitsandbytes INT8", []safetensors.Tensor{x(m+".weight", i8, 64, 128), x(m+".SCB", f32, 64)}},
		{"MLX affine", []safetensors.Tensor{x(m+".weight", u32, 64, 16), x(m+".scales", bf16, 64, 2), x(m+".biases", bf16, 64, 2)}},
		{"MLX mxfp4, mxfp8 or nvfp4", []safetensors.Tensor{x(m+".weight", u32, 64, 16), x(m+".scales", u8, 64, 4)}},
		{"GPTQ", []safetensors.Tensor{x(m+".qweight", i32, 16, 64), x(m+".qzeros", i32, 1, 8), x(m+".scales", f16, 1, 64), x(m+".g_idx", i32, 128)}},
		{"GPTQ", []safetensors.Tensor{x(m+".qweight", i32, 16, 64), x(m+".qzeros", i32, 1, 8), x(m+".scales", f16, 1, 64)}},
		{"AWQ", []safetensors.Tensor{x(m+".qweight", i32, 128, 8), x(m+".qzeros", i32, 1, 8), x(m+".scales", f16, 1, 64)}},
		{"NVFP4 (compressed-tensors)", []safetensors.Tensor{x(m+".weight_packed", u8, 64, 64), x(m+".weight_scale", e4m3, 64, 8), x(m+".weight_global_scale", f32, 1)}},
		{"MXFP4 (compressed-tensors)", []safetensors.Tensor{x(m+".weight_packed", u8, 64, 64), x(m+".weight_scale", u8, 64, 4)}},
		{"INT4 or INT8 (compressed-tensors pack-quantized)", []safetensors.Tensor{x(m+".weight_packed", i32, 64, 16), x(m+".weight_scale", bf16, 64, 4), x(m+".weight_shape", i64, 2)}},
		{"NVFP4 (ModelOpt)", []safetensors.Tensor{x(m+".weight", u8, 64, 64), x(m+".weight_scale", e4m3, 64, 8), x(m+".weight_scale_2", f32)}},
		{"NVFP4 (ModelOpt)", []safetensors.Tensor{x(fused, u8, 4, 64, 64), x(fused+"_weight_scale", e4m3, 4, 64, 8)}},
		{"MXFP4 (Quark)", []safetensors.Tensor{x(m+".weight", u8, 64, 64), x(m+".weight_scale", u8, 64, 4)}},
		{"MXFP4 (gpt-oss)", []safetensors.Tensor{x(fused+"_blocks", u8, 4, 64, 4, 16), x(fused+"_scales", u8, 4, 64, 4)}},
		{"MXFP4 (DeepSeek-V4)", []safetensors.Tensor{x("layers.0.ffn.experts.0.w1.weight", i8, 64, 64), x("layers.0.ffn.experts.0.w1.scale", e8m0, 64, 4)}},
		{"INT8, or INT4 two to a byte", []safetensors.Tensor{x(m+".weight", i8, 64, 128), x(m+".weight_scale", f32, 64, 1)}},
		{"INT8 (msmodelslim)", []safetensors.Tensor{x(m+".weight", i8, 64, 128), x(m+".weight_scale", f32, 64, 1), x(m+".weight_offset", f32, 64, 1)}},
		{"FP8 E5M2", []safetensors.Tensor{x(m+".weight", e5m2, 64, 128), x(m+".weight_scale", f32)}},
		{"FP4 (dtype F4)", []safetensors.Tensor{x(m+".weight", safetensors.F4, 64, 128), x(m+".scale", e8m0, 64, 4)}},
		{"HQQ", []safetensors.Tensor{x(m+".W_q", u8, 64, 64)}},

		// What is read, and what only looks alike.
		{"", []safetensors.Tensor{x(m+".weight", bf16, 64, 128)}},
		{"", []safetensors.Tensor{x(m+".weight", e4m3, 64, 128), x(m+".weight_scale_inv", f32, 1, 1)}},
		{"", []safetensors.Tensor{x(m+".weight", e4m3, 64, 128), x(m+".weight_scale_inv", u8, 64, 4)}},
		{"", []safetensors.Tensor{x(m+".weight", e4m3, 64, 128), x(m+".scale", e8m0, 1, 1)}},
		{"", []safetensors.Tensor{x("layers.0.ffn.gate.tid2eid", i64, 100, 2), x("inv_freq", f32, 8), x("mask", u8, 8)}},
	} {
		name, _, _ := strings.Cut(c.form, " (")
		t.Run(name, func(t *testing.T) {
			ck := of(t, c.tensors...)
			form, tensor := foreign.Recognise(ck)
			if form != c.form {
				t.Fatalf("%q, want %q", form, c.form)
			}
			err := foreign.Refuse(ck)
			if (err != nil) != (form != "") {
				t.Fatalf("Refuse: %v", err)
			}
			if err != nil && (!errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), form) || !strings.Contains(err.Error(), tensor)) {
				t.Errorf("Refuse: %v", err)
			}
		})
	}
}
