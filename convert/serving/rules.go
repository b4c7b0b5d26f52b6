package serving

import (
	"fmt"
	"sort"

	"quern/formats/model"
)

// rule is a row of the table. Sources name file and state of the code read;
// "measured" means that the engine was run.
type rule struct {
	engine   string
	severity Severity
	source   string
	remedy   string
	apply    func(*checkpoint) (Note, bool)
}

const raggedRemedy = "--ragged keep leaves such matrices and their fused partners in BF16"

var rules = []rule{
	{
		engine: "transformers 5.23", severity: Refuses, remedy: raggedRemedy,
		source: "integrations/finegrained_fp8.py, Fp8Dequantize: tile height = rows // scale rows; measured with 5.23.0",
		apply: each("dequantizes with tiles of rows÷scale rows, which must divide: it raises on these", func(m matrix) bool {
			return m.rows%m.scaleRows != 0 || m.cols%m.scaleCols != 0
		}),
	},
	{
		engine: "transformers 5.23", severity: Misreads, remedy: raggedRemedy,
		source: "the same; measured with 5.23.0: 448 rows are read as 4 tiles of 112, 8–20 % error, no message; every machine without a GPU takes this path",
		apply: each("dequantizes with tiles of rows÷scale rows, which is not 128 here: the weights come out wrong, without a message", func(m matrix) bool {
			divides := m.rows%m.scaleRows == 0 && m.cols%m.scaleCols == 0
			return divides && (m.scaleRows > 1 && m.rows/m.scaleRows != 128 || m.scaleCols > 1 && m.cols/m.scaleCols != 128)
		}),
	},
	{
		engine: "vLLM", severity: Refuses, remedy: "quantize or keep them together: quern does so unless the input already mixes them",
		source: "model_executor/layers/quantization/utils/quant_utils.py, is_layer_skipped (2026-07): parts of a fused layer must agree, else ValueError",
		apply:  mixedParts,
	},
	{
		engine: "vLLM, SGLang", severity: Refuses, remedy: raggedRemedy,
		source: "vLLM fp8_utils.py:1224-1272 (2026-07): of a merged matrix only the last part may be ragged; SGLang fp8.py asks it of every part",
		apply:  raggedMerge,
	},
	{
		engine: "vLLM", severity: Limits,
		source: "fp8_utils.py:1224-1272, fp8.py:637-649 (2026-07): each rank's share of a matrix must be a multiple of 128",
		apply:  tensorParallel,
	},
	{
		engine: "vLLM on Blackwell", severity: Informs, remedy: "--scale-fmt ue8m0 makes that a no-op",
		source: "fp8_utils.py:1104-1128 (2026-07): DeepGEMM takes power-of-two scales only",
		apply: func(c *checkpoint) (Note, bool) {
			return Note{Text: "rounds the weights again at load, to power-of-two scales"}, !c.ue8m0
		},
	},
	{
		engine: "vLLM, SGLang", severity: Refuses, remedy: "leave --act-scales static out",
		source: "vLLM fp8.py:128-133 (2026-07), SGLang fp8.py, Fp8Config: ValueError unless the scheme of block FP8 is dynamic",
		apply: func(c *checkpoint) (Note, bool) {
			return Note{Text: "load block FP8 only where activations are scaled as they come"}, c.static
		},
	},
	{
		engine: "transformers", severity: Misreads, remedy: "leave --act-scales static out",
		source: "integrations/finegrained_fp8.py, FP8Linear: activation_scale is 1.0 until it is loaded (read, not run)",
		apply: func(c *checkpoint) (Note, bool) {
			return Note{Text: "looks for activation_scale instead of input_scale: on a GPU the scale of activations stays 1"}, c.static
		},
	},
	{
		engine: "TensorRT-LLM", severity: Informs,
		source: "tensorrt_llm/_torch/model_config.py, load_hf_quant_config (2026-08): does not ask for the scheme",
		apply: func(c *checkpoint) (Note, bool) {
			return Note{Text: "scales activations of block FP8 as they come, whatever the checkpoint has"}, c.static
		},
	},
	{
		engine: "vLLM, SGLang", severity: Informs,
		source: "vLLM weight_utils.py, maybe_remap_kv_scale_name; SGLang deepseek_v2.py, load_weights (2026)",
		apply: func(c *checkpoint) (Note, bool) {
			return Note{Text: "use the scales of keys and values when they are started with an FP8 cache: --kv-cache-dtype fp8, fp8_e4m3"}, c.caches
		},
	},
	{
		engine: "DeepSeek-V3.2 inference", severity: Refuses, remedy: raggedRemedy,
		source: "inference/model.py:483-488 (3b99a53): weight_dequant asks for exact multiples of 128",
		apply: func(c *checkpoint) (Note, bool) {
			n, ok := each("dequantizes kv_b_proj in whole tiles only", func(m matrix) bool {
				return m.meta.Part == "kv_b" && (m.rows%128 != 0 || m.cols%128 != 0)
			})(c)
			return n, ok && c.arch == "deepseek_v32"
		},
	},
	{
		engine: "transformers, MLX, DeepSeek convert.py", severity: Informs,
		source: "transformers _keys_to_ignore_on_load_unexpected; MLX sanitize; DeepSeek-V3 inference/convert.py:53",
		apply: func(c *checkpoint) (Note, bool) {
			return Note{Text: "drop the multi-token prediction layer when they load; vLLM and SGLang use it"}, c.mtp
		},
	},
	{
		engine: "TensorRT-LLM", severity: Informs,
		source: "tensorrt_llm/_torch/model_config.py, load_hf_quant_config (2026-08)",
		apply: func(c *checkpoint) (Note, bool) {
			n, ok := each("dequantizes kv_b_proj when it loads", func(m matrix) bool { return m.meta.Part == "kv_b" })(c)
			n.Tensors, n.Example = 0, ""
			return n, ok
		},
	},
}

