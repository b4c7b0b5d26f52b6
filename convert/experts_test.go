package convert_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/convert"
	"quern/formats/safetensors"
	"quern/scheme"
)

// Experts that are stored [experts, in, out] become the bytes that those of a
// checkpoint with a matrix an expert become, in every scheme: Llama 4, both orientations
// that Qwen3-VL's are published in, and Qwen3.5.
func TestTurnedExperts(t *testing.T) {
	const experts, inner, hidden = 3, 160, 256
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(r.NormFloat64())
		}
		return w
	}
	parts := map[string][]float32{"gate": random(experts * inner * hidden), "up": random(experts * inner * hidden), "down": random(experts * hidden * inner)}
	// stack puts the matrices of all experts into one tensor.
	stack := func(turned bool, rows, cols int, names ...string) []float32 {
		var out []float32
		for e := range experts {
			m := make([]float32, 0, len(names)*rows*cols)
			for _, n := range names {
				m = append(m, parts[n][e*rows*cols:(e+1)*rows*cols]...)
			}
			if !turned {
				out = append(out, m...)
				continue
			}
			all := len(names) * rows
			for c := range cols {
				for r := range all {
					out = append(out, m[r*cols+c])
				}
			}
		}
		return out
	}
	for _, c := range []struct {
		name, config, module string
		turned               bool
	}{
		{"llama4", `{"model_type": "llama4_text", "num_local_experts": 3, "hidden_size": 256, "intermediate_size": 160}`, "model.layers.0.feed_forward.experts.", true},
		{"qwen3_vl_moe", `{"model_type": "qwen3_vl_moe_text", "num_experts": 3, "hidden_size": 256, "moe_intermediate_size": 160}`, "model.language_model.layers.0.mlp.experts.", true},
		{"qwen3_5_moe", `{"model_type": "qwen3_5_moe_text", "num_experts": 3, "hidden_size": 256, "moe_intermediate_size": 160}`, "model.layers.0.mlp.experts.", false},
		{"qwen3_vl_moe as saved", `{"model_type": "qwen3_vl_moe_text", "num_experts": 3, "hidden_size": 256, "moe_intermediate_size": 160}`, "model.language_model.layers.0.mlp.experts.", false},
	} {
		for _, s := range scheme.All {
			t.Run(c.name+" "+s.Name, func(t *testing.T) {
				shape := func(out, in int64) []int64 {
					if c.turned {
						return []int64{experts, in, out}
					}
					return []int64{experts, out, in}
				}
				fused := quantize(t, checkpoint(t, c.config,
					floatItem(c.module+"gate_up_proj", safetensors.BF16, stack(c.turned, inner, hidden, "gate", "up"), shape(2*inner, hidden)...),
					floatItem(c.module+"down_proj", safetensors.BF16, stack(c.turned, hidden, inner, "down"), shape(hidden, inner)...)), convert.QuantizeOptions{Scheme: s})
				var single []item
				for e := range experts {
					for name, w := range parts {
						rows, cols := int64(inner), int64(hidden)
						if name == "down" {
							rows, cols = cols, rows
						}
						n := int(rows * cols)
						single = append(single, floatItem(fmt.Sprintf("%s%d.%s_proj.weight", c.module, e, name), safetensors.BF16, w[e*n:(e+1)*n], rows, cols))
					}
				}
				want := quantize(t, checkpoint(t, c.config, single...), convert.QuantizeOptions{Scheme: s})
				if fused.Len() != want.Len() || want.Len() < 2*3*experts {
					t.Fatalf("%d tensors, want %d", fused.Len(), want.Len())
				}
				for _, n := range names(want) {
					if !bytes.Equal(data(t, fused, n), data(t, want, n)) {
						t.Errorf("%s differs", n)
					}
				}
			})
		}
	}
}
