package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/manifest"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
	"quern/verify"
)

// patient is a quantized tinyseek without its manifest, for one damage.
type patient struct {
	t   *testing.T
	dir string
}

// json changes a JSON file.
func (p patient) json(name string, change func(m map[string]any)) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	raw, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		p.t.Fatal(err)
	}
	change(m)
	if raw, err = json.Marshal(m); err != nil {
		p.t.Fatal(err)
	}
	write(p.t, path, raw)
}

// set sets a member of config.json, nil removes it.
func (p patient) set(key string, value any) {
	p.t.Helper()
	p.json("config.json", func(m map[string]any) { setOrDelete(m, key, value) })
}

// quant sets a member of quantization_config, nil removes it.
func (p patient) quant(key string, value any) {
	p.t.Helper()
	p.json("config.json", func(m map[string]any) { setOrDelete(m["quantization_config"].(map[string]any), key, value) })
}

func setOrDelete(m map[string]any, key string, value any) {
	if value == nil {
		delete(m, key)
	} else {
		m[key] = value
	}
}

// bytes changes the bytes of a tensor.
func (p patient) bytes(tensor string, change func(b []byte)) {
	p.t.Helper()
	damage(p.t, p.dir, tensor, change)
}

// floats changes a tensor of float32.
func (p patient) floats(tensor string, change func(x []float32)) {
	p.t.Helper()
	p.bytes(tensor, func(b []byte) {
		x := make([]float32, len(b)/4)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		change(x)
		for i := range x {
			binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x[i]))
		}
	})
}

// halves changes a tensor of BF16.
func (p patient) halves(tensor string, change func(x []float32)) {
	p.t.Helper()
	p.bytes(tensor, func(b []byte) {
		x := make([]float32, len(b)/2)
		for i := range x {
			x[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(b[2*i:]))
		}
		change(x)
		for i := range x {
			binary.LittleEndian.PutUint16(b[2*i:], fp8.BF16FromFloat32(x[i]))
		}
	})
}

