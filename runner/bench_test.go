package runner_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/runner"
)

// BenchmarkEvaluate runs the embedded model over texts of 512 tokens.
func BenchmarkEvaluate(b *testing.B) {
	m := open(b, tiny(b))
	texts := benchTexts(m)
	for b.Loop() {
		ev, err := m.Evaluate(context.Background(), texts, runner.Options{NoMTP: true})
		if err != nil {
			b.Fatal(err)
		}
		ev.Close()
	}
	b.ReportMetric(float64(20*512*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkLogits does the same and computes the logits of every token, which is what
// other runners' forward passes give.
func BenchmarkLogits(b *testing.B) {
	m := open(b, tiny(b))
	texts := benchTexts(m)
	var buf []byte
	var dst []float32
	for b.Loop() {
		ev, err := m.Evaluate(context.Background(), texts, runner.Options{NoMTP: true})
		if err != nil {
			b.Fatal(err)
		}
		var tile *runner.Tile
		if tile, buf, err = m.Head(runner.Options{}).Tile(0, m.Vocab(), buf); err != nil {
			b.Fatal(err)
		}
		n := ev.Starts[1]
		dst = slices.Grow(dst[:0], n*m.Vocab())[:n*m.Vocab()]
		for i := range texts {
			x, err := ev.Hidden.View(ev.Starts[i], n, make([]float32, n*ev.Hidden.Width()))
			if err != nil {
				b.Fatal(err)
			}
			tile.Logits(dst, x, n)
		}
		ev.Close()
	}
	b.ReportMetric(float64(20*512*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// benchTexts are 20 texts of 512 tokens.
func benchTexts(m *runner.Model) [][]int {
	r := rand.New(rand.NewPCG(7, 8))
	texts := make([][]int, 20)
	for i := range texts {
		for range 512 {
			texts[i] = append(texts[i], r.IntN(m.Vocab()))
		}
	}
	return texts
}

// BenchmarkGenerate decodes greedily with the embedded model: alone, with a drafted
// token, and both with a quarter of the experts in memory.
func BenchmarkGenerate(b *testing.B) {
	m := open(b, tiny(b))
	ref := readReference(b, "../internal/tinyseek/testdata/reference.safetensors")
	prompt := ref.ids()[:32]
	for _, x := range []struct {
		name  string
		draft int
		cache int64
	}{{"plain", 0, 0}, {"draft", 1, 0}, {"plain-quarter", 0, 16 * 3 * 98304 / 4}, {"draft-quarter", 1, 16 * 3 * 98304 / 4}} {
		b.Run(x.name, func(b *testing.B) {
			tokens, seconds, accepted, used := 0, 0.0, 0.0, 0.0
			for b.Loop() {
				st, err := m.Generate(context.Background(), prompt, runner.GenerateOptions{
					MaxTokens: 200, Draft: x.draft, GeneratorOptions: runner.GeneratorOptions{ExpertCache: x.cache},
				}, func(int) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
				tokens += st.Tokens - 1
				seconds += st.Time
				accepted, used = st.Acceptance(), float64(st.BytesUsed)/st.Time/1e9
			}
			b.ReportMetric(float64(tokens)/seconds, "tokens/s")
			b.ReportMetric(accepted, "acceptance")
			b.ReportMetric(used, "weights-GB/s")
		})
	}
}
