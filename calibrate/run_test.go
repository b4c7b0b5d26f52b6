package calibrate_test

// Longer than 500 lines: the fixtures of a whole run serve all tests of it.

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/runner/golden"

	"quern/calibrate"
	"quern/calibrate/file"
	"quern/corpus"
	"quern/formats/hf"
	"quern/internal/cpu"
	"quern/internal/cpu/cputest"
	"quern/internal/invalid"
	"quern/runner"
	"quern/shard/placement"
)

// some are texts of random tokens, of different lengths.
func some(seed uint64, vocab int, lengths ...int) []corpus.Text {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]corpus.Text, len(lengths))
	for i, n := range lengths {
		out[i].Name = string(rune('a' + i))
		for range n {
			out[i].IDs = append(out[i].IDs, r.IntN(vocab))
		}
	}
	return out
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The file is the same whatever the number of workers, the memory and the kernels.
func TestSameBytes(t *testing.T) {
	dir := models + "glm4_moe"
	m := openModel(t, dir)
	texts := some(1, m.Vocab(), 70, 1, 33, 5)
	out := func(name string, o calibrate.Options) []byte {
		path := filepath.Join(t.TempDir(), "c")
		o.Pairs, o.Trace = true, path+".trace"
		run(t, m, texts, path, o)
		left, err := filepath.Glob(path + "*")
		if err != nil || len(left) != 2 {
			t.Errorf("%s: files are left: %v", name, left)
		}
		return append(read(t, path), read(t, path+".trace")...)
	}
	want := out("plain", calibrate.Options{})
	for name, o := range map[string]calibrate.Options{
		"again":       {},
		"one worker":  {Runner: runner.Options{Workers: 1}},
		"six workers": {Runner: runner.Options{Workers: 6}},
		"no memory":   {Runner: runner.Options{Memory: 1, TempDir: t.TempDir()}},
		"anew":        {Overwrite: true},
	} {
		if !bytes.Equal(out(name, o), want) {
			t.Errorf("%s: other bytes", name)
		}
	}
	cputest.Use(t, cpu.Path())
	for _, p := range []string{"generic", "avx2"} {
		if cpu.Set(p) != nil {
			continue
		}
		if !bytes.Equal(out(p, calibrate.Options{}), want) {
			t.Errorf("%s: other bytes", p)
		}
	}
}

// same compares what two files hold: maxima, counts and sketches exactly, sums as
// float64 adds.
func same(t *testing.T, got, want *file.File, texts bool) {
	t.Helper()
	sum := func(what string, a, b []float64) {
		if len(a) != len(b) {
			t.Fatalf("%s: %d numbers instead of %d", what, len(a), len(b))
		}
		for i := range a {
			if math.Abs(a[i]-b[i]) > 1e-13*math.Abs(b[i]) {
				t.Errorf("%s: element %d is %v instead of %v", what, i, a[i], b[i])
			}
		}
	}
	if !slices.Equal(got.Modules(), want.Modules()) || len(want.Modules()) == 0 {
		t.Fatalf("%d modules instead of %d", len(got.Modules()), len(want.Modules()))
	}
	for _, name := range want.Modules() {
		a, _ := got.InputAmax(name)
		b, _ := want.InputAmax(name)
		if a != b || got.Count(name) != want.Count(name) {
			t.Errorf("%s: %v of %d tokens instead of %v of %d", name, a, got.Count(name), b, want.Count(name))
		}
		x, _ := got.Squares(name)
		y, _ := want.Squares(name)
		sum(name, x, y)
		for _, groups := range []bool{false, true} {
			s, ok := got.Sketch(name, groups)
			w, has := want.Sketch(name, groups)
			if ok != has || s.Top != w.Top || !slices.Equal(s.Counts, w.Counts) {
				t.Errorf("%s: the sketch is %v instead of %v", name, s, w)
			}
		}
	}
	if len(got.Caches()) != len(want.Caches()) {
		t.Errorf("%d caches instead of %d", len(got.Caches()), len(want.Caches()))
	}
	for name, x := range want.Caches() {
		if got.Caches()[name] != x {
			t.Errorf("%s: %v instead of %v", name, got.Caches()[name], x)
		}
	}
	if !slices.Equal(got.Layers(), want.Layers()) {
		t.Fatalf("layers %v instead of %v", got.Layers(), want.Layers())
	}
	for _, l := range want.Layers() {
		if !slices.Equal(got.Load(l), want.Load(l)) || !slices.Equal(got.Pairs(l), want.Pairs(l)) {
			t.Errorf("layer %d: loads or pairs differ", l)
		}
		sum("gate weights", got.WeightSum(l), want.WeightSum(l))
		if !texts {
			continue
		}
		a, b := got.TextLoads(l), want.TextLoads(l)
		if len(a) != len(b) {
			t.Fatalf("layer %d: loads of %d texts instead of %d", l, len(a), len(b))
		}
		for i, text := range want.Info().Texts {
			j := slices.Index(got.Info().Texts, text)
			if j < 0 || !slices.Equal(a[j], b[i]) {
				t.Errorf("layer %d: text %q has other loads", l, text.Name)
			}
		}
	}
}

