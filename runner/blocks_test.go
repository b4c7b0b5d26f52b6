package runner_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"quern/formats/hf"
	"quern/runner"
)

// slow is small with what a layer is made of, in float64.
type slow struct {
	small
	scale float64 // of q·k, times √d
	norm1 func(module string, x []float64) []float64
}

// attention is a fresh one, with a cache.
func (m slow) attention() func(position int, x []float64) []float64 {
	var keys, values [][]float64
	return func(p int, x []float64) []float64 {
		q := times(m.linear(at+"self_attn.q_proj", x), m.scale)
		keys = append(keys, rotate(m.linear(at+"self_attn.k_proj", x), p, false))
		values = append(values, m.linear(at+"self_attn.v_proj", x))
		o := append(attend(rotate(q[:4], p, false), keys, values), attend(rotate(q[4:], p, false), keys, values)...)
		return m.linear(at+"self_attn.o_proj", o)
	}
}

func (m slow) mlp(x []float64) []float64 {
	gate, up := m.linear(at+"mlp.gate_proj", x), m.linear(at+"mlp.up_proj", x)
	for i, g := range gate {
		gate[i] = g / (1 + math.Exp(-g)) * up[i]
	}
	return m.linear(at+"mlp.down_proj", gate)
}

func (m slow) first(x []float64) []float64  { return m.norm1(at+"input_layernorm", x) }
func (m slow) second(x []float64) []float64 { return m.norm1(at+"post_attention_layernorm", x) }

func times(x []float64, f float64) []float64 {
	y := slices.Clone(x)
	for i := range y {
		y[i] *= f
	}
	return y
}

func total(xs ...[]float64) []float64 {
	y := slices.Clone(xs[0])
	for _, x := range xs[1:] {
		plus(y, x)
	}
	return y
}

// onePlus and centred are the norms of other kinds.
func (m slow) onePlus(module string, x []float64) []float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return total(m.norm(module, x), times(x, 1/math.Sqrt(s/float64(len(x))+1e-6)))
}

func (m slow) centred(module string, x []float64) []float64 {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	y := slices.Clone(x)
	for i := range y {
		y[i] -= mean
		square += y[i] * y[i] / float64(len(x))
	}
	for i := range y {
		y[i] = y[i]/math.Sqrt(square+1e-6)*m.small[module+".weight"].data[i] + m.small[module+".bias"].data[i]
	}
	return y
}

// arranged are layers as their models write them down: functions from what a layer
// begins with to what it ends with, fresh for each text.
var arranged = map[string]func(m slow) func(position int, x []float64) []float64{
	"parallel": func(m slow) func(int, []float64) []float64 {
		attention := m.attention()
		return func(p int, x []float64) []float64 {
			return total(x, attention(p, m.first(x)), m.mlp(m.first(x)))
		}
	},
	"sandwich": func(m slow) func(int, []float64) []float64 {
		attention := m.attention()
		return func(p int, x []float64) []float64 {
			x = total(x, m.second(attention(p, m.first(x))))
			return total(x, m.first(m.mlp(m.second(x))))
		}
	},
	"beside": func(m slow) func(int, []float64) []float64 {
		attention := m.attention()
		return func(p int, x []float64) []float64 {
			x = total(x, attention(p, m.first(x)))
			return total(x, m.first(total(m.second(m.mlp(m.second(x))), m.first(m.mlp(m.first(x))))))
		}
	},
	"double": func(m slow) func(int, []float64) []float64 {
		attention, again := m.attention(), m.attention()
		return func(p int, x []float64) []float64 {
			x = total(x, attention(p, m.first(x)))
			shortcut := m.mlp(m.first(x))
			x = total(x, m.mlp(m.second(x)))
			x = total(x, again(p, m.first(x)))
			return total(x, m.mlp(m.second(x)), shortcut)
		}
	},
	"recurrent": func(m slow) func(int, []float64) []float64 {
		sum := make([]float64, 8)
		return func(_ int, x []float64) []float64 {
			sum = total(times(sum, 0.5), m.first(x))
			x = total(x, sum)
			y := slices.Clone(sum)
			for i := range y {
				y[i] *= x[i]
			}
			x = total(x, y)
			return total(x, m.mlp(m.second(x)))
		}
	},
	"streams": func(m slow) func(int, []float64) []float64 {
		attention := m.attention()
		return func(p int, x []float64) []float64 {
			a, b := slices.Clone(x), slices.Clone(x)
			leave := func(y []float64, keep float64) {
				a, b = total(b, y), total(times(a, 0.5), times(y, keep))
			}
			leave(attention(p, m.first(total(times(a, 0.75), times(b, 0.5)))), a[0])
			leave(m.mlp(m.second(total(times(a, 0.75), times(b, 0.5)))), a[0])
			return times(total(a, b), 0.5)
		}
	},
}

