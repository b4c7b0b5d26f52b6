package runner_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/runner"
)

// contains reports whether an error blames the input, in words.
func blames(err error, words ...string) bool {
	return err != nil && errors.Is(err, invalid.Input) && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(err.Error(), w) })
}

func TestTexts(t *testing.T) {
	m, err := openSmall(t, llamaLike(), llamaConfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		texts [][]int
		words string
	}{
		{nil, "there is no text"},
		{[][]int{{1}, {}}, "text 1 is empty"},
		{[][]int{{1}, {2, 10}}, "text 1, position 1: token id 10 is not in the vocabulary of 10"},
		{[][]int{{-1}}, "text 0, position 0: token id -1"},
	} {
		if _, err := m.Evaluate(context.Background(), x.texts, runner.Options{}); !blames(err, x.words) {
			t.Errorf("%v: %v", x.texts, err)
		}
	}
	g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Prefill(nil); !blames(err, "the prompt is empty") {
		t.Error(err)
	}
	if _, err := g.Prefill([]int{3, 11}); !blames(err, "token id 11 is not in the vocabulary of 10") {
		t.Error(err)
	}
	for _, n := range []int{0, runner.MaxStep + 1} {
		if _, err := g.Step(make([]int, n)); err == nil {
			t.Errorf("a step of %d tokens", n)
		}
	}
	for _, o := range []runner.GenerateOptions{{}, {MaxTokens: 1, Draft: 8}, {MaxTokens: 1, Draft: -1}, {MaxTokens: 1, Draft: 1}} {
		if _, err := m.Generate(context.Background(), []int{1}, o, func(int) error { return nil }); err == nil {
			t.Errorf("%+v is generated", o)
		}
	}
}