// Parts of the texts add up to the whole, in any order; and the order of texts does
// not matter.
func TestMerge(t *testing.T) {
	for _, family := range []string{"deepseek_v3", "gpt_oss", "qwen3"} {
		t.Run(family, func(t *testing.T) {
			m := openModel(t, models+family)
			texts := some(2, m.Vocab(), 40, 3, 1, 25, 60)
			dir := t.TempDir()
			o := calibrate.Options{Pairs: true}
			run(t, m, texts, dir+"/whole", o)
			whole := openFile(t, dir+"/whole")
			turned := slices.Clone(texts)
			slices.Reverse(turned)
			run(t, m, turned, dir+"/turned", o)
			same(t, openFile(t, dir+"/turned"), whole, true)
			run(t, m, texts[:2], dir+"/a", o)
			run(t, m, texts[2:3], dir+"/b", o)
			run(t, m, texts[3:], dir+"/c", o)
			var first []byte
			for i, parts := range [][]string{{"a", "b", "c"}, {"c", "a", "b"}, {"b", "c", "a"}} {
				for j := range parts {
					parts[j] = dir + "/" + parts[j]
				}
				res, err := calibrate.Merge(nil, dir+"/merged", parts)
				if err != nil {
					t.Fatal(err)
				}
				f := openFile(t, dir+"/merged")
				same(t, f, whole, true)
				if f.Digest() != res.Digest || f.Info().Tokens() != whole.Info().Tokens() {
					t.Error("another digest, or number of tokens")
				}
				if raw := read(t, dir+"/merged"); i == 0 {
					first = raw
				} else if !bytes.Equal(raw, first) {
					t.Errorf("%v: other bytes", parts)
				}
			}
			// In two steps: equal up to the rounding of sums.
			for _, step := range [][]string{{dir + "/ab", dir + "/a", dir + "/b"}, {dir + "/abc", dir + "/c", dir + "/ab"}} {
				if _, err := calibrate.Merge(nil, step[0], step[1:]); err != nil {
					t.Fatal(err)
				}
			}
			same(t, openFile(t, dir+"/abc"), whole, true)
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	dir := t.TempDir()
	m := openModel(t, models+"qwen3_moe")
	texts := some(3, m.Vocab(), 20, 20)
	run(t, m, texts[:1], dir+"/a", calibrate.Options{})
	run(t, m, texts[:1], dir+"/same", calibrate.Options{})
	run(t, m, texts[1:], dir+"/all", calibrate.Options{AllExperts: true})
	run(t, m, texts[1:], dir+"/plain", calibrate.Options{NoSketches: true})
	other := openModel(t, models+"deepseek_v3")
	run(t, other, some(3, other.Vocab(), 20), dir+"/other", calibrate.Options{})
	a, b := openFile(t, dir+"/a"), openFile(t, dir+"/other")
	for _, c := range []struct{ with, want string }{
		{"same", "count twice"},
		{"all", "--all-experts"},
		{"other", a.Identity()},
		{"other", b.Identity()},
		{"gone", "there is no such file"},
	} {
		_, err := calibrate.Merge(nil, dir+"/m", []string{dir + "/a", dir + "/" + c.with})
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.with, err)
		}
	}
	if _, err := os.Stat(dir + "/m"); err == nil {
		t.Error("something was written")
	}
	// What one of them lacks the whole lacks.
	if _, err := calibrate.Merge(nil, dir+"/m", []string{dir + "/a", dir + "/plain"}); err != nil {
		t.Fatal(err)
	}
	if f := openFile(t, dir+"/m"); f.Info().Options.Sketches || f.Count("model.layers.0.self_attn.q_proj") != 40 {
		t.Error(f.Info())
	}
}

// With all experts measured by all tokens routers see what they saw before.
func TestAllExperts(t *testing.T) {
	m := openModel(t, models+"deepseek_v3")
	texts := some(4, m.Vocab(), 24, 9)
	dir := t.TempDir()
	run(t, m, texts, dir+"/a", calibrate.Options{Pairs: true, Trace: dir + "/ta"})
	run(t, m, texts, dir+"/b", calibrate.Options{Pairs: true, Trace: dir + "/tb", AllExperts: true})
	a, b := openFile(t, dir+"/a"), openFile(t, dir+"/b")
	if !bytes.Equal(read(t, dir+"/ta"), read(t, dir+"/tb")) {
		t.Error("the traces differ")
	}
	more := 0
	for _, name := range b.Modules() {
		tokens := int64(33)
		if strings.HasPrefix(name, "model.layers.3.") {
			tokens = 31
		}
		if b.Count(name) != tokens {
			t.Errorf("%s saw %d tokens", name, b.Count(name))
		}
		x, _ := a.InputAmax(name)
		y, _ := b.InputAmax(name)
		switch {
		case a.Count(name) == tokens && x != y, x > y:
			t.Errorf("%s: %v and %v", name, x, y)
		case a.Count(name) < tokens:
			more++
		}
	}
	if more == 0 {
		t.Error("every expert saw every token anyway")
	}
	for _, l := range a.Layers() {
		if !slices.Equal(a.Load(l), b.Load(l)) || !slices.Equal(a.WeightSum(l), b.WeightSum(l)) || !slices.Equal(a.Pairs(l), b.Pairs(l)) {
			t.Errorf("layer %d: the router saw something else", l)
		}
	}
	c, err := calibrate.Cover(b, 1)
	if err != nil || !c.AllExperts || !strings.Contains(c.Treatment.Never, "--all-experts") {
		t.Errorf("%+v, %v", c, err)
	}
}

// Loads, pairs and trace agree with each other and with what placement reads.
func TestRouting(t *testing.T) {
	m := openModel(t, models+"deepseek_v3")
	texts := some(5, m.Vocab(), 30, 1, 12, 21)
	dir := t.TempDir()
	run(t, m, texts, dir+"/c", calibrate.Options{Pairs: true, Trace: dir + "/t"})
	f := openFile(t, dir+"/c")
	counts, err := placement.OpenCalibration(dir + "/c")
	if err != nil {
		t.Fatal(err)
	}
	defer counts.Close()
	traced, err := placement.OpenTrace(dir + "/t")
	if err != nil {
		t.Fatal(err)
	}
	defer traced.Close()
	if !slices.Equal(counts.Layers, f.Layers()) || !slices.Equal(counts.MTP, []int{3}) || !slices.Equal(traced.Layers, f.Layers()) || !slices.Equal(traced.MTP, []int{3}) {
		t.Errorf("layers %v, %v and %v, %v", counts.Layers, counts.MTP, traced.Layers, traced.MTP)
	}
	got := tensors(t, dir+"/t")
	var ids, offsets []float64
	for _, x := range texts {
		offsets = append(offsets, float64(len(ids)))
		for _, id := range x.IDs {
			ids = append(ids, float64(id))
		}
	}
	offsets = append(offsets, float64(len(ids)))
	if !slices.Equal(got["input_ids"], ids) || !slices.Equal(got["offsets"], offsets) || !slices.Equal(got["sequences"], offsets) {
		t.Error("the trace has other tokens")
	}
	for _, l := range f.Layers() {
		choices := got["router."+string(rune('0'+l))+".indices"]
		load, pairs := make([]int64, 16), map[[2]int64]int64{}
		texts := [][]int64{make([]int64, 16), make([]int64, 16), make([]int64, 16), make([]int64, 16)}
		for row := 0; row < len(choices)/4; row++ {
			at := []int{30, 31, 43, 64}
			if l == 3 {
				at = []int{29, 29, 40, 60}
			}
			text := 0
			for row >= at[text] {
				text++
			}
			for i, a := range choices[row*4:][:4] {
				load[int(a)]++
				texts[text][int(a)]++
				for _, b := range choices[row*4:][:i] {
					pairs[[2]int64{int64(min(a, b)), int64(max(a, b))}]++
				}
			}
		}
		if !slices.Equal(load, f.Load(l)) {
			t.Errorf("layer %d: load %v, by the trace %v", l, f.Load(l), load)
		}
		if p := f.Pairs(l); len(p) != len(pairs) {
			t.Errorf("layer %d: %d pairs instead of %d", l, len(p), len(pairs))
		}
		for _, p := range f.Pairs(l) {
			if pairs[[2]int64{p[0], p[1]}] != p[2] {
				t.Errorf("layer %d: %v, by the trace %d", l, p, pairs[[2]int64{p[0], p[1]}])
			}
		}
		for i, x := range f.TextLoads(l) {
			if !slices.Equal(x, texts[i]) {
				t.Errorf("layer %d, text %d: %v, by the trace %v", l, i, x, texts[i])
			}
		}
	}
	in, err := placement.NewInput(counts, traced, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := placement.Compare(context.Background(), in, placement.Config{Ranks: 4, Nodes: 1, Groups: 1, Algorithm: placement.Quern}); err != nil {
		t.Error(err)
	}
	c, err := calibrate.Cover(f, 6)
	if err != nil {
		t.Fatal(err)
	}
	few := int64(0)
	for _, l := range c.Layers {
		load := f.Load(l.Layer)
		for _, e := range l.Experts {
			if few++; load[e.Expert] != e.Tokens || e.Tokens >= 6 {
				t.Errorf("layer %d: %+v", l.Layer, e)
			}
			tokens := int64(0)
			for i, s := range e.Texts {
				tokens += s.Tokens
				if i > 0 && s.Share > e.Texts[i-1].Share {
					t.Errorf("shares are not in order: %+v", e.Texts)
				}
			}
			if tokens != e.Tokens {
				t.Errorf("layer %d: the texts of %+v do not add up", l.Layer, e)
			}
		}
		if l.Least != slices.Min(load) || l.Most != slices.Max(load) || l.MTP != (l.Layer == 3) {
			t.Errorf("%+v", l)
		}
	}
	if few != c.Few || few == 0 || c.Experts != 48 {
		t.Errorf("%d experts in the list, %+v", few, c)
	}
}

// broken is a golden model with one value of a tensor replaced.
func broken(t *testing.T, family, tensor string, element int64, value float32) *runner.Model {
	t.Helper()
	dir := filepath.Join(t.TempDir(), family)
	if err := os.CopyFS(dir, os.DirFS(golden.Folder(t, models+family))); err != nil {
		t.Fatal(err)
	}
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := c.Lookup(tensor)
	if !ok {
		t.Fatal(tensor)
	}
	f, err := os.OpenFile(r.File.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw := binary.LittleEndian.AppendUint16(nil, uint16(math.Float32bits(value)>>16))
	if _, err := f.WriteAt(raw, r.File.Header.DataOffset+r.Tensor.Begin+2*element); err != nil {
		t.Fatal(err)
	}
	return openModel(t, dir)
}

// What is no number is named: module, with layer and expert in its path, text,
// position, channel.
func TestNonFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	texts := some(6, 160, 12, 30)
	token := texts[1].IDs[7]
	texts[0].IDs = slices.DeleteFunc(texts[0].IDs, func(id int) bool { return id == token })
	for i := range texts[1].IDs[:7] {
		texts[1].IDs[i] = (token + 1 + i%3) % 160
	}
	for _, c := range []struct {
		tensor  string
		element int64
		value   float32
		want    []string
	}{
		{"model.embed_tokens.weight", int64(token)*64 + 5, nan, []string{"model.layers.0.self_attn.q_a_proj", "NaN", `text "b", position 7 `, "(token "}},
		{"model.layers.1.mlp.experts.3.gate_proj.weight", 9, nan, []string{"the input of model.layers.1.mlp.experts.3.down_proj is NaN at channel 0", "position"}},
		{"model.layers.3.mlp.experts.3.up_proj.weight", 64, inf, []string{"model.layers.3.mlp.experts.3.down_proj", "Inf at channel 1"}},
		{"model.layers.2.self_attn.kv_a_layernorm.weight", 2, nan, []string{"model.layers.2.self_attn keeps (kv_latent)", "channel 2", `text "a", position 0`}},
		{"model.layers.3.eh_proj.weight", 0, nan, []string{"model.layers.3.self_attn.q_a_proj"}},
	} {
		m := broken(t, "deepseek_v3", c.tensor, c.element, c.value)
		out := filepath.Join(t.TempDir(), "c")
		_, err := calibrate.Run(context.Background(), m, texts, corpus.Whole(texts), out, calibrate.Options{Tool: "test"})
		if !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", c.tensor, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v: does not say %q", c.tensor, err, w)
			}
		}
		if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
			t.Errorf("%s: files are left: %v", c.tensor, left)
		}
	}
}