func sequential(m slow, residual float64) func(int, []float64) []float64 {
	attention := m.attention()
	return func(p int, x []float64) []float64 {
		x = total(x, times(attention(p, m.first(x)), residual))
		return total(x, times(m.mlp(m.second(x)), residual))
	}
}

// A layer may be arranged in all the ways that models use: evaluation, from memory and
// from files, and generation compute what the models say, and a text can be taken back.
func TestArrangements(t *testing.T) {
	type variant struct {
		config string
		change func(m *slow)
		layer  func(m slow) func(int, []float64) []float64
		embed  float64
		finish func(x float64) float64
	}
	variants := map[string]variant{
		"sequential": {layer: func(m slow) func(int, []float64) []float64 { return sequential(m, 1) }},
		"1+w": {
			change: func(m *slow) { m.norm1 = m.onePlus },
			layer:  func(m slow) func(int, []float64) []float64 { return sequential(m, 1) },
		},
		"layer norm": {
			change: func(m *slow) {
				for _, n := range []string{at + "input_layernorm", at + "post_attention_layernorm", "model.norm"} {
					m.add(n+".bias", 8)
				}
				m.norm1 = m.centred
			},
			layer: func(m slow) func(int, []float64) []float64 { return sequential(m, 1) },
		},
		"factors": {
			config: `, "embedding_multiplier": 3, "attention_multiplier": 0.2, "residual_multiplier": 0.5, "logits_scaling": 4, "final_logit_softcapping": 2`,
			change: func(m *slow) { m.scale = 0.2 * 2 },
			layer:  func(m slow) func(int, []float64) []float64 { return sequential(m, 0.5) },
			embed:  3, finish: func(x float64) float64 { return 2 * math.Tanh(x/4/2) },
		},
		"cohere factors": {
			config: `, "logit_scale": 0.25, "query_pre_attn_scalar": 16`,
			change: func(m *slow) { m.scale = 0.25 * 2 },
			layer:  func(m slow) func(int, []float64) []float64 { return sequential(m, 1) },
			finish: func(x float64) float64 { return x / 4 },
		},
	}
	for name, layer := range arranged {
		variants[name] = variant{layer: layer}
	}
	if len(variants) != len(runner.Arrangements)-1 { // less TestUnknownType
		t.Errorf("%d arrangements, %d are tried", len(runner.Arrangements), len(variants))
	}
	texts := [][]int{{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7}, {2}, {7, 1, 8, 2, 8}}
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			m := slow{small: llamaLike(), scale: 1}
			m.norm1 = m.norm
			if v.change != nil {
				v.change(&m)
			}
			if v.finish == nil {
				v.finish = func(x float64) float64 { return x }
			}
			if v.embed == 0 {
				v.embed = 1
			}
			var want [][]float64 // logits by text
			for _, ids := range texts {
				layer := v.layer(m)
				var all []float64
				for p, id := range ids {
					x := times(m.small["model.embed_tokens.weight"].data[id*8:][:8], v.embed)
					for _, l := range m.linear("lm_head", m.norm1("model.norm", layer(p, x))) {
						all = append(all, v.finish(l))
					}
				}
				want = append(want, all)
			}
			c, err := hf.Open(m.write(t, "{"+llamaConfig+v.config+"}"))
			if err != nil {
				t.Fatal(err)
			}
			model, err := runner.OpenAs(c, name)
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			for _, o := range []runner.Options{{}, {Memory: 1, TempDir: t.TempDir(), Workers: 1}} {
				ev, err := model.Evaluate(context.Background(), texts, o)
				if err != nil {
					t.Fatal(err)
				}
				if d := maxDiff(t, logits(t, model.Head(o), ev.Hidden, 10, 4), slices.Concat(want...)); !(d <= 1e-5) {
					t.Errorf("memory %d: logits differ by %.3g", o.Memory, d)
				}
				ev.Close()
			}
			for _, memory := range []int64{0, 1} {
				t.Run(fmt.Sprint(memory), func(t *testing.T) { generateSlowly(t, model, memory, texts[0], want[0]) })
			}
		})
	}
}

