package runner_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/runner"
)

// small is a model of one layer in the making, and a slow way to compute it: float64,
// one number after the other, from the modeling files of transformers alone.
type small map[string]*parameter

type parameter struct {
	shape []int64
	data  []float64
	// dtype that data is stored in; the zero value stands for F32.
	dtype safetensors.DType
	// codes are stored instead of data, which are what they stand for.
	codes []byte
	// round is what engines make of the inputs of the weight, or nil.
	round func(x []float32)
}

// bytes are what is stored.
func (p *parameter) bytes() []byte {
	raw := p.codes
	for _, x := range p.data {
		if p.codes != nil {
			break
		}
		f := math.Float32bits(float32(x))
		switch p.dtype {
		case safetensors.BF16:
			raw = binary.LittleEndian.AppendUint16(raw, uint16(f>>16))
		case safetensors.F16:
			raw = binary.LittleEndian.AppendUint16(raw, half(x))
		case safetensors.F64:
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
		default:
			raw = binary.LittleEndian.AppendUint32(raw, f)
		}
	}
	return raw
}

func (m small) add(name string, shape ...int64) {
	r := rand.New(rand.NewPCG(uint64(len(m)), 7))
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	p := &parameter{shape: shape}
	for range n {
		x := r.NormFloat64() * 0.5
		if strings.Contains(name, "norm") {
			x = 1 + x/4
		}
		p.data = append(p.data, float64(float32(x)))
	}
	m[name] = p
}

// write makes the checkpoint.
func (m small) write(t testing.TB, config string) string {
	t.Helper()
	dir := t.TempDir()
	var list []safetensors.Tensor
	for _, name := range slices.Sorted(maps.Keys(m)) {
		d := m[name].dtype
		if d == 0 {
			d = safetensors.F32
		}
		list = append(list, safetensors.Tensor{Name: name, DType: d, Shape: m[name].shape})
	}
	f, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	err = safetensors.Write(f, list, nil, func(i int, w io.Writer) error {
		_, err := w.Write(m[list[i].Name].bytes())
		return err
	})
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// linear is W·x and, where there is one, the bias.
func (m small) linear(module string, x []float64) []float64 {
	w := m[module+".weight"]
	y := make([]float64, w.shape[0])
	if w.round != nil {
		f := make([]float32, len(x))
		for i, v := range x {
			f[i] = float32(v)
		}
		w.round(f)
		x = slices.Clone(x)
		for i, v := range f {
			x[i] = float64(v)
		}
	}
	for o := range y {
		for i, v := range x {
			y[o] += w.data[o*len(x)+i] * v
		}
		if b := m[module+".bias"]; b != nil {
			y[o] += b.data[o]
		}
	}
	return y
}

func (m small) norm(module string, x []float64) []float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(s/float64(len(x))+1e-6) * m[module+".weight"].data[i]
	}
	return y
}

// rotate turns pairs (i, j) of x by the angles of a position.
func rotate(x []float64, position int, interleaved bool) []float64 {
	y := slices.Clone(x)
	for i := range len(x) / 2 {
		a, b := i, i+len(x)/2
		if interleaved {
			a, b = 2*i, 2*i+1
		}
		s, c := math.Sincos(float64(position) * math.Pow(10000, -2*float64(i)/float64(len(x))))
		y[a], y[b] = x[a]*c-x[b]*s, x[b]*c+x[a]*s
	}
	return y
}

// attend is softmax(q·k/√d)·v over what has been so far.
func attend(q []float64, keys, values [][]float64) []float64 {
	weights, sum := make([]float64, len(keys)), 0.0
	for i, k := range keys {
		dot := 0.0
		for j := range q {
			dot += q[j] * k[j]
		}
		weights[i] = math.Exp(dot / math.Sqrt(float64(len(q))))
		sum += weights[i]
	}
	out := make([]float64, len(values[0]))
	for i, v := range values {
		for j := range v {
			out[j] += weights[i] / sum * v[j]
		}
	}
	return out
}

