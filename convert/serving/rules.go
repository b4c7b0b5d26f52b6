package serving

import (
	"strings"

	"quern/formats/model"
)

// rule is a row of the table. Sources name file and state of the code read;
// "measured" means that the engine was run.
type rule struct {
	engines  []Engine
	where    string // behind the engines' names: on which machines
	severity Severity
	source   string
	remedy   string
	cost     func(*Folder) int64 // of the remedy in bytes, or nil
	general  string              // what it says where the note's words depend on the folder
	apply    func(*Folder) (Note, bool)
}

// title is the engines' names for people.
func (r *rule) title() string {
	var names []string
	for _, e := range r.engines {
		names = append(names, e.title())
	}
	return strings.Join(names, ", ") + r.where
}

const (
	raggedRemedy = "--ragged keep leaves such matrices and their fused partners in BF16"
	staticRemedy = "leave --act-scales static out"
	cacheRemedy  = "leave --kv-scales out"
	bf16Remedy   = "`quern convert --to bf16` makes a folder that it loads"
)

var rules = []rule{
	{
		engines: []Engine{Transformers}, where: " without a GPU", severity: Refuses, remedy: raggedRemedy, cost: (*Folder).raggedCost,
		source: "integrations/finegrained_fp8.py, Fp8Dequantize: tile height = rows // scale rows; measured with 5.23 and 5.24",
		apply: each("dequantizes with tiles of rows÷scale rows, which must divide: it raises on these", func(m *matrix) bool {
			return m.rows%m.scaleRows != 0 || m.cols%m.scaleCols != 0
		}),
	},
	{
		engines: []Engine{Transformers}, where: " without a GPU", severity: Misreads, remedy: raggedRemedy, cost: (*Folder).raggedCost,
		source: "integrations/finegrained_fp8.py, Fp8Dequantize; measured with 5.23: 448 rows are read as 4 tiles of 112, 8–20 % error, no message; every machine without a GPU takes this path",
		apply: each("dequantizes with tiles of rows÷scale rows, which is not 128 here: the weights come out wrong, without a message", func(m *matrix) bool {
			divides := m.rows%m.scaleRows == 0 && m.cols%m.scaleCols == 0
			return divides && (m.scaleRows > 1 && m.rows/m.scaleRows != 128 || m.scaleCols > 1 && m.cols/m.scaleCols != 128)
		}),
	},
	{
		engines: []Engine{Transformers}, where: " on a GPU", severity: Refuses, remedy: raggedRemedy, cost: (*Folder).raggedCost,
		source: "integrations/finegrained_fp8.py, FP8Experts: gate and up become one matrix of 2·I rows with ⌈2·I/128⌉ scale rows; measured with 5.24, its kernel emulated",
		apply:  each("joins gate and up of each expert, whose scales are then of another shape than it makes room for", func(m *matrix) bool { return joined(m) && !sameRows(m) }),
	},
	{
		engines: []Engine{Transformers}, where: " on a GPU", severity: Misreads, remedy: raggedRemedy, cost: (*Folder).raggedCost,
		source: "integrations/finegrained_fp8.py, FP8Experts; whole tiles were exact, --ragged keep was exact",
		apply:  each("joins gate and up of each expert: the first rows of up are read with the last scale of gate, without a message", func(m *matrix) bool { return joined(m) && sameRows(m) }),
	},
	{
		engines: []Engine{VLLM, SGLang}, severity: Refuses, remedy: "quantize or keep them together: quern does so unless the input already mixes them",
		source: "model_executor/layers/quantization/utils/quant_utils.py, is_layer_skipped (2026-07), SGLang quantization/utils.py (0.5.23): parts of a fused layer must agree, else ValueError",
		apply:  mixedParts,
	},
	{
		engines: []Engine{VLLM, SGLang}, severity: Refuses, remedy: raggedRemedy, cost: (*Folder).raggedCost,
		source: "vLLM fp8_utils.py:1224-1272 (2026-07): of a merged matrix only the last part may be ragged; SGLang fp8.py asks it of every part",
		apply:  raggedMerge,
	},
	{
		engines: []Engine{VLLM, SGLang}, severity: Limits,
		source:  "vLLM fp8_utils.py:1224-1272, fp8.py:637-649 (2026-07); SGLang fp8.py, create_weights: each rank's share of a matrix must be a multiple of 128",
		general: "serve with tensor parallelism only up to a size at which each rank's share of every matrix is a multiple of 128",
		apply:   tensorParallel,
	},
	{
		engines: []Engine{VLLM}, where: " on Blackwell", severity: Informs, remedy: "--scale-fmt ue8m0 makes that a no-op",
		source: "fp8_utils.py:1104-1128 (2026-07): DeepGEMM takes power-of-two scales only",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "rounds the weights again at load, to power-of-two scales"}, len(f.matrices) > 0 && !f.ue8m0
		},
	},

	// Lists of what is not converted.
	{
		engines: []Engine{VLLM, SGLang}, severity: Misreads, remedy: "list the full path of each module that has no codes in modules_to_not_convert",
		source: "vLLM quant_utils.py:619-693 (0.33), SGLang quantization/utils.py:70-125 (0.5.23), is_layer_skipped: entries are whole paths, of experts parts of them; run over 48 folders",
		apply:  list("build other modules in FP8 than have codes, by modules_to_not_convert", exactly),
	},
	{
		engines: []Engine{Transformers}, severity: Misreads, remedy: "list the full path of each module that has no codes in modules_to_not_convert",
		source: "quantizers/quantizers_utils.py, should_convert_module (2026): an entry is a prefix (re.match) or a suffix",
		apply:  list("makes FP8 linears of other modules than have codes, by modules_to_not_convert", byEnds),
	},
	{
		engines: []Engine{SGLang}, severity: Misreads, remedy: "quantize again: quern lists such modules under SGLang's names too",
		source: "models/deepseek_nextn.py: the draft model's layer is named model.decoder; found with SGLang 0.5.23's own is_layer_skipped",
		apply:  unnamedDrafts,
	},
	{
		engines: []Engine{Transformers}, severity: Informs, remedy: "quern lists it",
		source: "quantizers/base.py, get_modules_to_not_convert: a list in the config takes the place of the default, which spares the head",
		apply:  unlistedHead,
	},

	// Scales of activations, keys and values.
	{
		engines: []Engine{VLLM, SGLang}, severity: Refuses, remedy: staticRemedy,
		source: "vLLM fp8.py:128-133 (2026-07), SGLang fp8.py, Fp8Config: ValueError unless the scheme of block FP8 is dynamic; run with vLLM 0.32",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "load block FP8 only where activations are scaled as they come"}, f.static()
		},
	},
	{
		engines: []Engine{Transformers}, where: " on a GPU", severity: Misreads, remedy: staticRemedy,
		source: "integrations/finegrained_fp8.py (5.24): FP8Linear has activation_scale, FP8Experts gate_up_proj_activation_scale and down_proj_activation_scale; input_scale is not loaded",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "looks for activation_scale (of experts gate_up_proj_activation_scale and down_proj_activation_scale) and not for input_scale: the scales of activations stay uninitialised", Example: f.inputScale["input_scale"]}, f.static() && f.inputScale["activation_scale"] == ""
		},
	},
	{
		engines: []Engine{TensorRT}, severity: Informs,
		source: "tensorrt_llm/_torch/model_config.py, load_hf_quant_config (2026-08): does not ask for the scheme",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "scales activations of block FP8 as they come, whatever the checkpoint has"}, f.static()
		},
	},
	{
		engines: []Engine{LlamaCPP, MLX}, severity: Refuses, remedy: staticRemedy,
		source: "llama.cpp convert_hf_to_gguf.py: no tensor of GGUF is mapped to them; mlx-lm load_model is strict; run with both",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "know no place for scales of activations", Tensors: f.inputScales, Example: first(f.inputScale)}, f.inputScales > 0 && len(f.matrices) > 0
		},
	},
	{
		engines: []Engine{VLLM, SGLang}, severity: Informs,
		source: "vLLM weight_utils.py, maybe_remap_kv_scale_name; SGLang deepseek_v2.py, load_weights (2026)",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "use the scales of keys and values when they are started with an FP8 cache: --kv-cache-dtype fp8, fp8_e4m3"}, f.caches > 0 && !f.latent()
		},
	},
	{
		engines: []Engine{SGLang}, severity: Informs,
		source: "SGLang deepseek_v2.py, load_weights (2026)",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "uses the scales of keys and values when it is started with an FP8 cache: --kv-cache-dtype fp8_e4m3"}, f.caches > 0 && f.latent()
		},
	},
	{
		engines: []Engine{VLLM}, severity: Misreads, remedy: "with that engine leave the cache in BF16, or --kv-scales out",
		source: "vLLM 0.32 run: of latent attention BaseKVCacheMethod finds 1 and 1 under quant_method fp8, whatever k_scale is",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "does not load the scales of what latent attention keeps: with an FP8 cache it takes 1 instead", Tensors: f.caches, Example: f.cache}, f.caches > 0 && f.latent() && f.method() == "fp8"
		},
	},
	{
		engines: []Engine{LlamaCPP, MLX}, severity: Refuses, remedy: cacheRemedy,
		source: "llama.cpp convert_hf_to_gguf.py: no tensor of GGUF is mapped to them; mlx-lm load_model is strict; run with both",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "know no place for scales of keys and values", Tensors: f.caches, Example: f.cache}, f.caches > 0
		},
	},

	// Formats and classes.
	{
		engines: []Engine{MLX}, severity: Refuses, remedy: bf16Remedy, cost: (*Folder).bf16Cost,
		source: "mlx-lm 0.32.2, models/*.py, sanitize; run: FP8 blocks are dequantized in the classes deepseek_v3, deepseek_v32 and minimax, all others raise",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "reads block FP8 in its classes deepseek_v3, deepseek_v32 and minimax only, and this model_type is none of theirs", Example: f.config.ModelType}, len(f.matrices) > 0 && mlxClass(f.config) == ""
		},
	},
	{
		engines: []Engine{LlamaCPP}, severity: Refuses, remedy: "`quern quantize` writes the scales again as weight_scale_inv",
		source: "conversion/base.py:330-344 (2026-08): of quant_method fp8 only *_scale_inv",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "its converter takes scales of quant_method fp8 for what they are only under the name weight_scale_inv", Example: f.scaleName}, f.fp8() && f.scaleName != "" && f.scaleName != "weight_scale_inv"
		},
	},
	{
		engines: []Engine{TensorRT}, severity: Refuses, remedy: "`quern convert --to bf16`, then quantize",
		source:  "_torch/model_config.py, load_hf_quant_config (@008e0af8): quant_method fp8 asserts a block of (128, 128), mxfp8 one of (1, 32)",
		general: "asserts a weight_block_size of [128 128] under quant_method fp8 and of [1 32] under mxfp8",
		apply:   tensorRTBlock,
	},
	{
		engines: []Engine{TensorRT}, severity: Refuses,
		source:  "models/quant_config_utils.py (@21156a7a): compressed-tensors has branches for FP8, MXFP4 and NVFP4 with activations",
		general: "has no branch for integer weights, for NVFP4 without quantized activations and for MXFP8 of compressed-tensors",
		apply:   tensorRTGroups,
	},
	{
		engines: []Engine{SGLang}, severity: Limits, remedy: "--to fp8 makes a folder that it loads elsewhere",
		source: "quantization/fp8.py (0.5.23): get_min_capability of mxfp8 is 100",
		apply:  blackwellOnly,
	},
	{
		engines: []Engine{SGLang}, severity: Refuses, remedy: "quantize the routed experts only, which --to mxfp4 means by itself",
		source: "quantization/compressed_tensors, README (0.5.23): linears are not supported yet",
		apply:  denseMXFP4,
	},
	{
		engines: []Engine{VLLM, SGLang}, severity: Refuses, remedy: "--container deepseek, which --to fp8 means by itself",
		source: "vLLM modelopt.py, ModelOptFp8Config.FusedMoEMethodCls (0.32): of experts it is FP8 with one scale a matrix; SGLang modelopt_quant.py, ModelOptFp8Config.from_config (0.5.23): ValueError",
		apply:  blocksAlone,
	},
	{
		engines: []Engine{Transformers}, severity: Misreads, remedy: "another container, or quern convert --to bf16",
		source: "quantizers/auto.py (5.24): a quant_method without a class is left alone; run with FP8, whose logits were off by 12",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "has no reader of ModelOpt's form: takes FP8 codes for weights, without their scales, and stops at packed ones"}, strings.HasPrefix(f.method(), "modelopt")
		},
	},
	{
		engines: []Engine{SGLang}, severity: Refuses, remedy: "leave --container out: --to mxfp8 has a container of its own, which it reads",
		source: "run with its config classes (0.5.23): ModelOpt's MXFP8 goes to its own class for MXFP8, which asks for activation_scheme and finds none",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "does not read MXFP8 in ModelOpt's form"}, strings.HasPrefix(f.method(), "modelopt") && strings.EqualFold(f.config.Quant.Algo, "MXFP8")
		},
	},
	{
		engines: []Engine{Transformers}, severity: Misreads, remedy: "`quern convert --to bf16` makes a folder that it loads",
		source: "run with 5.24 and compressed-tensors 0.20.1: no message, logits off by 15; compressed-tensors' own decompressor gives the right weights",
		apply: func(f *Folder) (Note, bool) {
			n := Note{Text: "loads NVFP4 experts of compressed-tensors with other values than they stand for"}
			for _, name := range f.names {
				if strings.Contains(name, ".experts.") && strings.HasSuffix(name, ".weight_global_scale") {
					n.add(name)
				}
			}
			return n, n.Tensors > 0
		},
	},
	{
		engines: []Engine{VLLM}, severity: Refuses, remedy: "--to mxfp4 makes a folder that it loads",
		source: "vllm#46641: no biases beside NVFP4 experts, and scales of experts in one tensor are dropped (0.22; #46645 mends it, open)",
		apply: func(f *Folder) (Note, bool) {
			n := Note{Text: "has no place for the biases of NVFP4 experts, nor for their scales"}
			for _, name := range f.names {
				if strings.HasSuffix(name, "experts.gate_up_proj_weight_scale_2") {
					n.add(name)
				}
			}
			return n, f.arch == "gpt_oss" && n.Tensors > 0
		},
	},
	{
		engines: []Engine{TensorRT}, severity: Misreads, remedy: "remove hf_quant_config.json, or make it say what config.json says",
		source: "modelopt_config.py (@2edf354d): hf_quant_config.json wins over the block in config.json",
		apply: func(f *Folder) (Note, bool) {
			m := f.method()
			return Note{Text: "takes hf_quant_config.json for what the weights are, and config.json declares " + m}, f.side["hf_quant_config.json"] && m != "" && !strings.HasPrefix(m, "modelopt")
		},
	},
	{
		engines: []Engine{TensorRT}, severity: Informs,
		source: "_torch/model_config.py, load_hf_quant_config (@008e0af8): heads 192 wide do not fall on 128 rows",
		apply: func(f *Folder) (Note, bool) {
			n, ok := each("dequantizes kv_b_proj, k_b_proj and eh_proj when it loads", func(m *matrix) bool {
				return m.meta.Part == "kv_b" || m.meta.Part == "k_b" || m.meta.Role == model.MTPProjection
			})(f)
			n.Tensors, n.Example = 0, ""
			return n, ok
		},
	},
	{
		engines: []Engine{DeepSeek}, where: " (V3.2)", severity: Refuses, remedy: raggedRemedy, cost: (*Folder).raggedCost,
		source: "inference/model.py:483-488 (3b99a53): weight_dequant asks for exact multiples of 128",
		apply: func(f *Folder) (Note, bool) {
			n, ok := each("dequantizes kv_b_proj in whole tiles only", func(m *matrix) bool {
				return m.meta.Part == "kv_b" && (m.rows%128 != 0 || m.cols%128 != 0)
			})(f)
			return n, ok && f.arch == "deepseek_v32"
		},
	},

	// Multi-token prediction.
	{
		engines: []Engine{MLX}, severity: Refuses,
		source:  "mlx-lm models/deepseek_v3.py, sanitize: what begins with model.layers.61 is dropped, whatever num_hidden_layers is; minimax.py drops nothing; load_model is strict",
		general: "has no place for the tensors of the multi-token prediction layer, and drops them only where it is layer 61; of a model with more layers it drops layer 61 itself",
		apply:   mlxLayers,
	},
	{
		engines: []Engine{Transformers, DeepSeek}, severity: Informs,
		source: "transformers _keys_to_ignore_on_load_unexpected; DeepSeek-V3 inference/convert.py:53",
		apply: func(f *Folder) (Note, bool) {
			return Note{Text: "drop the multi-token prediction layer when they load; vLLM, SGLang and TensorRT-LLM use it"}, len(f.mtp) > 0
		},
	},
	{
		engines: []Engine{MLX}, severity: Informs,
		source: "mlx-lm models/*.py, sanitize (0.32)",
		apply: func(f *Folder) (Note, bool) {
			_, refused := mlxLayers(f)
			return Note{Text: "drops the multi-token prediction layer when it loads"}, len(f.mtp) > 0 && !refused
		},
	},
}
