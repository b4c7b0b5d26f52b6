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