func plus(a, b []float64) []float64 {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

const at = "model.layers.0."

// logits runs the layer over ids. mix is its attention for one more token.
func (m small) logits(ids []int, mix func(position int, x []float64) []float64, act func(float64) float64) [][]float64 {
	var out [][]float64
	e := m["model.embed_tokens.weight"]
	for p, id := range ids {
		width := int(e.shape[1])
		x := slices.Clone(e.data[id*width:][:width])
		x = plus(x, m.linear(at+"self_attn.o_proj", mix(p, m.norm(at+"input_layernorm", x))))
		h := m.norm(at+"post_attention_layernorm", x)
		gate, up := m.linear(at+"mlp.gate_proj", h), m.linear(at+"mlp.up_proj", h)
		for i := range gate {
			gate[i] = act(gate[i]) * up[i]
		}
		x = plus(x, m.linear(at+"mlp.down_proj", gate))
		out = append(out, m.linear("lm_head", m.norm("model.norm", x)))
	}
	return out
}

// outer adds what all models have.
func (m small) outer() {
	m.add("model.embed_tokens.weight", 10, 8)
	m.add("model.norm.weight", 8)
	m.add("lm_head.weight", 10, 8)
	m.add(at+"input_layernorm.weight", 8)
	m.add(at+"post_attention_layernorm.weight", 8)
	m.add(at+"mlp.gate_proj.weight", 6, 8)
	m.add(at+"mlp.up_proj.weight", 6, 8)
	m.add(at+"mlp.down_proj.weight", 8, 6)
}

// llamaLike is grouped queries: two heads share a key.
func llamaLike(biases ...string) small {
	m := small{}
	m.outer()
	m.add(at+"self_attn.q_proj.weight", 8, 8)
	m.add(at+"self_attn.k_proj.weight", 4, 8)
	m.add(at+"self_attn.v_proj.weight", 4, 8)
	m.add(at+"self_attn.o_proj.weight", 8, 8)
	m.bias(biases)
	return m
}

// bias gives modules of the layer a bias.
func (m small) bias(modules []string) {
	for _, b := range modules {
		m.add(at+b+".bias", m[at+b+".weight"].shape[0])
	}
}

func (m small) grouped() func(int, []float64) []float64 {
	var keys, values [][]float64
	return func(p int, x []float64) []float64 {
		q := m.linear(at+"self_attn.q_proj", x)
		keys = append(keys, rotate(m.linear(at+"self_attn.k_proj", x), p, false))
		values = append(values, m.linear(at+"self_attn.v_proj", x))
		return append(attend(rotate(q[:4], p, false), keys, values), attend(rotate(q[4:], p, false), keys, values)...)
	}
}

// deepseekLike is latent attention: two heads of 4 dimensions and 2 rotated ones.
func deepseekLike(biases ...string) small {
	m := small{}
	m.outer()
	m.add(at+"self_attn.q_a_proj.weight", 6, 8)
	m.add(at+"self_attn.q_a_layernorm.weight", 6)
	m.add(at+"self_attn.q_b_proj.weight", 12, 6)
	m.add(at+"self_attn.kv_a_proj_with_mqa.weight", 7, 8)
	m.add(at+"self_attn.kv_a_layernorm.weight", 5)
	m.add(at+"self_attn.kv_b_proj.weight", 16, 5)
	m.add(at+"self_attn.o_proj.weight", 8, 8)
	m.bias(biases)
	return m
}

func (m small) latent() func(int, []float64) []float64 {
	var keys, values [2][][]float64
	return func(p int, x []float64) []float64 {
		q := m.linear(at+"self_attn.q_b_proj", m.norm(at+"self_attn.q_a_layernorm", m.linear(at+"self_attn.q_a_proj", x)))
		kv := m.linear(at+"self_attn.kv_a_proj_with_mqa", x)
		wide := m.linear(at+"self_attn.kv_b_proj", m.norm(at+"self_attn.kv_a_layernorm", kv[:5]))
		var out []float64
		for h := range 2 {
			keys[h] = append(keys[h], append(slices.Clone(wide[8*h:][:4]), rotate(kv[5:], p, true)...))
			values[h] = append(values[h], wide[8*h+4:][:4])
			out = append(out, attend(append(slices.Clone(q[6*h:][:4]), rotate(q[6*h+4:][:2], p, true)...), keys[h], values[h])...)
		}
		return out
	}
}

const (
	llamaConfig = `"model_type": "llama", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1, "vocab_size": 10, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "rms_norm_eps": 1e-6, "rope_theta": 10000.0`
	mlaConfig   = `"model_type": "deepseek_v3", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1, "vocab_size": 10, "num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 6, "kv_lora_rank": 5, "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 6, "first_k_dense_replace": 1, "rms_norm_eps": 1e-6, "rope_theta": 10000.0`
)

// What the config adds to a model is computed: biases of every projection, and other
// activations than SiLU. Generation computes the same.
func TestBiasesAndActivations(t *testing.T) {
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	gqa := []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}
	mla := []string{"self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa", "self_attn.o_proj"}
	mlp := []string{"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}
	for _, x := range []struct {
		what   string
		model  small
		config string
		act    func(float64) float64
	}{
		{"llama", llamaLike(), llamaConfig, silu},
		{"attention_bias", llamaLike(gqa...), llamaConfig + `, "attention_bias": true`, silu},
		{"mlp_bias", llamaLike(mlp...), llamaConfig + `, "mlp_bias": true`, silu},
		{"gelu", llamaLike(), llamaConfig + `, "hidden_act": "gelu"`, func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }},
		{"gelu_pytorch_tanh", llamaLike(), llamaConfig + `, "hidden_act": "gelu_pytorch_tanh"`, func(x float64) float64 {
			return x / (1 + math.Exp(-2*0.7978845608028654*(x+0.044715*x*x*x)))
		}},
		{"relu", llamaLike(), llamaConfig + `, "hidden_act": "relu"`, func(x float64) float64 { return (x + math.Abs(x)) / 2 }},
		{"swish", llamaLike(), llamaConfig + `, "hidden_act": "swish"`, silu},
		{"latent", deepseekLike(), mlaConfig, silu},
		{"latent with attention_bias", deepseekLike(mla...), mlaConfig + `, "attention_bias": true`, silu},
		{"latent with relu2", deepseekLike(), mlaConfig + `, "hidden_act": "relu2"`, func(x float64) float64 { return max(x, 0) * max(x, 0) }},
	} {
		t.Run(x.what, func(t *testing.T) {
			ids := []int{3, 1, 4, 1, 5, 9}
			mix := x.model.grouped()
			if strings.Contains(x.config, "deepseek") {
				mix = x.model.latent()
			}
			var want []float64
			for _, row := range x.model.logits(ids, mix, x.act) {
				want = append(want, row...)
			}
			m := open(t, x.model.write(t, "{"+x.config+"}"))
			if r := m.Remarks(); len(r) > 0 {
				t.Errorf("remarks %q", r)
			}
			ev, err := m.Evaluate(context.Background(), [][]int{ids}, runner.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer ev.Close()
			if d := maxDiff(t, logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), m.Vocab()), want); !(d <= 1e-5) {
				t.Errorf("logits differ by %.3g", d)
			}
			g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var last []float32
			for _, id := range ids {
				if last, err = g.Step([]int{id}); err != nil {
					t.Fatal(err)
				}
			}
			if d := maxDiff(t, last, want[len(want)-m.Vocab():]); !(d <= 1e-5) {
				t.Errorf("generated logits differ by %.3g", d)
			}
		})
	}
}

