package shard_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/plan"
	"quern/corpus"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/runner"
	"quern/shard"
	"quern/shard/placement"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/outputs"
)

// outputsOf runs a checkpoint over a text.
func outputsOf(t *testing.T, c *hf.Checkpoint, ids []int) *outputs.File {
	t.Helper()
	m, err := runner.Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(t.TempDir(), "outputs.safetensors")
	chunks := corpus.Whole([]corpus.Text{{Name: "text", IDs: ids}})
	if err := evaluation.Emit(context.Background(), m, chunks, path, false, evaluation.Options{}); err != nil {
		t.Fatal(err)
	}
	f, err := outputs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// logitsOf reads all logits: of the model, and of multi-token prediction.
func logitsOf(t *testing.T, f *outputs.File) (main, mtp []float32) {
	t.Helper()
	n := len(f.IDs[0])
	main = make([]float32, n*f.Vocab)
	if err := f.Logits(main, 0, 0, n); err != nil {
		t.Fatal(err)
	}
	if f.HasMTP {
		mtp = make([]float32, (n-1)*f.Vocab)
		if err := f.MTPLogits(mtp, 0, 0, n-1); err != nil {
			t.Fatal(err)
		}
	}
	return main, mtp
}

func deviation(x []float32) float64 {
	var sum, square float64
	for _, v := range x {
		sum += float64(v)
		square += float64(v) * float64(v)
	}
	n := float64(len(x))
	return math.Sqrt(max(square/n-sum/n*sum/n, 0))
}

// ids are token ids that any of the goldens has.
func ids(vocab int) []int {
	var out []int
	for i := range 96 {
		out = append(out, (i*i*7+i*31+5)%vocab)
	}
	return out
}

// A model whose experts were renumbered is the same function, and the same one when
// it is verified.
func TestBake(t *testing.T) {
	for _, name := range []string{
		"deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "glm4_moe", "gpt_oss", "kimi_k2", "longcat_flash", "minimax_m2", "mixtral", "qwen2_moe", "qwen3_moe",
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, goldens+name)
			layers, experts := moeLayers(c)
			r, out := regrouped(t, c, shard.Options{Config: placement.Config{Ranks: 4}, Bake: true, Input: loads(t, layers, experts)})
			moved := 0
			for _, l := range r.Placement.Layers {
				for s, e := range l.Phy2Log {
					if s != e {
						moved++
					}
				}
			}
			if moved < experts*len(layers)/2 {
				t.Errorf("%d of %d experts have other numbers", moved, experts*len(layers))
			}
			for rank := range 4 {
				checkRank(t, out, r, rank)
			}
			order, err := plan.Permutation(out)
			if err != nil || len(order) != len(layers) {
				t.Fatal(len(order), err)
			}

			text := ids(c.Config.VocabSize)
			a, b := outputsOf(t, c, text), outputsOf(t, out, text)
			x, xm := logitsOf(t, a)
			y, ym := logitsOf(t, b)
			bound := 1e-5 * max(1, deviation(x))
			for i := range x {
				if d := math.Abs(float64(x[i] - y[i])); !(d <= bound) {
					t.Fatalf("logit %d: %v instead of %v", i, y[i], x[i])
				}
			}
			if len(xm) != len(ym) {
				t.Fatal(len(xm), len(ym))
			}
			for i := range xm {
				if d := math.Abs(float64(xm[i] - ym[i])); !(d <= bound) {
					t.Fatalf("MTP logit %d: %v instead of %v", i, ym[i], xm[i])
				}
			}
			for _, l := range a.Routers {
				p, k, err1 := a.Router(l)
				q, _, err2 := b.Router(l)
				if err1 != nil || err2 != nil || len(p) != len(q) {
					t.Fatal(err1, err2)
				}
				for i := range p {
					e := q[i]
					if int(e) < experts { // others are choices without weights (LongCat)
						e = int32(order[l][e])
					}
					if e != p[i] {
						t.Fatalf("layer %d, token %d: expert %d instead of %d", l, i/k, e, p[i])
					}
				}
			}

			report, err := verify.Compare(context.Background(), c, out, verify.Options{})
			if err != nil || !report.Passed || report.Renumbered == nil || report.Renumbered.Moved != moved {
				t.Errorf("verify: %v %+v", err, report)
			}
			report, err = verify.Compare(context.Background(), out, out, verify.Options{})
			if err != nil || !report.Passed || report.Renumbered != nil {
				t.Errorf("verify against itself: %v %+v", err, report)
			}
		})
	}
}