// mixedParts finds fused matrices of which only some parts have codes.
func mixedParts(c *checkpoint) (Note, bool) {
	n := Note{Text: "refuses fused layers of which only some parts are quantized"}
	for _, f := range keys(c.part) {
		if p := c.part[f]; p[0] > 0 && p[1] > 0 {
			if n.Tensors == 0 {
				n.Example = f
			}
			n.Tensors++
		}
	}
	return n, n.Tensors > 0
}

// raggedMerge finds merged matrices with a ragged part that is not the last.
// The order of parts is that of engines: q before k before v, gate before up,
// q_a before kv_a.
func raggedMerge(c *checkpoint) (Note, bool) {
	order := map[string]int{"q": 0, "k": 1, "v": 2, "gate": 0, "up": 1, "q_a": 0, "kv_a": 1}
	n := Note{Text: "refuse merged matrices in which a part other than the last is no multiple of 128 rows"}
	for _, f := range keys(c.fused) {
		parts := append([]matrix(nil), c.fused[f]...)
		sort.SliceStable(parts, func(i, j int) bool { return order[parts[i].meta.Part] < order[parts[j].meta.Part] })
		for i, m := range parts {
			if i < len(parts)-1 && m.rows%128 != 0 {
				if n.Tensors == 0 {
					n.Example = fmt.Sprintf("%s [%d %d]", m.name, m.rows, m.cols)
				}
				n.Tensors++
				break
			}
		}
	}
	return n, n.Tensors > 0
}

// tensorParallel finds up to how many ranks all matrices that are split can be.
func tensorParallel(c *checkpoint) (Note, bool) {
	limit, by := int64(64), matrix{}
	for _, m := range c.matrices {
		split := int64(0)
		switch m.meta.Role {
		case model.RoutedExpert, model.SharedExpert, model.DenseMLP:
			split = m.rows
			if m.meta.Part == "down" {
				split = m.cols
			}
		case model.Attention:
			switch m.meta.Part {
			case "q", "q_b", "kv_b":
				split = m.rows
			case "o":
				split = m.cols
			}
		}
		if split == 0 {
			continue
		}
		most := int64(1)
		for tp := int64(2); tp <= 64; tp *= 2 {
			if split%tp == 0 && split/tp%128 == 0 {
				most = tp
			}
		}
		if most < limit {
			limit, by = most, m
		}
	}
	if limit >= 64 {
		return Note{}, false
	}
	text := fmt.Sprintf("tensor parallel size at most %d: beyond that a rank's share is no multiple of 128", limit)
	if limit == 1 {
		text = "no tensor parallelism: a rank's share would be no multiple of 128"
	}
	return Note{Text: text, Example: fmt.Sprintf("%s [%d %d]", by.name, by.rows, by.cols), Remedy: "use expert or pipeline parallelism beyond that"}, true
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
