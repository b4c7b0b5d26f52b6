package runner_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/runner"
)

// shape are bytes of weights that a checkpoint of DeepSeek-V3's shape uses: what every
// token needs of the main model and of the MTP layer, without the head, and an expert.
type shape struct {
	main, mtp, head, expert float64
	layers                  float64 // with experts, in the main model
}

// released counts the tensors of the released shape, in BF16 or with linears in block FP8
// as it is released: a byte, and a scale of 4 for each 128×128.
func released(fp8 bool) shape {
	v := synth.Released()
	s := shape{layers: float64(v.Layers - v.Dense)}
	mtp := fmt.Sprintf("model.layers.%d.", v.Layers)
	for _, t := range v.Tensors() {
		n := 2.0
		for _, d := range t.Shape {
			n *= float64(d)
		}
		if t.DType == safetensors.F32 {
			n *= 2
		}
		linear := strings.Contains(t.Name, "_proj") && !strings.Contains(t.Name, "eh_proj")
		if fp8 && linear {
			n = n/2 + 4*math.Ceil(float64(t.Shape[0])/128)*math.Ceil(float64(t.Shape[1])/128)
		}
		switch {
		case strings.Contains(t.Name, "embed_tokens"): // a row of it
		case strings.Contains(t.Name, ".experts."):
			if strings.Contains(t.Name, fmt.Sprintf("layers.%d.mlp.experts.0.", v.Dense)) {
				s.expert += n
			}
		case strings.HasSuffix(t.Name, "head.weight"):
			s.head = n // that of the MTP layer is a copy
		case strings.HasPrefix(t.Name, mtp):
			s.mtp += n
		default:
			s.main += n
		}
	}
	return s
}

// distinct is how many of 256 experts so many tokens choose, 8 each. Of a token's the share
// fresh are drawn at random, the others are its predecessor's, which is in the same pass.
func distinct(sequences, tokens, fresh float64) float64 {
	// Tokens of a sequence behind the first in the pass choose anew what is fresh.
	draws := sequences * (1 + (tokens-1)*fresh)
	return 256 * (1 - math.Pow(1-8.0/256, draws))
}

// pairs is the share of a token's experts that its predecessor has not chosen, in the
// embedded model on its text, over what it would be by chance.
func pairs(t *testing.T) float64 {
	m := open(t, tiny(t))
	texts := prompts(t, tiny(t), 16)
	k, fresh, total := m.Config().NumExpertsPerTok, 0, 0
	ev, err := m.Evaluate(context.Background(), texts, runner.Options{NoMTP: true, Workers: 1, Hooks: &runner.Hooks{
		Route: func(_, first int, ids []int32, _ []float32, _ int) {
			for i := k; i < len(ids); i += k {
				if (first+i/k)%len(texts[0]) == 0 {
					continue // the first token of a text
				}
				for _, id := range ids[i:][:k] {
					if total++; !slices.Contains(ids[i-k:i], id) {
						fresh++
					}
				}
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ev.Close()
	return float64(fresh) / float64(total) / (1 - float64(k)/float64(m.Config().NumExperts))
}

// The table of docs/benchmarks.md about the released shape is what its byte counts say.
func TestDraftingOfReleased(t *testing.T) {
	raw, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	s := released(true)
	alike := math.Round(100*pairs(t)) / 100
	if main, mtp := s.main+s.head+8*s.layers*s.expert, s.mtp+s.head+8*s.expert; !strings.Contains(string(raw),
		fmt.Sprintf("%.1f GB for a token, %.2f GB for a draft of one, %.2f GB of them the head", main/1e9, mtp/1e9, s.head/1e9)) {
		t.Errorf("%.1f GB for a token, %.2f GB for a draft of one, %.2f GB of them the head", main/1e9, mtp/1e9, s.head/1e9)
	}
	if words := fmt.Sprintf("%.2f of what chance would give", alike); !strings.Contains(string(raw), words) {
		t.Errorf("no words %q", words)
	}
	for _, batch := range []float64{1, 8, 32, 128} {
		for _, fresh := range []float64{1, alike} {
			cells := []string{fmt.Sprintf("| %.0f | %.2f", batch, fresh)}
			plain := s.main + s.head + s.layers*s.expert*distinct(batch, 1, fresh)
			pass := s.main + s.head + s.layers*s.expert*distinct(batch, 2, fresh)
			draft := func(a, share float64) float64 {
				return s.mtp + share*s.head + s.expert*distinct(batch, 1+a, fresh)
			}
			cells = append(cells, fmt.Sprintf("%.2f", pass/plain),
				fmt.Sprintf("%.3f", draft(.85, 1)/plain), fmt.Sprintf("%.3f", draft(.85, .25)/plain))
			for _, a := range []float64{.482, .85, .90} {
				cells = append(cells, fmt.Sprintf("%.2f", (1+a)*plain/(pass+draft(a, .25))))
			}
			if row := strings.Join(cells, " | ") + " |"; !strings.Contains(string(raw), row) {
				t.Errorf("no row %s", row)
			}
		}
	}
}