// Quantizing and renumbering in one pass gives what one after the other gives.
func TestQuantizeAndBake(t *testing.T) {
	for _, name := range []string{"deepseek_v3", "qwen3_moe"} {
		c := open(t, goldens+name)
		layers, experts := moeLayers(c)
		o := shard.Options{Config: placement.Config{Ranks: 2}, Bake: true, Input: loads(t, layers, experts)}
		p, err := convert.PlanQuantize(c, convert.QuantizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		plain := filepath.Join(t.TempDir(), "plain")
		run(t, c, p, plain)
		r, twice := regrouped(t, open(t, plain), o)
		if _, err := shard.Regroup(context.Background(), p, c.Arch(), o); err != nil {
			t.Fatal(err)
		}
		once := filepath.Join(t.TempDir(), "once")
		run(t, c, p, once)
		a, b := digests(t, twice.Dir), digests(t, once)
		for name := range a {
			if a[name] != b[name] {
				t.Errorf("%s differs", name)
			}
		}
		if len(a) != len(b) {
			t.Errorf("%d tensors and %d", len(a), len(b))
		}
		checkRank(t, open(t, once), r, 1)
		report, err := verify.Compare(context.Background(), c, open(t, once), verify.Options{})
		if err != nil || !report.Passed || report.Weights.Quantized == 0 {
			t.Errorf("verify: %v %+v", err, report)
		}
	}
}

// A damaged expert is found under its new number.
func TestBakeDamaged(t *testing.T) {
	c := open(t, goldens+"qwen3_moe")
	layers, experts := moeLayers(c)
	_, out := regrouped(t, c, shard.Options{Config: placement.Config{Ranks: 4}, Bake: true, Input: loads(t, layers, experts)})
	name := "model.layers.1.mlp.gate.weight"
	ref, ok := out.Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	f, err := os.OpenFile(ref.File.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := ref.File.Header.DataOffset + ref.Tensor.Begin
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, at); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, at); err != nil {
		t.Fatal(err)
	}
	report, err := verify.Compare(context.Background(), c, open(t, out.Dir), verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(report.Gates, func(g verify.Gate) bool { return g.Name == "kept" })
	if report.Passed || report.Gates[i].Passed || !strings.Contains(strings.Join(report.Gates[i].Failures, " "), name) {
		t.Errorf("%+v", report.Gates)
	}
}

// What cannot be renumbered without changing the function is refused.
func TestBakeRefuses(t *testing.T) {
	v3 := open(t, goldens+"deepseek_v3") // 16 experts in 4 groups
	try := func(c *hf.Checkpoint, o shard.Options) error {
		t.Helper()
		p, err := convert.PlanCopy(c, "shard")
		if err != nil {
			t.Fatal(err)
		}
		o.Bake = true
		_, err = shard.Regroup(context.Background(), p, c.Arch(), o)
		return err
	}
	usage := func(err error) bool {
		u, v := (*convert.UsageError)(nil), (*placement.UsageError)(nil)
		return errors.As(err, &u) || errors.As(err, &v)
	}
	for _, x := range []struct {
		o    placement.Config
		want string
	}{
		{placement.Config{Ranks: 4, Redundant: 4}, "--redundant 4"},
		{placement.Config{Ranks: 3}, "--ranks 3"},
	} {
		if err := try(v3, shard.Options{Config: x.o}); err == nil || !usage(err) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v", x.o, err)
		}
	}
	expert := func(e, part string) safetensors.Tensor {
		return safetensors.Tensor{Name: "model.layers.0.mlp.experts." + e + "." + part + "_proj.weight", DType: safetensors.BF16, Shape: []int64{2, 2}}
	}
	other := func(name string, shape ...int64) safetensors.Tensor {
		return safetensors.Tensor{Name: "model.layers.0." + name, DType: safetensors.BF16, Shape: shape}
	}
	const config = `{"model_type": "qwen3_moe", "num_experts": 2, "num_hidden_layers": 1}`
	for _, x := range []struct {
		config, want string
		tensors      []safetensors.Tensor
	}{
		{`{"model_type": "strange", "num_experts": 2}`, "not in the table", []safetensors.Tensor{expert("0", "up"), expert("1", "up")}},
		{
			strings.Replace(config, `experts": 2`, `experts": 4`, 1), "experts that differ",
			[]safetensors.Tensor{expert("0", "up"), expert("1", "up"), expert("2", "up"), expert("3", "up"), expert("0", "down")},
		},
		{config, "mystery", []safetensors.Tensor{expert("0", "up"), expert("1", "up"), other("mystery", 2, 4)}},
		{config, "does not go by", []safetensors.Tensor{expert("0", "up"), expert("1", "up"), other("mlp.gate.weight", 3, 4)}},
		{config, "expert 7", []safetensors.Tensor{expert("0", "up"), expert("7", "up")}},
		{config, "no routed experts", []safetensors.Tensor{other("mlp.gate.weight", 2, 4)}},
		{
			`{"model_type": "qwen3_moe", "num_experts": 2, "num_hidden_layers": 1, "quantization_config": {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.mlp.experts.1"]}}`,
			"would name others",
			[]safetensors.Tensor{expert("0", "up"), expert("1", "up")},
		},
	} {
		dir := t.TempDir()
		writeCheckpoint(t, dir, x.config, x.tensors)
		c := open(t, dir)
		n := c.Config.NumExperts
		in := loads(t, []int{0}, n)
		for e := range n {
			in.Counts.Load[0][e] = float64(1 + 8*(e%2)) // which changes their places
		}
		if err := try(c, shard.Options{Config: placement.Config{Ranks: 2, Algorithm: placement.EPLB}, Input: in}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.want, err)
		}
	}
}