// tensors writes the weights anew as one file.
func (p patient) tensors(change func(list map[string]*entry)) {
	p.t.Helper()
	c := open(p.t, p.dir)
	list := map[string]*entry{}
	for r := range c.All() {
		e := &entry{name: r.Tensor.Name, dtype: r.Tensor.DType, shape: r.Tensor.Shape}
		p.bytes(e.name, func(b []byte) { e.data = bytes.Clone(b) })
		list[e.name] = e
	}
	change(list)
	var flat []safetensors.Tensor
	for name, e := range list {
		flat = append(flat, safetensors.Tensor{Name: name, DType: e.dtype, Shape: e.shape})
	}
	slices.SortFunc(flat, func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
	h, raw, err := safetensors.NewHeader(flat, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, placed := range h.Tensors {
		raw = append(raw, list[placed.Name].data...)
	}
	for _, f := range c.Files {
		if err := os.Remove(f.Path); err != nil {
			p.t.Fatal(err)
		}
	}
	_ = os.Remove(filepath.Join(p.dir, "model.safetensors.index.json"))
	write(p.t, filepath.Join(p.dir, "model.safetensors"), raw)
}

const (
	oProj  = "model.layers.1.self_attn.o_proj.weight"
	upProj = "model.layers.2.mlp.experts.4.up_proj.weight"
	bias   = "model.layers.2.mlp.gate.e_score_correction_bias"
)

// damages are ways to spoil a quantized tinyseek of which figures over a text show
// little or nothing, and the gate that sees each; "" is an error that matches
// invalid.Input.
var damages = []struct {
	name, gate string
	do         func(p patient)
}{
	// config.json, in what it says of the model.
	{"rope_theta", "config", func(p patient) { p.set("rope_theta", 10001) }},
	{"rms_norm_eps", "config", func(p patient) { p.set("rms_norm_eps", 1.1e-6) }},
	{"routed_scaling_factor", "config", func(p patient) { p.set("routed_scaling_factor", 2.4) }},
	{"hidden_act", "config", func(p patient) { p.set("hidden_act", "gelu") }},
	{"eos_token_id", "config", func(p patient) { p.set("eos_token_id", 5) }},
	{"eos_token_id as a list", "config", func(p patient) { p.set("eos_token_id", []int{1}) }},
	{"bos_token_id removed", "config", func(p patient) { p.set("bos_token_id", nil) }},
	{"num_experts_per_tok", "config", func(p patient) { p.set("num_experts_per_tok", 3) }},
	{"tie_word_embeddings", "config", func(p patient) { p.set("tie_word_embeddings", true) }},
	{"norm_topk_prob", "config", func(p patient) { p.set("norm_topk_prob", false) }},
	{"a key more", "config", func(p patient) { p.set("attention_multiplier", 0.5) }},
	{"nested factor", "config", func(p patient) {
		p.json("config.json", func(m map[string]any) { m["rope_scaling"].(map[string]any)["factor"] = 8 })
	}},
	{"architectures", "config", func(p patient) { p.set("architectures", []string{"DeepseekV2ForCausalLM"}) }},
	{"max_position_embeddings", "config", func(p patient) { p.set("max_position_embeddings", 4096) }},
	{"torch_dtype that no matrix has", "config", func(p patient) { p.set("torch_dtype", "float16") }},
	{"torch_dtype of nonsense", "config", func(p patient) { p.set("torch_dtype", "bf16") }},
	{"expert_dtype of other experts", "config", func(p patient) { p.set("expert_dtype", "fp4") }},

	// config.json, in what it says of the quantization.
	{"quantization_config removed", "config", func(p patient) { p.set("quantization_config", nil) }},
	{"quant_method gptq", "config", func(p patient) { p.quant("quant_method", "gptq") }},
	{"quant_method compressed-tensors", "config", func(p patient) { p.quant("quant_method", "compressed-tensors") }},
	{"quant_method modelopt", "config", func(p patient) { p.quant("quant_method", "modelopt") }},
	{"quant_method removed", "config", func(p patient) { p.quant("quant_method", nil) }},
	{"fmt e5m2", "config", func(p patient) { p.quant("fmt", "e5m2") }},
	{"activation_scheme static", "config", func(p patient) { p.quant("activation_scheme", "static") }},
	{"activation_scheme of nonsense", "config", func(p patient) { p.quant("activation_scheme", "none") }},
	{"scale_fmt ue8m0", "scales", func(p patient) { p.quant("scale_fmt", "ue8m0") }},
	{"scale_fmt of nonsense", "config", func(p patient) { p.quant("scale_fmt", "e5m2") }},
	{"weight_block_size [64, 128]", "config", func(p patient) { p.quant("weight_block_size", []int{64, 128}) }},
	{"weight_block_size removed", "config", func(p patient) { p.quant("weight_block_size", nil) }},
	{"ignore list emptied", "config", func(p patient) { p.quant("modules_to_not_convert", []string{}) }},
	{"ignore list without the head", "config", func(p patient) {
		p.json("config.json", func(m map[string]any) {
			q := m["quantization_config"].(map[string]any)
			q["modules_to_not_convert"] = slices.DeleteFunc(q["modules_to_not_convert"].([]any), func(x any) bool { return x == "lm_head" })
		})
	}},
	{"ignore list with a module more", "config", func(p patient) {
		p.json("config.json", func(m map[string]any) {
			q := m["quantization_config"].(map[string]any)
			q["modules_to_not_convert"] = append(q["modules_to_not_convert"].([]any), strings.TrimSuffix(oProj, ".weight"))
		})
	}},

	// Other files.
	{"generation_config.json: eos_token_id", "config", func(p patient) {
		p.json("generation_config.json", func(m map[string]any) { m["eos_token_id"] = 7 })
	}},
	{"generation_config.json: temperature", "config", func(p patient) {
		p.json("generation_config.json", func(m map[string]any) { m["temperature"] = 0.1 })
	}},
	{"generation_config.json removed", "config", func(p patient) { p.remove("generation_config.json") }},
	{"generation_config.json is no JSON", "config", func(p patient) { write(p.t, filepath.Join(p.dir, "generation_config.json"), []byte("{")) }},
	{"merges reversed", "files", func(p patient) {
		p.json("tokenizer.json", func(m map[string]any) { slices.Reverse(m["model"].(map[string]any)["merges"].([]any)) })
	}},
	{"vocabulary rotated", "files", func(p patient) {
		p.json("tokenizer.json", func(m map[string]any) {
			v := m["model"].(map[string]any)["vocab"].(map[string]any)
			for k, id := range v {
				v[k] = float64((int(id.(float64)) + 1) % len(v))
			}
		})
	}},
	{"added token", "files", func(p patient) {
		p.json("tokenizer.json", func(m map[string]any) { m["added_tokens"].([]any)[0].(map[string]any)["special"] = false })
	}},
	{"tokenizer.json removed", "files", func(p patient) { p.remove("tokenizer.json") }},
	{"tokenizer_config.json", "files", func(p patient) {
		p.json("tokenizer_config.json", func(m map[string]any) { m["add_bos_token"] = "maybe" })
	}},
	{"chat template", "files", func(p patient) {
		p.json("tokenizer_config.json", func(m map[string]any) { m["chat_template"] = "{{ messages }}" })
	}},
	{"chat_template.jinja more", "files", func(p patient) { write(p.t, filepath.Join(p.dir, "chat_template.jinja"), []byte("{{ messages }}")) }},
	{"special_tokens_map.json more", "files", func(p patient) { write(p.t, filepath.Join(p.dir, "special_tokens_map.json"), []byte("{}")) }},
	{"code more", "files", func(p patient) { write(p.t, filepath.Join(p.dir, "modeling_x.py"), []byte("import os")) }},

	// Scales.
	{"grid transposed", "codes", func(p patient) { p.floats(oProj+"_scale_inv", func(x []float32) { x[1], x[2] = x[2], x[1] }) }},
	{"scales cut to BF16", "codes", func(p patient) {
		p.floats(oProj+"_scale_inv", func(x []float32) {
			for i := range x {
				x[i] = math.Float32frombits(math.Float32bits(x[i]) &^ 0xffff)
			}
		})
	}},
	{"scale rounded to a power of two", "codes", func(p patient) {
		p.floats(upProj+"_scale_inv", func(x []float32) { x[0] = float32(math.Exp2(math.Round(math.Log2(float64(x[0]))))) })
	}},
	{"scale doubled", "sqnr", func(p patient) { p.floats(upProj+"_scale_inv", func(x []float32) { x[0] *= 2 }) }},
	{"scale 1 % off", "codes", func(p patient) { p.floats(upProj+"_scale_inv", func(x []float32) { x[0] *= 1.01 }) }},
	{"scale zero", "scales", func(p patient) { p.floats(upProj+"_scale_inv", func(x []float32) { x[0] = 0 }) }},
	{"scale negative", "scales", func(p patient) { p.floats(upProj+"_scale_inv", func(x []float32) { x[0] = -x[0] }) }},
	{"scale infinite", "scales", func(p patient) { p.floats(upProj+"_scale_inv", func(x []float32) { x[0] = float32(math.Inf(1)) }) }},
	{"scales of two experts swapped", "codes", func(p patient) {
		p.swap(upProj+"_scale_inv", strings.Replace(upProj, "experts.4", "experts.5", 1)+"_scale_inv")
	}},
	{"scales removed", "", func(p patient) { p.tensors(func(l map[string]*entry) { delete(l, oProj+"_scale_inv") }) }},

	// Codes.
	{"one code off by one", "codes", func(p patient) { p.bytes(upProj, func(b []byte) { b[777] ^= 1 }) }},
	{"the last code off by one", "codes", func(p patient) { p.bytes(upProj, func(b []byte) { b[len(b)-1] ^= 1 }) }},
	{"one sign", "codes", func(p patient) { p.bytes(oProj, func(b []byte) { b[4242] ^= 0x80 }) }},
	{"the sign of a zero", "codes", func(p patient) {
		p.bytes(oProj, func(b []byte) { b[slices.IndexFunc(b, func(x byte) bool { return x&0x7f == 0 })] ^= 0x80 })
	}},
	{"NaN code", "finite", func(p patient) { p.bytes(oProj, func(b []byte) { b[0] = 0x7f }) }},
	{"a row of signs", "codes", func(p patient) { p.bytes(oProj, func(b []byte) { flip(b[256*9 : 256*10]) }) }},
	{"dead channel", "codes", func(p patient) {
		p.bytes(oProj, func(b []byte) {
			for i := 17; i < len(b); i += 256 {
				b[i] = 0
			}
		})
	}},
	{"codes of two experts swapped", "codes", func(p patient) { p.swap(upProj, strings.Replace(upProj, "experts.4", "experts.5", 1)) }},
	{"experts swapped whole", "codes", func(p patient) {
		other := strings.Replace(upProj, "experts.4", "experts.5", 1)
		p.swap(upProj, other)
		p.swap(upProj+"_scale_inv", other+"_scale_inv")
	}},
	{"code of the MTP layer", "codes", func(p patient) {
		p.bytes("model.layers.4.mlp.experts.0.down_proj.weight", func(b []byte) { b[5] ^= 2 })
	}},

	// What is kept.
	{"router bias in BF16", "kept", func(p patient) { p.narrow(bias) }},
	{"router bias in BF16, widened again", "kept", func(p patient) {
		p.floats(bias, func(x []float32) {
			for i := range x {
				x[i] = fp8.BF16ToFloat32(fp8.BF16FromFloat32(x[i]))
			}
		})
	}},
	{"router in F32", "kept", func(p patient) { p.widen("model.layers.2.mlp.gate.weight") }},
	{"router, one value", "kept", func(p patient) { p.bytes("model.layers.2.mlp.gate.weight", func(b []byte) { b[200] ^= 1 }) }},
	{"norm times 1.01", "kept", func(p patient) {
		p.halves("model.layers.1.input_layernorm.weight", func(x []float32) {
			for i := range x {
				x[i] *= 1.01
			}
		})
	}},
	{"embedding row", "kept", func(p patient) { p.bytes("model.embed_tokens.weight", func(b []byte) { flip(b[512*99 : 512*99+2]) }) }},
	{"head, one value", "kept", func(p patient) { p.bytes("lm_head.weight", func(b []byte) { b[12345] ^= 1 }) }},
	{"eh_proj, one value", "kept", func(p patient) { p.bytes("model.layers.4.eh_proj.weight", func(b []byte) { b[7] ^= 0x40 }) }},
	{"tensor missing", "kept", func(p patient) { p.tensors(func(l map[string]*entry) { delete(l, bias) }) }},
	{"tensor more", "kept", func(p patient) {
		p.tensors(func(l map[string]*entry) {
			l["model.layers.1.self_attn.q_a_proj.bias"] = &entry{"model.layers.1.self_attn.q_a_proj.bias", safetensors.BF16, []int64{96}, make([]byte, 192)}
		})
	}},
	{"expert missing", "kept", func(p patient) {
		p.tensors(func(l map[string]*entry) { delete(l, upProj); delete(l, upProj+"_scale_inv") })
	}},
	{"norm in another shape", "kept", func(p patient) {
		p.tensors(func(l map[string]*entry) { l["model.norm.weight"].shape = []int64{1, 256} })
	}},
	{"a linear left in BF16, not listed", "config", func(p patient) {
		p.tensors(func(l map[string]*entry) {
			delete(l, oProj+"_scale_inv")
			l[oProj].dtype, l[oProj].data = safetensors.BF16, make([]byte, 2*len(l[oProj].data))
		})
	}},
}

func (p patient) remove(name string) {
	p.t.Helper()
	if err := os.Remove(filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

func (p patient) swap(a, b string) {
	p.t.Helper()
	var x, y []byte
	p.bytes(a, func(d []byte) { x = bytes.Clone(d) })
	p.bytes(b, func(d []byte) { y = bytes.Clone(d); copy(d, x) })
	p.bytes(a, func(d []byte) { copy(d, y) })
}

// narrow rounds a tensor of F32 to BF16, widen is the way back.
func (p patient) narrow(name string) {
	p.tensors(func(l map[string]*entry) {
		e := l[name]
		out := make([]byte, len(e.data)/2)
		fp8.CastBF16(out, e.data, fp8.ElemF32)
		e.dtype, e.data = safetensors.BF16, out
	})
}

func (p patient) widen(name string) {
	p.tensors(func(l map[string]*entry) {
		e := l[name]
		var out []byte
		for i := 0; i < len(e.data); i += 2 {
			out = append(out, 0, 0, e.data[i], e.data[i+1])
		}
		e.dtype, e.data = safetensors.F32, out
	})
}

func flip(b []byte) {
	for i := range b {
		b[i] ^= 0x80
	}
}

// model writes the embedded model.
func model(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDamagedTinyseek(t *testing.T) {
	src := model(t)
	whole := quantized(t, src, convert.QuantizeOptions{})
	if err := os.Remove(filepath.Join(whole, manifest.Name)); err != nil {
		t.Fatal(err)
	}
	base := open(t, src)
	if r := compare(t, src, whole); !r.Passed {
		t.Fatalf("undamaged: %+v", r.Gates)
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			p := patient{t, filepath.Join(t.TempDir(), "damaged")}
			if err := os.CopyFS(p.dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			d.do(p)
			r, err := verify.Compare(context.Background(), base, open(t, p.dir), verify.Options{Workers: 1})
			if d.gate == "" {
				if !errors.Is(err, invalid.Input) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if g := gate(t, r, d.gate); r.Passed || g.Passed || len(g.Failures) == 0 {
				t.Errorf("gate %s: %+v\n%+v", d.gate, g, r.Gates)
			}
		})
	}
}

// At the sizes of large models a few thousand codes do not reach the ratio of a matrix;
// each code on its own does.
func TestDamagedLargeMatrix(t *testing.T) {
	const rows, cols = 2048, 7168
	r := rand.New(rand.NewPCG(41, 1))
	data := make([]byte, 2*rows*cols)
	for i := range rows * cols {
		binary.LittleEndian.PutUint16(data[2*i:], fp8.BF16FromFloat32(float32(r.NormFloat64()*0.02)))
	}
	name := "model.layers.0.mlp.up_proj.weight"
	src := checkpoint(t, nil, entry{name, safetensors.BF16, []int64{rows, cols}, data})
	out := quantized(t, src, convert.QuantizeOptions{})
	if err := os.Remove(filepath.Join(out, manifest.Name)); err != nil {
		t.Fatal(err)
	}
	var codes, scales []byte
	keep := func(name string, to *[]byte) { damage(t, out, name, func(b []byte) { *to = bytes.Clone(b) }) }
	keep(name, &codes)
	keep(name+"_scale_inv", &scales)
	for _, d := range []struct {
		name string
		do   func(codes []byte, scales []byte)
		sqnr bool // sees it too
	}{
		{"one code", func(c, _ []byte) { c[rows*cols/2] ^= 1 }, false},
		{"one row of signs", func(c, _ []byte) { flip(c[cols*700 : cols*701]) }, true},
		{"a dead tile", func(c, _ []byte) {
			for i := range 128 {
				clear(c[(256+i)*cols+384 : (256+i)*cols+512])
			}
		}, true},
		{"a dead channel", func(c, _ []byte) {
			for i := range rows {
				c[i*cols+4321] = 0
			}
		}, true},
		{"64 codes overwritten", func(c, _ []byte) { copy(c[123456:], bytes.Repeat([]byte{0x38}, 64)) }, false},
		{"scales cut to BF16", func(_, s []byte) {
			for i := 0; i < len(s); i += 4 {
				s[i], s[i+1] = 0, 0
			}
		}, false},
		{"one scale cut to BF16", func(_, s []byte) { s[404], s[405] = 0, 0 }, false},
	} {
		damage(t, out, name, func(b []byte) { copy(b, codes) })
		damage(t, out, name+"_scale_inv", func(b []byte) { copy(b, scales) })
		if rep := compare(t, src, out); !rep.Passed {
			t.Fatalf("undamaged: %+v", rep.Gates)
		}
		c, s := bytes.Clone(codes), bytes.Clone(scales)
		d.do(c, s)
		damage(t, out, name, func(b []byte) { copy(b, c) })
		damage(t, out, name+"_scale_inv", func(b []byte) { copy(b, s) })
		rep := compare(t, src, out)
		if g := gate(t, rep, "codes"); g.Passed {
			t.Errorf("%s: %+v", d.name, rep.Gates)
		}
		g := gate(t, rep, "sqnr")
		t.Logf("%s: %.2f dB; %s", d.name, g.Value, strings.Join(gate(t, rep, "codes").Failures, "; "))
		if g.Passed == d.sqnr {
			t.Errorf("%s: sqnr %+v", d.name, g)
		}
	}
}
