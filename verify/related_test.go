package verify_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/synth"
	"quern/internal/invalid"
	"quern/verify"
)

// Another model as baseline is said to be one: of another shape at once, of the same
// shape with other weights when they were seen.
func TestAnotherModel(t *testing.T) {
	src := model(t)
	out := quantized(t, src, convert.QuantizeOptions{})
	_, err := verify.Compare(context.Background(), open(t, tiny(t)), open(t, out), verify.Options{})
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "the baseline is another model") || !strings.Contains(err.Error(), "hidden_size") {
		t.Errorf("%v", err)
	}
	other := model(t)
	r := rand.New(rand.NewPCG(9, 9))
	for ref := range open(t, other).All() {
		if len(ref.Tensor.Shape) == 2 {
			patient{t, other}.halves(ref.Tensor.Name, func(x []float32) {
				for i := range x {
					x[i] = float32(r.NormFloat64() * 0.05)
				}
			})
		}
	}
	for _, cand := range []string{out, src} { // quantized, and as it was
		rep := compare(t, other, cand)
		if !strings.Contains(rep.Unrelated, "the baseline is another model") || rep.Passed {
			t.Errorf("%q, %+v", rep.Unrelated, rep.Gates)
		}
		if g := gate(t, rep, "kept"); !strings.Contains(strings.Join(g.Failures[:1], ""), "another model") {
			t.Errorf("%q", g.Failures)
		}
	}
	if rep := compare(t, src, out); rep.Unrelated != "" {
		t.Error(rep.Unrelated)
	}
	// The same random weights twice are one model.
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	for _, dir := range []string{a, b} {
		if err := synth.Tiny().Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if rep := compare(t, a, b); !rep.Passed || rep.Unrelated != "" {
		t.Errorf("%+v", rep.Gates)
	}
}
