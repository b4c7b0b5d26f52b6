package evaluation

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/runner/golden"

	"quern/convert"
	"quern/corpus"
	"quern/formats/hf"
	"quern/formats/tokenizer"
	"quern/internal/cpu"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
	"quern/runner"
	"quern/verify/metrics"
	"quern/verify/outputs"
)

const goldens = "../../runner/testdata/models/"

func open(t testing.TB, dir string) *runner.Model {
	t.Helper()
	c, err := hf.Open(golden.Folder(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	m, err := runner.Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// quantized writes a block-FP8 form of a checkpoint.
func quantized(t testing.TB, dir string, o convert.QuantizeOptions) string {
	t.Helper()
	c, err := hf.Open(golden.Folder(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	p, err := convert.PlanQuantize(c, o)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "fp8")
	if _, err := convert.Run(context.Background(), c, p, out, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	return out
}

func random(seed uint64, n, vocab int) []int {
	r := rand.New(rand.NewPCG(seed, 9))
	ids := make([]int, n)
	for i := range ids {
		ids[i] = r.IntN(vocab)
	}
	return ids
}

func compare(t testing.TB, base, quant *runner.Model, texts []corpus.Text, o Options) *Comparison {
	t.Helper()
	chunks, err := corpus.Chunks(texts, corpus.ChunkOptions{Context: 24, Prefix: []int{1}, Score: corpus.ScoreAll})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := Compare(context.Background(), base, quant, texts, chunks, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A model against itself differs by nothing at all.
func TestSelf(t *testing.T) {
	for _, family := range []string{"deepseek_v3", "qwen2_moe", "gpt_oss", "qwen3"} {
		m, again := open(t, goldens+family), open(t, goldens+family)
		texts := []corpus.Text{{Name: "a", IDs: random(1, 70, m.Vocab())}, {Name: "b", IDs: random(2, 30, m.Vocab())}}
		c := compare(t, m, again, texts, Options{Worst: 3})
		if s := c.Metrics; s.Tokens != 100 || s.KLDMax != 0 || s.KLDMean != 0 || s.KLDMin != 0 || s.SameTop != 1 || s.Top5Overlap != 1 || s.LnPPLRatio != 0 {
			t.Errorf("%s: %+v", family, s)
		}
		if r := c.Routing; (r != nil) != (len(m.Routed()) > 0) || r != nil && (r.Overlap != 1 || r.Top1 != 1) {
			t.Errorf("%s: routing %+v", family, r)
		}
		if (c.MTP != nil) != m.HasMTP() || c.MTP != nil && (c.MTP.AcceptanceBase != c.MTP.AcceptanceQuant || c.MTP.Tokens != 100) {
			t.Errorf("%s: MTP %+v", family, c.MTP)
		}
	}
}

// Figures depend on checkpoints and texts, not on workers, memory or the size of
// tiles.
func TestIndependence(t *testing.T) {
	dir := goldens + "deepseek_v3"
	base, quant := open(t, dir), open(t, quantized(t, dir, convert.QuantizeOptions{}))
	texts := []corpus.Text{{Name: "a", IDs: random(1, 120, base.Vocab())}, {Name: "b", IDs: random(2, 41, base.Vocab())}}
	var want string
	for _, o := range []Options{{}, {Workers: 1}, {Workers: 5, Memory: 1, TempDir: t.TempDir()}} {
		o.Worst = 5
		c := compare(t, base, quant, texts, o)
		c.TokensPerSecond = [2]metrics.Figure{}
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(raw)
		} else if want != string(raw) {
			t.Errorf("%+v:\n%s\n%s", o, want, raw)
		}
		if c.Metrics.KLDMean <= 0 || c.Metrics.Tokens != 161 || len(c.Texts) != 2 || len(c.Worst) != 5 || len(c.Worst[0].Before) == 0 {
			t.Errorf("%+v", c)
		}
		for _, w := range c.Worst {
			if texts[w.Text].IDs[w.Position] != w.Target {
				t.Errorf("worst token %+v is %d", w, texts[w.Text].IDs[w.Position])
			}
		}
	}
}

// What torch measures on the embedded model and its block-FP8 form (tinyseek's
// README), to three digits.
func TestTinyseek(t *testing.T) {
	if testing.Short() || cpu.Path() == "generic" {
		t.Skip("ten thousand tokens through the embedded model take minutes here")
	}
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, tinyseek.VerifyText))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := tok.Encode(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	bos, adds := tok.BOS()
	if !adds {
		t.Fatal("no BOS")
	}
	texts := []corpus.Text{{Name: "verify.txt", IDs: ids}}
	chunks, err := corpus.Chunks(texts, corpus.ChunkOptions{Context: 512, Prefix: []int{bos}, Score: corpus.ScoreAll})
	if err != nil {
		t.Fatal(err)
	}
	base := open(t, dir)
	c, _, err := Compare(context.Background(), base, open(t, quantized(t, dir, convert.QuantizeOptions{})), texts, chunks, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := c.Metrics
	if m.Tokens != 10384 {
		t.Errorf("%d tokens", m.Tokens)
	}
	for _, x := range []struct {
		what      string
		got, want float64
		digits    float64 // half a unit of the last digit given
	}{
		{"mean KLD", float64(m.KLDMean), 0.00325, 5e-6},
		{"median KLD", float64(m.KLDMedian), 0.00112, 5e-6},
		{"99 % of KLD", float64(m.KLDP99), 0.0528, 5e-5},
		{"largest KLD", float64(m.KLDMax), 0.663, 5e-4},
		{"same top", float64(m.SameTop), 0.9648, 5e-5},
		{"perplexity", float64(m.PPLBase), 29.307, 5e-4},
		{"perplexity in FP8", float64(m.PPLQuant), 29.386, 5e-4},
		{"acceptance", float64(c.MTP.AcceptanceBase), 0.4817, 5e-5},
		{"acceptance in FP8", float64(c.MTP.AcceptanceQuant), 0.4821, 5e-5},
	} {
		t.Logf("%s %.6g, torch %g", x.what, x.got, x.want)
		// Three digits must be the same; a unit of the last one given is rounding.
		if math.Abs(x.got-x.want) > max(2*x.digits, 5e-4*x.want) {
			t.Errorf("%s is %.6g, torch measures %g", x.what, x.got, x.want)
		}
	}
	single, err := Run(context.Background(), base, texts, chunks, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if single.Metrics.PPL != m.PPLBase || single.MTP.Rate != c.MTP.AcceptanceBase || len(single.Load) != 4 {
		t.Errorf("alone: %+v", single.Metrics)
	}
}

// An emitted file is met by the model that it is from, exactly, whatever the layout.
func TestEmit(t *testing.T) {
	for _, family := range []string{"deepseek_v3", "gpt_oss", "llama"} {
		m := open(t, goldens+family)
		for _, lengths := range [][]int{{40}, {12, 12, 12}, {1, 30, 7, 1}, {1}} {
			var texts []corpus.Text
			for i, n := range lengths {
				texts = append(texts, corpus.Text{Name: "t", IDs: random(uint64(i), n, m.Vocab())})
			}
			path := filepath.Join(t.TempDir(), "outputs.safetensors")
			if err := Emit(context.Background(), m, corpus.Whole(texts), path, true, Options{Workers: 2}); err != nil {
				t.Fatal(family, lengths, err)
			}
			f, err := outputs.Open(path)
			if err != nil {
				t.Fatal(family, lengths, err)
			}
			c, err := Against(context.Background(), f, m, Options{Memory: 1, TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(family, lengths, err)
			}
			if c.Reference.MaxAbsLogitDiff != 0 || len(c.Hidden) != m.Layers()+1 {
				t.Errorf("%s %v: %+v, %d hidden", family, lengths, c.Reference, len(c.Hidden))
			}
			if m.HasMTP() && len(lengths) == 1 && lengths[0] > 1 && (c.Reference.MaxAbsMTPLogitDiff == nil || *c.Reference.MaxAbsMTPLogitDiff != 0) {
				t.Errorf("%s: MTP %+v", family, c.Reference)
			}
			f.Close()
		}
	}
}

func TestRefusals(t *testing.T) {
	llama, deepseek := open(t, goldens+"llama"), open(t, goldens+"deepseek_v3")
	if _, err := deepseek.Evaluate(context.Background(), [][]int{{1, 2, 160}}, runner.Options{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "160") {
		t.Error(err)
	}
	if _, err := llama.Evaluate(context.Background(), [][]int{{1}, {}}, runner.Options{}); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "outputs.safetensors")
	if err := Emit(context.Background(), llama, corpus.Whole([]corpus.Text{{Name: "a", IDs: []int{1, 2, 3}}}), path, false, Options{}); err != nil {
		t.Fatal(err)
	}
	f, err := outputs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	tiny := open(t, dir)
	if _, err := Against(context.Background(), f, tiny, Options{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "160") {
		t.Error(err)
	}
	chunks := corpus.Whole([]corpus.Text{{Name: "a", IDs: []int{1, 2, 3}}})
	if _, _, err := Compare(context.Background(), tiny, llama, []corpus.Text{{Name: "a", IDs: []int{1, 2, 3}}}, chunks, Options{}); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "vocabulary") {
		t.Error(err)
	}
}

// A weight that is no number is blamed on the layer and the position where it shows.
func TestNaN(t *testing.T) {
	for _, x := range []struct{ tensor, want string }{
		{"model.layers.1.self_attn.o_proj.weight", "layer 1"},
		{"lm_head.weight", "output head"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(goldens+"llama")); err != nil {
			t.Fatal(err)
		}
		c, err := hf.Open(golden.Folder(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		ref, ok := c.Lookup(x.tensor)
		if !ok {
			t.Fatal(x.tensor)
		}
		raw, err := os.ReadFile(ref.File.Path)
		if err != nil {
			t.Fatal(err)
		}
		at := ref.File.Header.DataOffset + ref.Tensor.Begin
		raw[at], raw[at+1] = 0xc0, 0x7f
		if err := os.Chmod(ref.File.Path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ref.File.Path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		texts := []corpus.Text{{Name: "a", IDs: random(3, 10, 160)}}
		_, err = Run(context.Background(), open(t, dir), texts, corpus.Whole(texts), Options{})
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "position 0") {
			t.Errorf("%s: %v", x.tensor, err)
		}
	}
}

func TestReadIDs(t *testing.T) {
	texts, err := corpus.ReadIDs(goldens + "llama/reference.safetensors")
	if err != nil || len(texts) != 1 || len(texts[0].IDs) != 48 {
		t.Fatal(texts, err)
	}
	dir := t.TempDir()
	for content, want := range map[string]int{"[1,2,3]": 1, "[[1,2],[3]]": 2, "[]": -1, "[[]]": -1, "{}": -1, "[1,": -1, "": -1, "[[1],[]]": -1} {
		path := filepath.Join(dir, "ids.json")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		texts, err := corpus.ReadIDs(path)
		if want < 0 {
			if !errors.Is(err, invalid.Input) {
				t.Errorf("%s: %v, %v", content, texts, err)
			}
			continue
		}
		if err != nil || len(texts) != want {
			t.Errorf("%s: %v, %v", content, texts, err)
		}
	}
	if _, err := corpus.ReadIDs(filepath.Join(dir, "none")); err == nil || errors.Is(err, invalid.Input) {
		t.Error(err)
	}
}