// A context that ends stops evaluation and generation, as does what takes the tokens.
func TestStopping(t *testing.T) {
	m := open(t, "testdata/models/deepseek_v3")
	for stop := range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := m.Evaluate(ctx, [][]int{{1, 2, 3}}, runner.Options{Hooks: &runner.Hooks{Done: func(layer int, _ *runner.Rows) error {
			if layer == stop {
				cancel()
			}
			return nil
		}}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("stopped behind layer %d: %v", stop, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	st, err := m.Generate(ctx, []int{1, 2}, runner.GenerateOptions{MaxTokens: 9}, func(int) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || st.Tokens != 3 {
		t.Errorf("%d tokens: %v", st.Tokens, err)
	}
	if _, err := m.NewGenerator(ctx, runner.GeneratorOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	full := errors.New("full")
	for _, draft := range []int{0, 2} {
		if _, err := m.Generate(context.Background(), []int{1, 2}, runner.GenerateOptions{MaxTokens: 9, Draft: draft}, func(int) error { return full }); !errors.Is(err, full) {
			t.Errorf("draft %d: %v", draft, err)
		}
	}
	for name, hooks := range map[string]*runner.Hooks{
		"hidden": {Hidden: func(layer, _ int, _ []float32, _ int) error {
			if layer == m.Layers() {
				return full
			}
			return nil
		}},
		"begin": {Hidden: func(int, int, []float32, int) error { return full }},
		"done":  {Done: func(int, *runner.Rows) error { return full }},
	} {
		if _, err := m.Evaluate(context.Background(), [][]int{{1, 2, 3}}, runner.Options{Hooks: hooks}); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Evaluate(context.Background(), [][]int{{1}}, runner.Options{Resume: &runner.Resume{Layer: 1, Hidden: func(int, []float32) error { return full }}}); !errors.Is(err, full) {
		t.Error(err)
	}
}

// A state that is no number is an error that says where; a text without it is fine.
func TestNoNumbers(t *testing.T) {
	m := llamaLike()
	m["model.embed_tokens.weight"].data[5*8+2] = math.Inf(1)
	got, err := openSmall(t, m, llamaConfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []runner.Options{{}, {Memory: 1, TempDir: t.TempDir()}} {
		if _, err := got.Evaluate(context.Background(), [][]int{{1, 2}, {3}, {5, 4, 6}}, o); !blames(err, "layer 0", "text 2, position 0, channel", "computes no number") {
			t.Error(err)
		}
		ev, err := got.Evaluate(context.Background(), [][]int{{1, 2}}, o)
		if err != nil {
			t.Fatal(err)
		}
		ev.Close()
	}
	g, err := got.NewGenerator(context.Background(), runner.GeneratorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Prefill([]int{5, 1}); !blames(err, "position 0", "computes no number") {
		t.Error(err)
	}
}

// What a layer keeps is told: keys and values, or latents and the key that heads share.
func TestCached(t *testing.T) {
	for _, x := range []struct {
		model  small
		config string
		widths map[string]int
	}{
		{llamaLike(), llamaConfig, map[string]int{"k": 4, "v": 4}},
		{deepseekLike(), mlaConfig, map[string]int{"kv_latent": 5, "k": 2}},
	} {
		m, err := openSmall(t, x.model, x.config)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		ev, err := m.Evaluate(context.Background(), [][]int{{1, 2, 3}}, runner.Options{Hooks: &runner.Hooks{Cached: func(kind string, a *runner.Activations) {
			if a.Modules[0] != "model.layers.0.self_attn" || a.Rows != 3 || len(a.X) < 3*a.Width {
				t.Errorf("%s of %s: %d rows of %d", kind, a.Modules[0], a.Rows, a.Width)
			}
			got[kind] = a.Width
		}}})
		if err != nil {
			t.Fatal(err)
		}
		ev.Close()
		if !maps.Equal(got, x.widths) {
			t.Errorf("%v instead of %v", got, x.widths)
		}
	}
}

// What a model is.
func TestModel(t *testing.T) {
	m := open(t, "testdata/models/deepseek_v3")
	want := []runner.Routed{{Layer: 1, Experts: 16, TopK: 4}, {Layer: 2, Experts: 16, TopK: 4}, {Layer: 3, Experts: 16, TopK: 4, MTP: true}}
	if got := m.Routed(); !slices.Equal(got, want) {
		t.Errorf("%v instead of %v", got, want)
	}
	if !m.HasMTP() || m.HasStaticScales() || m.Hidden() != 64 || m.Width() != 64 || m.Layers() != 3 {
		t.Errorf("MTP %v, static scales %v, %d of %d, %d layers", m.HasMTP(), m.HasStaticScales(), m.Hidden(), m.Width(), m.Layers())
	}
	if _, shared := m.MTPHead(runner.Options{}); !shared && m.Checkpoint().Config.NumMTPLayers == 0 {
		t.Error("no MTP head")
	}
	h := m.Head(runner.Options{})
	for limit, want := range map[int64]int{0: 128, 1: 128, 64 * 4 * 128: 256, 1 << 30: 256} {
		if got := h.TileRows(limit); got%128 != 0 || limit == 0 && got != 128 || limit == 1<<30 && got != 256 {
			t.Errorf("tiles of %d rows in %d bytes, want about %d", got, limit, want)
		}
	}
	llama, err := openSmall(t, llamaLike(), llamaConfig)
	if err != nil {
		t.Fatal(err)
	}
	if llama.HasMTP() || len(llama.Routed()) != 0 {
		t.Error("a llama has MTP or experts")
	}
}

// Statistics of a text follow from its counts.
func TestStatistics(t *testing.T) {
	s := runner.Statistics{Tokens: 11, Time: 2, Drafts: 4, Drafted: 8, Accepted: []int{3, 1}}
	if s.Speed() != 5 || s.Acceptance() != 0.5 || s.Length() != 2 {
		t.Errorf("%v tokens a second, acceptance %v, length %v", s.Speed(), s.Acceptance(), s.Length())
	}
	if zero := (runner.Statistics{}); zero.Speed() != 0 || zero.Acceptance() != 0 || zero.Length() != 1 {
		t.Errorf("nothing generated: %v %v %v", zero.Speed(), zero.Acceptance(), zero.Length())
	}
	m := open(t, "testdata/models/deepseek_v3")
	plain, _ := generate(t, m, []int{1, 2, 3}, runner.GenerateOptions{MaxTokens: 8})
	stop := plain[4]
	first := slices.Index(plain, stop)
	for _, draft := range []int{0, 3} {
		out, st := generate(t, m, []int{1, 2, 3}, runner.GenerateOptions{MaxTokens: 8, Stop: []int{stop}, Draft: draft})
		if !st.Stopped || !slices.Equal(out, plain[:first]) || st.Tokens != first+1 {
			t.Errorf("draft %d: %v of %v, %+v", draft, out, plain, st)
		}
	}
}

// The ids that end a text are those of generation_config.json, else of config.json.
func TestStopTokens(t *testing.T) {
	for generation, want := range map[string][]int{
		"": {7}, `{}`: {7}, `{"eos_token_id": null}`: {7}, `{"eos_token_id": 3}`: {3}, `{"eos_token_id": [3, 4]}`: {3, 4},
		`{"eos_token_id": "x"}`: nil, `{`: nil,
	} {
		dir := llamaLike().write(t, "{"+llamaConfig+`, "eos_token_id": 7}`)
		if generation != "" {
			if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(generation), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := open(t, dir).StopTokens()
		if want == nil && !blames(err, "generation_config.json") || want != nil && (err != nil || !slices.Equal(got, want)) {
			t.Errorf("%s: %v %v", generation, got, err)
		}
	}
}

// Checkpoints that cannot be run are refused with the tensor or the field.
func TestRefused(t *testing.T) {
	change := func(f func(m small)) small {
		m := llamaLike()
		f(m)
		return m
	}
	for what, x := range map[string]struct {
		model  small
		config string
		words  []string
	}{
		"another shape":  {change(func(m small) { m[at+"mlp.up_proj.weight"].shape = []int64{8, 6} }), llamaConfig, []string{"mlp.up_proj.weight", "[8 6]", "[6 8]"}},
		"missing":        {change(func(m small) { delete(m, at+"mlp.up_proj.weight") }), llamaConfig, []string{"missing", "mlp.up_proj.weight"}},
		"integer matrix": {change(func(m small) { p := m[at+"mlp.up_proj.weight"]; p.dtype, p.codes = safetensors.I8, make([]byte, 48) }), llamaConfig, []string{"mlp.up_proj.weight", "I8"}},
		"integer norm":   {change(func(m small) { p := m["model.norm.weight"]; p.dtype, p.codes = safetensors.I8, make([]byte, 8) }), llamaConfig, []string{"model.norm.weight", "instead of 8 numbers"}},
		"no scales": {change(func(m small) {
			p := m[at+"mlp.up_proj.weight"]
			p.dtype, p.codes = safetensors.F8E4M3, make([]byte, 48)
		}), llamaConfig, []string{"mlp.up_proj.weight"}},
		"odd rotation": {llamaLike(), llamaConfig + `, "rope_scaling": {"rope_type": "default", "partial_rotary_factor": 0.25}`, []string{"1 rotated dimensions of heads of 4"}},
		"rope type":    {llamaLike(), llamaConfig + `, "rope_scaling": {"rope_type": "longrope", "factor": 2.0}`, []string{"longrope"}},
		"rope factor":  {llamaLike(), llamaConfig + `, "rope_scaling": {"rope_type": "linear", "factor": 0}`, []string{"linear", "factor 0"}},
		"llama3":       {llamaLike(), llamaConfig + `, "rope_scaling": {"rope_type": "llama3", "factor": 2.0}`, []string{"llama3", "original_max_position_embeddings"}},
		"groups":       {deepseekExperts(), strings.Replace(expertConfig, `"n_group": 1`, `"n_group": 3`, 1), []string{"1 of 3 groups of 4 experts"}},
		"no config":    {nil, "", []string{"config.json"}},
	} {
		if x.model == nil {
			dir := llamaLike().write(t, "{}")
			if err := os.Remove(filepath.Join(dir, "config.json")); err != nil {
				t.Fatal(err)
			}
			c, err := hf.Open(dir)
			if err == nil {
				_, err = runner.Open(c, nil)
			}
			if !blames(err, x.words...) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if _, err := openSmall(t, x.model, x.config); !blames(err, x.words...) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// expertConfig is mlaConfig with experts in its layer.
var expertConfig = strings.Replace(mlaConfig, `"first_k_dense_replace": 1`, `"first_k_dense_replace": 0, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "routed_scaling_factor": 2.0`, 1)

// deepseekExperts is deepseekLike with four experts instead of a dense block.
func deepseekExperts() small {
	m := deepseekLike()
	for _, p := range []string{"gate_proj", "up_proj", "down_proj"} {
		shape := m[at+"mlp."+p+".weight"].shape
		delete(m, at+"mlp."+p+".weight")
		for _, e := range []string{"0", "1", "2", "3"} {
			m.add(at+"mlp.experts."+e+"."+p+".weight", shape...)
		}
	}
	m.add(at+"mlp.gate.weight", 4, 8)
	m.add(at+"mlp.gate.e_score_correction_bias", 4)
	return m
}

// Experts in FP8 with static scales, every expert applied to every token: the states are
// those of the chosen ones, and the scales are those of each expert.
func TestEveryExpert(t *testing.T) {
	m := deepseekExperts()
	for _, p := range m.projections() {
		if strings.Contains(p, ".experts.") {
			out, in := m[p+".weight"].shape[0], m[p+".weight"].shape[1]
			m.encode(p+".weight", p+".weight_scale_inv", 4, 4, (out+3)/4, (in+3)/4)
			m[p+".input_scale"] = &parameter{data: []float64{float64(float32(0.03))}}
		}
	}
	got, err := openSmall(t, m, expertConfig+`, "quantization_config": {"quant_method": "fp8", "weight_block_size": [4, 4], "activation_scheme": "static"}`)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := got.StaticScales(); err != nil || len(s) != 12 {
		t.Errorf("static scales %v %v", s, err)
	}
	texts := [][]int{{1, 2, 3, 4}, {5}, {9, 9}}
	for _, o := range []runner.Options{{}, {Emulate: true}, {Emulate: true, StaticScales: true}} {
		var want []float32
		applied := map[string]int{}
		for i, all := range []bool{false, true, true} {
			o.AllExperts, o.TempDir = all, t.TempDir()
			o.Memory = int64(i/2) * 1 // the last one with files
			o.Hooks = &runner.Hooks{Input: func(a *runner.Activations) {
				if all && strings.Contains(a.Modules[0], ".experts.") {
					applied[a.Modules[0]] += a.Rows
				}
			}}
			ev, err := got.Evaluate(context.Background(), texts, o)
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = rows(t, ev.Hidden)
			} else if !slices.Equal(rows(t, ev.Hidden), want) {
				t.Error("what every expert is applied to changes states")
			}
			ev.Close()
		}
		if len(applied) != 8 { // gate_proj with up_proj, and down_proj, of four
			t.Errorf("inputs of %d modules", len(applied))
		}
		for name, n := range applied {
			if n != 2*7 {
				t.Errorf("%s was applied to %d rows in two runs over 7 tokens", name, n)
			}
		}
	}
}