// generateSlowly runs a text in steps, some of which go astray and are taken back.
func generateSlowly(t *testing.T, m *runner.Model, memory int64, ids []int, want []float64) {
	g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	check := func(got []float32, err error, first, n int) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(t, got[:n*10], want[first*10:(first+n)*10]); !(d <= 1e-5) {
			t.Errorf("logits from position %d differ by %.3g", first, d)
		}
	}
	got, err := g.Prefill(ids[:5])
	check(got, err, 4, 1)
	for at, n := 5, 1; at < len(ids); at, n = at+n, n+1 {
		n = min(n, len(ids)-at)
		astray := append(slices.Clone(ids[at:at+n]), 6, 0, 6)
		got, err := g.Step(astray)
		check(got, err, at, n)
		g.Truncate(at + n)
		if g.Len() != at+n {
			t.Errorf("%d tokens instead of %d", g.Len(), at+n)
		}
	}
}

// Several streams go with experts, multi-token prediction and resuming: what is handed
// on is as wide as the frame says, wherever it lies.
func TestStreamsWithExperts(t *testing.T) {
	c, err := hf.Open("testdata/models/deepseek_v3")
	if err != nil {
		t.Fatal(err)
	}
	m, err := runner.OpenAs(c, "streams")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Width() != 2*m.Hidden() {
		t.Fatalf("width %d, hidden size %d", m.Width(), m.Hidden())
	}
	texts := [][]int{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {9}, {7, 7, 8}}
	evaluate := func(o runner.Options) (hidden, mtp []float32) {
		t.Helper()
		o.TempDir = t.TempDir()
		ev, err := m.Evaluate(context.Background(), texts, o)
		if err != nil {
			t.Fatal(err)
		}
		defer ev.Close()
		return rows(t, ev.Hidden), rows(t, ev.MTP)
	}
	var states [][]float32
	hidden, mtp := evaluate(runner.Options{Hooks: &runner.Hooks{Done: func(_ int, x *runner.Rows) error {
		states = append(states, rows(t, x))
		return nil
	}}})
	for what, o := range map[string]runner.Options{
		"files":        {Memory: 1, Workers: 1},
		"every expert": {AllExperts: true, Memory: 1},
		"resumed": {Resume: &runner.Resume{Layer: 2, Hidden: func(first int, x []float32) error {
			copy(x, states[1][first*m.Width():])
			return nil
		}}},
	} {
		if h, x := evaluate(o); !slices.Equal(h, hidden) || !slices.Equal(x, mtp) {
			t.Errorf("%s: other states", what)
		}
	}
	ev, err := m.Evaluate(context.Background(), texts, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	var want []float64
	for _, v := range logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), m.Vocab()) {
		want = append(want, float64(v))
	}
	g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range texts[0] {
		got, err := g.Step([]int{id})
		if err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(t, got, want[i*m.Vocab():][:m.Vocab()]); !(d <= 1e-5*max(1, deviation(want))) {
			t.Errorf("position %d differs by %.3g", i, d)
		}
	}
	plain, _ := generate(t, m, texts[0], runner.GenerateOptions{MaxTokens: 20})
	for _, draft := range []int{1, 3} {
		if got, st := generate(t, m, texts[0], runner.GenerateOptions{MaxTokens: 20, Draft: draft}); !slices.Equal(got, plain) || st.Drafted == 0 {
			t.Errorf("a draft of %d gives %v instead of %v", draft, got, plain)
		}
	}
}

