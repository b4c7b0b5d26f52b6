package foreign

import (
	"slices"

	"quern/formats/safetensors"
)

// form is a row of the table: a tensor whose name ends in tensor and whose dtype
// is one of dtypes, with the tensor beside it that has beside in place of that
// ending. Of several rows that match the first is the form.
type form struct {
	name   string
	tensor string              // ending of the name; "" matches every name
	dtypes []safetensors.DType // nil: any
	beside string              // ending in place of tensor; "" asks for nothing
	types  []safetensors.DType // of the tensor beside; nil: any
	// fits, if set, has to agree about the shapes of the tensor and the one beside.
	fits func(tensor, beside []int64) bool
}

// Dtypes that several rows name.
var (
	u8     = []safetensors.DType{safetensors.U8}
	i8     = []safetensors.DType{safetensors.I8}
	i32    = []safetensors.DType{safetensors.I32, safetensors.U32}
	e4m3   = []safetensors.DType{safetensors.F8E4M3}
	powers = []safetensors.DType{safetensors.U8, safetensors.F8E8M0}
)

// forms is the table. Names: the exporters of each format (compressed-tensors,
// ModelOpt, AutoGPTQ, AutoAWQ, bitsandbytes, torchao's safetensors support, mlx-lm,
// Quark, msmodelslim, HQQ, AQLM, QuIP#, VPTQ) and the published gpt-oss and
// DeepSeek-V4 checkpoints.
var forms = []form{
	// torchao divides each tensor subclass into its parts: X._weight_qdata,
	// X._weight_scale; earlier X.weight:qdata.
	{name: "torchao", tensor: "_qdata"},
	{name: "torchao", tensor: ":qdata"},
	{name: "torchao", tensor: ":_data"},

	{name: "bitsandbytes NF4", tensor: ".weight", dtypes: u8, beside: ".weight.quant_state.bitsandbytes__nf4"},
	{name: "bitsandbytes FP4", tensor: ".weight", dtypes: u8, beside: ".weight.quant_state.bitsandbytes__fp4"},
	{name: "bitsandbytes 4-bit", tensor: ".weight", beside: ".weight.absmax"},
	{name: "bitsandbytes INT8", tensor: ".weight", dtypes: i8, beside: ".SCB"},

	{name: "MLX affine", tensor: ".weight", dtypes: i32, beside: ".biases"},
	{name: "MLX mxfp4, mxfp8 or nvfp4", tensor: ".weight", dtypes: i32, beside: ".scales", types: u8},
	{name: "MLX", tensor: ".weight", dtypes: i32, beside: ".scales"},
	{name: "MLX FP8 (codes in U8)", tensor: ".weight", dtypes: u8, beside: ".weight_scale_inv"},

	{name: "GPTQ", tensor: ".qweight", dtypes: i32, beside: ".g_idx"},
	// AWQ packs along the output, as its zeros are packed; GPTQ along the input.
	{name: "AWQ", tensor: ".qweight", dtypes: i32, beside: ".qzeros", fits: sameWidth},
	{name: "GPTQ", tensor: ".qweight"},

	{name: "NVFP4 (compressed-tensors)", tensor: "weight_packed", dtypes: u8, beside: "weight_scale", types: e4m3},
	{name: "MXFP4 (compressed-tensors)", tensor: "weight_packed", dtypes: u8, beside: "weight_scale", types: powers},
	{name: "INT4 or INT8 (compressed-tensors pack-quantized)", tensor: "weight_packed", dtypes: i32},
	{name: "packed weights (compressed-tensors)", tensor: "weight_packed"},

	{name: "NVFP4 (ModelOpt)", tensor: ".weight", dtypes: u8, beside: ".weight_scale", types: e4m3},
	{name: "MXFP4 (Quark)", tensor: ".weight", dtypes: u8, beside: ".weight_scale", types: powers},
	{name: "INT4 (ModelOpt)", tensor: ".weight", dtypes: u8, beside: ".weight_scale"},
	{name: "NVFP4 (ModelOpt)", tensor: "", dtypes: u8, beside: "_weight_scale", types: e4m3}, // experts in one tensor
	{name: "MXFP4 (Quark)", tensor: "", dtypes: u8, beside: "_weight_scale", types: powers},
	{name: "MXFP4 (gpt-oss)", tensor: "_blocks", dtypes: u8, beside: "_scales"},
	{name: "MXFP4 (gpt-oss)", tensor: ".blocks", dtypes: u8, beside: ".scales"},
	{name: "MXFP4 (DeepSeek-V4)", tensor: ".weight", dtypes: []safetensors.DType{safetensors.I8, safetensors.U8}, beside: ".scale", types: powers},
	{name: "FP4 (dtype F4)", tensor: "", dtypes: []safetensors.DType{safetensors.F4}},
	{name: "FP6", tensor: "", dtypes: []safetensors.DType{safetensors.F6E2M3, safetensors.F6E3M2}},

	{name: "INT8 (msmodelslim)", tensor: ".weight", dtypes: i8, beside: ".weight_offset"},
	{name: "INT8, or INT4 two to a byte", tensor: ".weight", dtypes: i8, beside: ".weight_scale"},
	{name: "INT8, or INT4 two to a byte", tensor: ".weight", dtypes: i8, beside: ".weight_scale_inv"},
	{name: "INT8, or INT4 two to a byte", tensor: ".weight", dtypes: i8, beside: ".scale"},
	{name: "INT8 (EETQ)", tensor: ".weight", dtypes: i8, beside: ".weight_scales"},

	{name: "FP8 E5M2", tensor: "", dtypes: []safetensors.DType{safetensors.F8E5M2}},
	{name: "FP8 FNUZ", tensor: "", dtypes: []safetensors.DType{safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ}},

	{name: "HQQ", tensor: ".W_q"},
	{name: "AQLM", tensor: ".codes", beside: ".codebooks"},
	{name: "QuIP#", tensor: ".Qidxs"},
	{name: "VPTQ", tensor: ".indices", beside: ".centroids.weight"},
}

// sameWidth reports whether two matrices have as many columns.
func sameWidth(a, b []int64) bool {
	return len(a) == 2 && len(b) == 2 && a[1] == b[1]
}

// has reports whether d is among list; a nil list is all of them.
func has(list []safetensors.DType, d safetensors.DType) bool {
	return list == nil || slices.Contains(list, d)
}
