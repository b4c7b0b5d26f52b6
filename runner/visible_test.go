package runner_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/formats/synth"
	"quern/runner"
)

// A token whose state is no number spoils those behind it only, in every model: else
// a layer would name the first position of the text, not the token's.
func TestLaterNoNumber(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	const bad = 21
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := open(t, dir)
			ids := text(rand.New(rand.NewPCG(13, 14)), m, 40)
			spoilt := false
			o := runner.Options{NoMTP: true, Hooks: &runner.Hooks{Hidden: func(layer, first int, x []float32, rows int) error {
				if layer == 0 && first <= bad && bad < first+rows && !spoilt {
					spoilt = true
					x[(bad-first)*len(x)/rows] = float32(math.Inf(1))
				}
				return nil
			}}}
			for _, memory := range []int64{0, 1} {
				o.Memory, o.TempDir, spoilt = memory, t.TempDir(), false
				_, err := m.Evaluate(context.Background(), [][]int{ids}, o)
				if !spoilt || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("position %d,", bad)) {
					t.Errorf("memory %d: %v, want an error of position %d", memory, err, bad)
				}
			}
		})
	}
}

// Texts longer than there is memory for, which go through attention in pieces, give the
// same bits as whole, with any number of workers.
func TestPieces(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m := open(t, dir)
			r := rand.New(rand.NewPCG(11, 12))
			texts := [][]int{text(r, m, 3), text(r, m, 150), text(r, m, 40), text(r, m, 129)}
			whole := evaluated(t, m, texts, runner.Options{Workers: 1})
			for _, o := range []runner.Options{{Memory: 1, TempDir: t.TempDir(), Workers: 1}, {Memory: 1, TempDir: t.TempDir(), Workers: 3}, {Workers: 2}} {
				for i, got := range evaluated(t, m, texts, o) {
					if !slices.Equal(got, whole[i]) {
						t.Errorf("a text of %d tokens is another one with %d bytes of memory and %d workers", len(texts[i]), o.Memory, o.Workers)
					}
				}
			}
		})
	}
}

// Attention of DeepSeek-V3 over a text of 32k tokens takes less than 1 GiB, by the sizes of
// what it asks for; that a whole evaluation keeps within its memory is measured by TestPeak
// of verify/evaluation.
func TestAttentionMemory(t *testing.T) {
	v3 := synth.Released()
	v3.Layers, v3.Dense, v3.Experts, v3.Inter, v3.MoEInter, v3.Vocab = 1, 1, 1, 128, 64, 128
	dir := t.TempDir()
	if err := v3.Write(dir); err != nil {
		t.Fatal(err)
	}
	m := open(t, dir)
	for _, workers := range []int{1, 2, 64} {
		for _, memory := range []int64{1 << 30, 2 << 30, 64 << 30} {
			n := runner.AttentionMemory(m, 32<<10, memory, workers)
			t.Logf("%d workers, %d GiB: %d MiB", workers, memory>>30, n>>20)
			if limit := max(int64(1)<<30, memory/2); n > limit {
				t.Errorf("%d workers within %d GiB: attention takes %d MiB", workers, memory>>30, n>>20)
			}
		}
	}
}
