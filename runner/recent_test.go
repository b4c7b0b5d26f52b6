package runner_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"quern/runner"
)

// Layers with a window, or chunks, keep no more of a text than twice what they reach and
// the rows of a pass, and recurrent ones what they keep at its first token; logits have the
// bits that they have with all keys and values kept.
func TestBoundedCaches(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	windows, states := 0, 0
	for _, dir := range dirs {
		m, all := open(t, dir), open(t, dir)
		if runner.KeepWindows(all) == 0 && !runner.HasStates(all) {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r := rand.New(rand.NewPCG(13, 14))
			ids := text(r, m, 400)
			g, twin := fresh(t, m, ids[:100]), fresh(t, all, ids[:100])
			for g.Len() < len(ids) {
				at := g.Len()
				n := min(1+r.IntN(runner.MaxStep), len(ids)-at)
				a, err := g.Step(ids[at : at+n])
				if err != nil {
					t.Fatal(err)
				}
				b, err := twin.Step(ids[at : at+n])
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(a, b) {
					t.Fatalf("tokens %d to %d differ from those with all keys kept", at, at+n)
				}
				if back := r.IntN(n); back > 0 {
					g.Truncate(at + n - back)
					twin.Truncate(at + n - back)
				}
			}
			for _, c := range runner.Kept(g) {
				switch {
				case c.Reach > 0:
					if windows++; c.Tokens > 2*c.Reach+runner.MaxStep {
						t.Errorf("layer %d keeps %d tokens of a text of %d, and reaches %d", c.Layer, c.Tokens, len(ids), c.Reach)
					}
				case c.Fixed:
					states++
				case c.Tokens != len(ids):
					t.Errorf("layer %d keeps %d tokens of %d", c.Layer, c.Tokens, len(ids))
				}
			}
			if early := fresh(t, m, ids[:20]); runner.StateBytes(early) != runner.StateBytes(g) {
				t.Errorf("recurrent layers keep %d bytes of 20 tokens and %d of %d", runner.StateBytes(early), runner.StateBytes(g), len(ids))
			}
		})
	}
	if windows == 0 || states == 0 {
		t.Errorf("%d layers with a window and %d recurrent ones were looked at", windows, states)
	}
}
