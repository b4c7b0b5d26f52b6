package runner_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"quern/internal/tinyseek"
	"quern/runner"
)

// tiny is the path of the embedded model, extracted.
func tiny(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTinyseekReference(t *testing.T) {
	ref := readReference(t, "../internal/tinyseek/testdata/reference.safetensors")
	m := open(t, tiny(t))
	type choice struct{ ids []int32 }
	routed := map[int]*choice{}
	ev, err := m.Evaluate(context.Background(), [][]int{ref.ids()}, runner.Options{Hooks: &runner.Hooks{
		Route: func(layer, first int, ids []int32, _ []float32, _ int) {
			if routed[layer] == nil {
				routed[layer] = &choice{}
			}
			if k := m.Config().NumExpertsPerTok; len(routed[layer].ids) != first*k {
				t.Errorf("layer %d: tokens from %d on after %d", layer, first, len(routed[layer].ids)/k)
			}
			routed[layer].ids = append(routed[layer].ids, ids...)
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	if d := maxDiff(t, logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), 500), ref["logits"]); !(d <= 5e-4) {
		t.Errorf("logits differ by %g", d)
	}
	h, _ := m.MTPHead(runner.Options{})
	if d := maxDiff(t, logits(t, h, ev.MTP, m.Vocab(), 2048), ref["mtp_logits"]); !(d <= 5e-4) {
		t.Errorf("MTP logits differ by %g", d)
	}
	if len(routed) != 4 {
		t.Fatalf("%d layers were routed", len(routed))
	}
	differ := 0
	for layer, c := range routed {
		want := ref[map[int]string{1: "router.1.indices", 2: "router.2.indices", 3: "router.3.indices", 4: "router.4.indices"}[layer]]
		if len(want) != len(c.ids) {
			t.Fatalf("layer %d: %d choices instead of %d", layer, len(c.ids), len(want))
		}
		for i := 0; i < len(want); i += 4 {
			var a, b []int
			for j := range 4 {
				a, b = append(a, int(c.ids[i+j])), append(b, int(want[i+j]))
			}
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				differ++
				t.Logf("layer %d, token %d: %v instead of %v", layer, i/4, a, b)
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d choices of experts differ", differ)
	}
}

// What the generator computes step by step is what the evaluation computes at once,
// to rounding; and a token's logits are the same bits whatever else is in the step.
func TestGeneratorEqualsEvaluation(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(dirs, tiny(t)) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := open(t, dir)
			runner.StableTies(m)
			r := rand.New(rand.NewPCG(1, 2))
			ids := make([]int, 40)
			for i := range ids {
				ids[i] = r.IntN(m.Vocab())
			}
			ev, err := m.Evaluate(context.Background(), [][]int{ids}, runner.Options{NoMTP: true})
			if err != nil {
				t.Fatal(err)
			}
			defer ev.Close()
			want := logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), 128)
			var wide []float64
			for _, v := range want {
				wide = append(wide, float64(v))
			}
			bound := 2e-4 * max(1, deviation(wide))
			var alone [][]float32
			for _, steps := range [][]int{{1}, {2, 3, 8, 1, 5}, {7}} {
				// Weights kept, and weights read again for each token.
				for _, memory := range []int64{1 << 30, 1} {
					g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{Memory: memory, Workers: 1 + len(steps)%2})
					if err != nil {
						t.Fatal(err)
					}
					last, err := g.Prefill(ids[:11])
					if err != nil {
						t.Fatal(err)
					}
					rows := [][]float32{last}
					for at, i := 11, 0; at < len(ids); i++ {
						n := min(steps[i%len(steps)], len(ids)-at)
						out, err := g.Step(ids[at : at+n])
						if err != nil {
							t.Fatal(err)
						}
						for j := range n {
							rows = append(rows, slices.Clone(out[j*m.Vocab():][:m.Vocab()]))
						}
						at += n
					}
					for i, row := range rows {
						if d := maxDiff(t, row, wide[(10+i)*m.Vocab():][:m.Vocab()]); !(d <= bound) {
							t.Fatalf("position %d differs by %g", 10+i, d)
						}
						if alone != nil && !slices.Equal(row, alone[i]) {
							t.Fatalf("position %d depends on the step", 10+i)
						}
					}
					if alone == nil {
						alone = rows
					}
				}
			}
		})
	}
}

func generate(t *testing.T, m *runner.Model, prompt []int, o runner.GenerateOptions) ([]int, runner.Statistics) {
	t.Helper()
	var out []int
	st, err := m.Generate(context.Background(), prompt, o, func(id int) error { out = append(out, id); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if st.Tokens != len(out) && !st.Stopped {
		t.Errorf("%d tokens, %d counted", len(out), st.Tokens)
	}
	return out, st
}

// withMTP are the test models with a layer of multi-token prediction.
func withMTP(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !open(t, dir).HasMTP() })
	if len(dirs) < 17 {
		t.Errorf("only %d models have multi-token prediction", len(dirs))
	}
	return append(dirs, tiny(t))
}

