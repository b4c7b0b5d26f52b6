package verify_test

import (
	"context"
	"path/filepath"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/verify"
)

// Released forms are sound by themselves, what `convert --to bf16` makes of them is what
// they stand for to the bit, and they lie as near to that as one rounding to BF16 does.
func TestReleasedForms(t *testing.T) {
	dirs, err := filepath.Glob("../runner/testdata/quantized/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			in, err := hf.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			alone, err := verify.Integrity(context.Background(), in, verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			failed(t, "by itself", alone.Gates)
			p, err := convert.PlanBF16(in, convert.BF16Options{})
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			if _, err := convert.Run(t.Context(), in, p, out, convert.RunOptions{}); err != nil {
				t.Fatal(err)
			}
			wide, err := hf.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			r, err := verify.Compare(context.Background(), in, wide, verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			failed(t, "as baseline", r.Gates)
			if r.Weights.Kept == 0 {
				t.Error("as baseline: nothing was compared")
			}
			r, err = verify.Compare(context.Background(), wide, in, verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			failed(t, "as candidate", r.Gates)
			if r.Weights.Quantized == 0 {
				t.Error("as candidate: nothing was measured")
			}
			if db := r.Weights.WorstSQNR; db != nil && *db < 45 {
				t.Errorf("as candidate: %.1f dB from its own values in BF16", *db)
			}
		})
	}
}

// failed tells of gates about weights that fail.
func failed(t *testing.T, what string, gates []verify.Gate) {
	t.Helper()
	for _, g := range gates {
		switch g.Name {
		case "files", "config": // the files beside these checkpoints are not what this is about
			continue
		}
		if !g.Passed {
			t.Errorf("%s: %+v", what, g)
		}
	}
}
