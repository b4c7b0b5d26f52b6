package runner_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"quern/runner"
)

// text is a text of random tokens.
func text(r *rand.Rand, m *runner.Model, n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = r.IntN(m.Vocab())
	}
	return ids
}

// evaluated are the logits of texts in one evaluation, row by row, those of each text.
func evaluated(t *testing.T, m *runner.Model, texts [][]int, o runner.Options) [][]float64 {
	t.Helper()
	o.NoMTP = true
	ev, err := m.Evaluate(context.Background(), texts, o)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	all := logits(t, m.Head(runner.Options{}), ev.Hidden, m.Vocab(), m.Vocab())
	out := make([][]float64, len(texts))
	for i := range texts {
		for _, v := range all[ev.Starts[i]*m.Vocab() : ev.Starts[i+1]*m.Vocab()] {
			out[i] = append(out[i], float64(v))
		}
	}
	return out
}

// Texts whose lengths lie at the borders of what models count by (windows, convolutions,
// chunks of recurrent layers, blocks and pools of keys) give the same logits alone, among
// others with memory for few rows, and token by token or in pieces.
func TestBorders(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	lengths := []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65}
	if testing.Short() {
		lengths = []int{1, 3, 8, 17, 33, 65}
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := open(t, dir)
			runner.StableTies(m)
			r := rand.New(rand.NewPCG(7, 8))
			var texts [][]int
			for _, n := range lengths {
				texts = append(texts, text(r, m, n))
			}
			r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
			together := evaluated(t, m, texts, runner.Options{})
			few := evaluated(t, m, texts, runner.Options{Memory: 1, TempDir: t.TempDir(), Workers: 1})
			for i, ids := range texts {
				if !slices.Equal(together[i], few[i]) {
					t.Errorf("a text of %d tokens depends on memory", len(ids))
				}
				alone := evaluated(t, m, [][]int{ids}, runner.Options{})[0]
				if !slices.Equal(together[i], alone) {
					t.Errorf("a text of %d tokens depends on those beside it", len(ids))
				}
				// Recurrent layers divide what may be small by its size: rounding of one
				// number in a thousand shows as more there.
				bound := 1e-5 * max(1, deviation(alone))
				for _, steps := range [][]int{{1}, {3, 1, 16, 5}} {
					worst, mean := generated(t, m, ids, steps, alone)
					if !(mean <= bound && worst <= 10*bound) {
						t.Errorf("a text of %d tokens in pieces of %v differs by %.3g, at most %.3g, bound %.3g", len(ids), steps, mean, worst, bound)
					}
				}
			}
		})
	}
}

// generated is how far the logits behind pieces of a text lie from those of one pass: at
// most, and as root of the mean square.
func generated(t *testing.T, m *runner.Model, ids, steps []int, want []float64) (worst, mean float64) {
	t.Helper()
	g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{NoMTP: true})
	if err != nil {
		t.Fatal(err)
	}
	square, n := 0.0, 0
	for i := 0; g.Len() < len(ids); i++ {
		from := g.Len()
		to := min(from+steps[i%len(steps)], len(ids))
		run := g.Prefill
		if to-from <= runner.MaxStep && i%2 == 1 {
			run = g.Step
		}
		out, err := run(ids[from:to])
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range out[len(out)-m.Vocab():] {
			d := math.Abs(float64(v) - want[(to-1)*m.Vocab()+k])
			worst, square, n = max(worst, d), square+d*d, n+1
		}
	}
	return worst, math.Sqrt(square / float64(n))
}

// A step that is taken back, all of it or a part, leaves no trace.
func TestTakeBack(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := open(t, dir)
			r := rand.New(rand.NewPCG(9, 10))
			ids := text(r, m, 60)
			step := func(g *runner.Generator, n int) []float32 {
				out, err := g.Step(ids[g.Len() : g.Len()+n])
				if err != nil {
					t.Fatal(err)
				}
				return slices.Clone(out[len(out)-m.Vocab():])
			}
			plain, drafting := fresh(t, m, ids[:3]), fresh(t, m, ids[:3])
			for at := 3; at < len(ids)-runner.MaxStep; at++ {
				want := step(plain, 1)
				// Run more than are kept, of which some are others than the text has.
				n := 1 + r.IntN(runner.MaxStep)
				guess := append(slices.Clone(ids[at:at+1]), text(r, m, n-1)...)
				if _, err := drafting.Step(guess); err != nil {
					t.Fatal(err)
				}
				drafting.Truncate(at)
				if got := step(drafting, 1); !slices.Equal(got, want) {
					t.Fatalf("token %d differs behind a step of %d that was taken back", at, n)
				}
				if n > 1 {
					drafting.Truncate(at)
					if _, err := drafting.Step(guess); err != nil {
						t.Fatal(err)
					}
					drafting.Truncate(at + 1)
				}
			}
		})
	}
}

func fresh(t *testing.T, m *runner.Model, prompt []int) *runner.Generator {
	t.Helper()
	g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{NoMTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Prefill(prompt); err != nil {
		t.Fatal(err)
	}
	return g
}
