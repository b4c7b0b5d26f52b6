package evaluation

import (
	"context"
	"testing"

	"quern/convert"
	"quern/corpus"
	"quern/internal/cpu"
	"quern/internal/cpu/cputest"
)

// What products in BF16 change is measured the same on every path, those without such
// instructions included, and is far from what FP8 does. Where both models have them, one
// against itself differs by nothing.
func TestFast(t *testing.T) {
	dir := goldens + "deepseek_v3"
	base, quant := open(t, dir), open(t, quantized(t, dir, convert.QuantizeOptions{}))
	texts := []corpus.Text{{Name: "a", IDs: random(1, 60, base.Vocab())}}
	chunks, err := corpus.Chunks(texts, corpus.ChunkOptions{Context: 24, Prefix: []int{1}, Score: corpus.ScoreAll})
	if err != nil {
		t.Fatal(err)
	}
	var first Fast
	for i, path := range cpu.Paths() {
		cputest.Use(t, path)
		f, err := FastError(context.Background(), quant, texts, chunks, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = *f
		}
		if *f != first || f.Tokens != chunks[0].To-chunks[0].From {
			t.Errorf("%s: %+v, first %+v", path, *f, first)
		}
	}
	exact := compare(t, base, quant, texts, Options{}).Metrics
	if first.KLDMean <= 0 || first.KLDMean > exact.KLDMean/50 {
		t.Errorf("BF16 changes %v, FP8 %v", first.KLDMean, exact.KLDMean)
	}
	if s := compare(t, base, base, texts, Options{Fast: true}).Metrics; s.KLDMax != 0 {
		t.Errorf("against itself: %+v", s)
	}
	fast := compare(t, base, quant, texts, Options{Fast: true}).Metrics
	if fast.KLDMean == exact.KLDMean {
		t.Error("nothing is fast")
	}
	t.Logf("BF16 changes %v; FP8 %v, with products in BF16 %v", first.KLDMean, exact.KLDMean, fast.KLDMean)
}