// A layer of a type that a row has no mixer for is an error that names both.
func TestUnknownType(t *testing.T) {
	for config, words := range map[string]string{
		llamaConfig: "",
		strings.Replace(llamaConfig, `"num_hidden_layers": 1`, `"num_hidden_layers": 2`, 1): `layer 1 is of type "mystery", which the runner does not compute for llama`,
	} {
		m := llamaLike()
		if words != "" {
			for name, p := range maps.Clone(m) {
				if rest, ok := strings.CutPrefix(name, at); ok {
					m["model.layers.1."+rest] = p
				}
			}
		}
		c, err := hf.Open(m.write(t, "{"+config+"}"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = runner.OpenAs(c, "unknown type")
		if words == "" && err != nil || words != "" && !blames(err, words) {
			t.Errorf("%q: %v", words, err)
		}
	}
}

// chosen are the two experts of a token and their weights, as DeepSeek-V3 chooses.
func (m slow) chosen(h []float64) map[int]float64 {
	logits := m.linear(at+"mlp.gate", h)
	bias := m.small[at+"mlp.gate.e_score_correction_bias"].data
	score := func(e int) float64 { return 1 / (1 + math.Exp(-logits[e])) }
	order := []int{0, 1, 2, 3}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score(b)+bias[b], score(a)+bias[a]) })
	sum := score(order[0]) + score(order[1])
	return map[int]float64{order[0]: 2 * score(order[0]) / sum, order[1]: 2 * score(order[1]) / sum}
}

// expert is a feed-forward block by its number.
func (m slow) expert(e int, x []float64) []float64 {
	p := fmt.Sprintf("%smlp.experts.%d.", at, e)
	gate, up := m.linear(p+"gate_proj", x), m.linear(p+"up_proj", x)
	for i, g := range gate {
		gate[i] = silu(g) * up[i]
	}
	return m.linear(p+"down_proj", gate)
}

// Experts as models have them: alone, with some that do nothing, in another width.
func TestExpertArrangements(t *testing.T) {
	moe := map[string]func(m slow, h []float64) []float64{
		"experts": func(m slow, h []float64) []float64 {
			y := make([]float64, 8)
			for e, w := range m.chosen(h) {
				plus(y, times(m.expert(e, h), w))
			}
			return y
		},
		"zero experts": func(m slow, h []float64) []float64 {
			y := make([]float64, 8)
			for e, w := range m.chosen(h) {
				if e == 3 {
					plus(y, times(h, w))
				} else {
					plus(y, times(m.expert(e, h), w))
				}
			}
			return y
		},
		"latent experts": func(m slow, h []float64) []float64 {
			y := make([]float64, 8)
			narrow := m.linear(at+"self_attn.o_proj", h)
			for e, w := range m.chosen(h) {
				plus(y, times(m.expert(e, narrow), w))
			}
			return m.linear(at+"self_attn.o_proj", m.first(y))
		},
	}
	for name := range runner.ExpertArrangements {
		t.Run(name, func(t *testing.T) {
			m := slow{small: deepseekExperts()}
			m.norm1 = m.norm
			attention := m.latent()
			var want []float64
			for p, id := range someIDs {
				x := slices.Clone(m.small["model.embed_tokens.weight"].data[id*8:][:8])
				x = total(x, m.linear(at+"self_attn.o_proj", attention(p, m.first(x))))
				x = total(x, moe[name](m, m.second(x)))
				want = append(want, m.linear("lm_head", m.norm("model.norm", x))...)
			}
			c, err := hf.Open(m.write(t, "{"+expertConfig+"}"))
			if err != nil {
				t.Fatal(err)
			}
			model, err := runner.OpenAs(c, name)
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			for _, o := range []runner.Options{{}, {Memory: 1, TempDir: t.TempDir()}, {AllExperts: true}} {
				agree(t, model, someIDs, want, o, 1e-5)
			}
		})
	}
}