// What a draft is chosen from are the logits of multi-token prediction in an evaluation of
// the text, behind a prompt and behind steps of which a part was taken back.
func TestDraftEqualsEvaluation(t *testing.T) {
	for _, dir := range withMTP(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := open(t, dir)
			runner.StableTies(m)
			ids := text(rand.New(rand.NewPCG(11, 12)), m, 30)
			ev, err := m.Evaluate(context.Background(), [][]int{ids}, runner.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer ev.Close()
			h, _ := m.MTPHead(runner.Options{})
			want := logits(t, h, ev.MTP, m.Vocab(), m.Vocab())
			g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{DraftHead: m.Vocab()})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Prefill(ids[:10]); err != nil {
				t.Fatal(err)
			}
			for g.Len()+5 < len(ids) {
				n := g.Len()
				first := true
				_, err := g.Draft(ids[:n+1], 3, func(got []float32) int {
					if first {
						var row []float64
						for _, v := range want[(n-1)*m.Vocab() : n*m.Vocab()] {
							row = append(row, float64(v))
						}
						if d := maxDiff(t, got, row); !(d <= 1e-5*max(1, deviation(row))) {
							t.Errorf("logits of the draft behind %d tokens differ by %.3g", n, d)
						}
					}
					first = false
					return 1
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := g.Step(ids[n : n+4]); err != nil {
					t.Fatal(err)
				}
				g.Truncate(n + 3)
			}
		})
	}
}

func TestSpeculationChangesNothing(t *testing.T) {
	prompts := 6
	if testing.Short() {
		prompts = 1
	}
	for _, dir := range append(withMTP(t), deep(t, 3)) {
		m := open(t, dir)
		r := rand.New(rand.NewPCG(3, 4))
		for range prompts {
			prompt := make([]int, 1+r.IntN(30))
			for i := range prompt {
				prompt[i] = r.IntN(m.Vocab())
			}
			o := runner.GenerateOptions{MaxTokens: 40}
			plain, _ := generate(t, m, prompt, o)
			if len(plain) != 40 {
				t.Fatalf("%d tokens", len(plain))
			}
			for _, k := range []int{1, 2, 7} {
				o.Draft = k
				got, st := generate(t, m, prompt, o)
				if !slices.Equal(got, plain) {
					t.Errorf("%s: a draft of %d gives\n%v instead of\n%v", filepath.Base(dir), k, got, plain)
				}
				if st.Drafted == 0 || len(st.Accepted) == 0 {
					t.Errorf("nothing was drafted: %+v", st)
				}
			}
			// Drafts from parts of the head, as long as they pay, with hardly any memory.
			for _, o := range []runner.GenerateOptions{
				{Draft: 2, GeneratorOptions: runner.GeneratorOptions{DraftHead: m.Vocab()}},
				{Draft: 3, GeneratorOptions: runner.GeneratorOptions{DraftHead: 16}},
				{Draft: 1, Auto: true, GeneratorOptions: runner.GeneratorOptions{DraftHead: 8}},
				{Draft: 1, GeneratorOptions: runner.GeneratorOptions{DraftHead: 8, Memory: 1}},
			} {
				o.MaxTokens = 40
				if got, _ := generate(t, m, prompt, o); !slices.Equal(got, plain) {
					t.Errorf("%s: %+v gives\n%v instead of\n%v", filepath.Base(dir), o, got, plain)
				}
			}
		}
	}
}

// Drafting must not change what is sampled: both ways are held against the
// probabilities of the main model after a prompt of two sampled tokens.
func TestSamplingDistribution(t *testing.T) {
	if testing.Short() {
		t.Skip("eight thousand texts")
	}
	m := open(t, "testdata/models/deepseek_v3")
	prompt := []int{5, 9, 77}
	g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{NoMTP: true})
	if err != nil {
		t.Fatal(err)
	}
	first, err := g.Prefill(prompt)
	if err != nil {
		t.Fatal(err)
	}
	const temperature = 0.7
	// Exact probabilities of the second token, summed over the first.
	p1 := softmax64(first, temperature)
	exact := make([]float64, m.Vocab())
	for id := range p1 {
		second, err := g.Step([]int{id})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range softmax64(second, temperature) {
			exact[i] += p1[id] * p
		}
		g.Truncate(len(prompt))
	}
	const n = 4000
	for _, x := range []struct{ draft, head int }{{0, 0}, {1, 0}, {1, 16}} {
		draft := x.draft
		count := make([]float64, m.Vocab())
		for seed := range uint64(n) {
			out, _ := generate(t, m, prompt, runner.GenerateOptions{
				MaxTokens: 3, Temperature: temperature, Seed: seed, Draft: draft, GeneratorOptions: runner.GeneratorOptions{DraftHead: x.head},
			})
			count[out[1]]++
		}
		// χ² over the tokens with enough expectation; the rest as one.
		chi, degrees, rest, restExact := 0.0, -1, 0.0, 0.0
		for i, p := range exact {
			if p*n < 10 {
				rest, restExact = rest+count[i], restExact+p*n
				continue
			}
			chi += (count[i] - p*n) * (count[i] - p*n) / (p * n)
			degrees++
		}
		if restExact > 0 {
			chi += (rest - restExact) * (rest - restExact) / restExact
			degrees++
		}
		// Mean and deviation of χ² are its degrees and their double's root.
		if limit := float64(degrees) + 5*math.Sqrt(2*float64(degrees)); chi > limit || degrees < 5 {
			t.Errorf("draft %d from %d rows: χ² %.1f of %d degrees", draft, x.head, chi, degrees)
		}
	}
}

func softmax64(logits []float32, temperature float64) []float64 {
	p := make([]float64, len(logits))
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v)/temperature)
	}
	sum := 0.0
	for i, v := range logits {
		p[i] = math.Exp(float64(v)/temperature - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func TestSamplingRepeats(t *testing.T) {
	m := open(t, tiny(t))
	for _, draft := range []int{0, 1, 3} {
		o := runner.GenerateOptions{MaxTokens: 30, Temperature: 0.9, Seed: 42, Draft: draft}
		a, _ := generate(t, m, []int{1, 2, 3}, o)
		o.Workers = 1
		o.Memory = 8 << 20
		b, _ := generate(t, m, []int{1, 2, 3}, o)
		if !slices.Equal(a, b) {
			t.Errorf("draft %d: two runs with one seed differ", draft)
		}
	}
}