func TestBadTexts(t *testing.T) {
	m := openModel(t, models+"qwen3")
	for name, c := range map[string]struct {
		texts []corpus.Text
		want  string
	}{
		"none":    {nil, "there is no text"},
		"foreign": {[]corpus.Text{{Name: "x.json", IDs: []int{3, 99999}}}, `"x.json": position 1: token id 99999 is not in the model's vocabulary of 160`},
		"below":   {[]corpus.Text{{Name: "x.json", IDs: []int{-1}}}, "token id -1"},
		"empty":   {[]corpus.Text{{Name: "x.json"}}, "is empty"},
	} {
		out := filepath.Join(t.TempDir(), "c")
		_, err := calibrate.Run(context.Background(), m, c.texts, corpus.Whole(c.texts), out, calibrate.Options{})
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
			t.Errorf("%s: files are left: %v", name, left)
		}
	}
	// A trace of a model that routes nothing, and places that cannot be written.
	texts := some(1, 160, 5)
	dir := t.TempDir()
	for _, c := range []struct {
		path  string
		trace string
		want  string
	}{{dir + "/c", dir + "/t", "no routed experts"}, {dir, "", "not a regular file"}, {dir + "/no/c", "", "no folder"}} {
		_, err := calibrate.Run(context.Background(), m, texts, corpus.Whole(texts), c.path, calibrate.Options{Trace: c.trace})
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// What the model is measured on is cut as texts are, and positions are those of the
// text.
func TestChunks(t *testing.T) {
	m := openModel(t, models+"deepseek_v3")
	texts := some(7, m.Vocab(), 20, 9)
	chunks, err := corpus.Chunks(texts, corpus.ChunkOptions{Context: 8, Prefix: []int{0}, Score: corpus.ScoreAll, Tokens: 20})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := calibrate.Run(context.Background(), m, texts, chunks, dir+"/c", calibrate.Options{Tool: "test", Trace: dir + "/t"}); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, dir+"/c")
	// 7, 7 and 6 tokens behind a BOS each; nothing is left for the second text.
	if i := f.Info(); len(i.Texts) != 1 || i.Texts[0].Tokens != 23 || i.Texts[0].Sequences != 3 || i.Texts[0].Longest != 8 {
		t.Errorf("%+v", i.Texts)
	}
	if got := tensors(t, dir+"/t")["sequences"]; !slices.Equal(got, []float64{0, 8, 16, 23}) {
		t.Error(got)
	}
	broken := broken(t, "deepseek_v3", "model.embed_tokens.weight", int64(texts[0].IDs[9])*64, float32(math.NaN()))
	for i, id := range texts[0].IDs {
		if id == texts[0].IDs[9] && i < 9 {
			t.Skip("the token comes twice")
		}
	}
	_, err = calibrate.Run(context.Background(), broken, texts, chunks, dir+"/d", calibrate.Options{})
	if err == nil || !strings.Contains(err.Error(), `text "a", position 9 `) {
		t.Error(err)
	}
}
