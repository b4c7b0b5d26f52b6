package runner_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"quern/formats/synth"
	"quern/formats/tokenizer"
	"quern/internal/tinyseek"
	"quern/runner"
)

// deep is the path of the embedded model with so many more layers.
func deep(t testing.TB, layers int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deep")
	if err := synth.Deepen(dir, tiny(t), layers); err != nil {
		t.Fatal(err)
	}
	return dir
}

// prompts are n pieces of a text of the embedded model, of 64 tokens.
func prompts(t testing.TB, dir string, n int) [][]int {
	t.Helper()
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
	var out [][]int
	for i := range n {
		out = append(out, ids[i*(len(ids)-64)/n:][:64])
	}
	return out
}

// BenchmarkDraft decodes greedily by turns, without drafting and with it, and tells the
// parts of its break-even, 1+a > c+d: acceptance a, a pass with a draft c, the draft d, in
// units of a plain token, by time and by bytes of weights. The model is the embedded one
// with more layers, so that the MTP layer is a small part of it (synth.Deepen).
func BenchmarkDraft(b *testing.B) {
	for _, layers := range []int{0, 16, 32} {
		dir := deep(b, layers)
		m := open(b, dir)
		ps := prompts(b, dir, 8)
		expert := int64(3 * 256 * 64 * 2)
		for _, x := range []struct {
			name  string
			draft int
			head  int
			cache int64
		}{
			{"resident", 1, 0, 0},
			{"whole-head", 1, m.Vocab(), 0},
			{"two", 2, 0, 0},
			{"quarter", 1, 0, expert * 16 * int64(layers+4) / 4},
		} {
			b.Run(fmt.Sprintf("layers=%d/%s", layers+4, x.name), func(b *testing.B) {
				var plain, drafted, gain []float64
				var c, d, cb, db, acceptance, last float64
				n := 0
				for b.Loop() {
					for _, prompt := range ps {
						o := runner.GenerateOptions{MaxTokens: 160, GeneratorOptions: runner.GeneratorOptions{ExpertCache: x.cache, DraftHead: x.head}}
						var st [2]runner.Statistics
						for k := range st {
							o.Draft = k * x.draft
							var err error
							if st[k], err = m.Generate(context.Background(), prompt, o, func(int) error { return nil }); err != nil {
								b.Fatal(err)
							}
						}
						n++
						plain, drafted = append(plain, st[0].Speed()), append(drafted, st[1].Speed())
						gain = append(gain, st[1].Speed()/st[0].Speed())
						acceptance += st[1].Acceptance()
						p, q := st[1].Cost.Of(runner.Seconds)
						c, d = c+p, d+q
						p, q = st[1].Cost.Of(runner.Bytes)
						cb, db = cb+p, db+q
						last += st[1].SpeedUp()
					}
				}
				middle := func(xs []float64) float64 { slices.Sort(xs); return xs[len(xs)/2] }
				b.ReportMetric(middle(plain), "plain-tokens/s")
				b.ReportMetric(middle(drafted), "drafted-tokens/s")
				b.ReportMetric(middle(gain), "gain")
				b.ReportMetric(last/float64(n), "gain-told")
				b.ReportMetric(acceptance/float64(n), "a")
				b.ReportMetric(c/float64(n), "c")
				b.ReportMetric(d/float64(n), "d")
				b.ReportMetric(cb/float64(n), "c-bytes")
				b.ReportMetric(db/float64(n), "d-bytes")
			})
		}
	}
}