func openSmall(t *testing.T, m small, config string) (*runner.Model, error) {
	t.Helper()
	c, err := hf.Open(m.write(t, "{"+config+"}"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := runner.Open(c, nil)
	if err == nil {
		t.Cleanup(model.Close)
	}
	return model, err
}

// A tensor that would be left out is named, with the field that would give it its use.
func TestEveryTensorIsUsed(t *testing.T) {
	for _, x := range []struct {
		model  small
		config string
		tensor string
		words  string
	}{
		{deepseekLike("self_attn.q_a_proj"), mlaConfig, "self_attn.q_a_proj.bias", `"attention_bias" is not true`},
		{deepseekLike("self_attn.kv_b_proj"), mlaConfig + `, "attention_bias": true`, "", "has no tensor for bias"},
		{deepseekLike("self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa", "self_attn.o_proj", "self_attn.q_b_proj"), mlaConfig + `, "attention_bias": true`, "self_attn.q_b_proj.bias", "no use"},
		{llamaLike("self_attn.q_proj"), llamaConfig, "self_attn.q_proj.bias", "attention_bias"},
		{llamaLike("mlp.up_proj"), llamaConfig, "mlp.up_proj.bias", "no use"},
		{llamaLike("input_layernorm"), llamaConfig, "input_layernorm.bias", "no use"},
		{llamaLike(), llamaConfig + `, "mlp_bias": true`, "", "has no tensor for bias"},
	} {
		_, err := openSmall(t, x.model, x.config)
		if err == nil || !strings.Contains(err.Error(), x.words) || !strings.Contains(err.Error(), x.tensor) {
			t.Errorf("%s: %v", x.tensor, err)
		}
	}
	odd := llamaLike()
	odd.add(at+"self_attn.q_norm.weight", 4)
	odd.add("model.lm_extra.weight", 4, 4)
	if _, err := openSmall(t, odd, llamaConfig); err == nil {
		t.Error("norms and strangers that llama does not have are passed over")
	}
}

// What has no part in the function is said.
func TestIdleTensorsAreSaid(t *testing.T) {
	m := llamaLike()
	m.add(at+"self_attn.rotary_emb.inv_freq", 2)
	m.add(at + "self_attn.k_proj.k_scale")
	m.add("model.vision_tower.patch.weight", 4, 4)
	got, err := openSmall(t, m, llamaConfig)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(got.Remarks(), "\n")
	for _, want := range []string{"inv_freq first: buffers", "k_scale first: scales of a cache", "patch.weight first: parts for other modalities"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
}

// A field with which the function is another one is an error that names it and its
// value; one that nobody has looked at is remarked, and the rest is quiet.
func TestConfigFields(t *testing.T) {
	for _, field := range []string{
		`"hidden_act": "xielu"`, `"use_sliding_window": true, "sliding_window": 4`, `"layer_types": ["linear_attention"]`, `"layer_types": ["sliding_attention"]`,
		`"partial_rotary_factor": 0.5`, `"rotary_dim": 2`, `"final_logit_softcapping": 30.0`, `"attn_logit_softcapping": 50.0`, `"embedding_multiplier": 12.0`,
		`"attention_multiplier": 0.1`, `"logits_scaling": 8`, `"residual_multiplier": 0.22`, `"scale_emb": 12`, `"no_rope_layers": [1, 0]`, `"swiglu_limit": 7.0`,
		`"rope_interleave": true`, `"attention_chunk_size": 8192`, `"full_attention_interval": 4`, `"query_pre_attn_scalar": 256`,
	} {
		_, err := openSmall(t, llamaLike(), llamaConfig+", "+field)
		name, _, _ := strings.Cut(strings.TrimPrefix(field, `"`), `"`)
		if err == nil || !strings.Contains(err.Error(), `config.json: "`+name+`" is `) || !strings.Contains(err.Error(), "llama") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, field := range []string{
		`"scoring_func": "softmax"`, `"topk_method": "greedy"`, `"qk_head_dim": 8`, `"index_topk": 64`, `"hidden_act": "snake"`,
	} {
		if _, err := openSmall(t, deepseekLike(), mlaConfig+", "+field); err == nil {
			t.Errorf("%s is taken for V3", field)
		}
	}
	for _, field := range []string{
		`"hidden_act": "silu"`, `"use_sliding_window": false, "sliding_window": 4`, `"layer_types": ["full_attention"]`, `"partial_rotary_factor": 1.0`,
		`"final_logit_softcapping": null`, `"embedding_multiplier": 1.0`, `"attention_dropout": 0.5`, `"router_aux_loss_coef": 0.1`, `"rope_interleave": false`, `"torch_dtype": "bfloat16"`,
	} {
		m, err := openSmall(t, llamaLike(), llamaConfig+", "+field)
		if err != nil || len(m.Remarks()) > 0 {
			t.Errorf("%s: %v", field, err)
		}
	}
	m, err := openSmall(t, llamaLike(), llamaConfig+`, "zeta_mixing": 3, "alpha_mixing": true, "rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta": 1}`)
	if err != nil || fmt.Sprint(m.Remarks()) != "[config.json: nobody has looked at what these fields would change: alpha_mixing, rope_scaling.beta, zeta_mixing]" {
		t.Errorf("%v %v", m.Remarks(), err)
	}
}
