package runner_test

import (
	"context"
	"math"
	"testing"

	"quern/runner"
)

// Small experts that get pieces of the tokens give the bits of experts that get all of
// theirs at once, which a hook for inputs has them get.
func TestPieced(t *testing.T) {
	m := open(t, tiny(t))
	texts := benchTexts(m)[:5]
	if testing.Short() {
		texts = texts[:1]
	}
	states := func(o runner.Options) []float32 {
		ev, err := m.Evaluate(context.Background(), texts, o)
		if err != nil {
			t.Fatal(err)
		}
		defer ev.Close()
		n := ev.Starts[len(texts)]
		x, err := ev.Hidden.View(0, n, make([]float32, n*ev.Hidden.Width()))
		if err != nil {
			t.Fatal(err)
		}
		return append([]float32{}, x...)
	}
	for _, fast := range []bool{false, true} {
		want := states(runner.Options{NoMTP: true, Fast: fast, Workers: 2, Hooks: &runner.Hooks{Input: func(*runner.Activations) {}}})
		for _, workers := range []int{1, 2} {
			got := states(runner.Options{NoMTP: true, Fast: fast, Workers: workers})
			for i := range want {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("fast %v, %d workers: number %d is %v, want %v", fast, workers, i, got[i], want[i])
				}
			}
		}
	}
}
