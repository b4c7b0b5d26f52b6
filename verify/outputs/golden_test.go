package outputs

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The goldens were computed with numpy in float64 (testdata/metrics).
func TestGoldens(t *testing.T) {
	cases, err := filepath.Glob("testdata/metrics/*")
	if err != nil || len(cases) != 4 {
		t.Fatal(cases, err)
	}
	for _, dir := range cases {
		raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]float64
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		quant := "quant.safetensors"
		if filepath.Base(dir) == "same" {
			quant = "base.safetensors"
		}
		c, err := Compare(context.Background(), mustOpen(t, filepath.Join(dir, "base.safetensors")), mustOpen(t, filepath.Join(dir, quant)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = json.Marshal(c.Metrics); err != nil {
			t.Fatal(err)
		}
		var got map[string]*float64
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if len(want) != 20 {
			t.Errorf("%s: %d figures", dir, len(want))
		}
		for name, x := range want {
			if g := got[name]; g == nil || !(math.Abs(*g-x) <= 1e-9*max(math.Abs(x), 1e-3)) {
				t.Errorf("%s: %s is %v, want %v", dir, name, g, x)
			}
		}
		if filepath.Base(dir) == "same" {
			for name, zero := range map[string]float64{
				"kld_mean": *got["kld_mean"], "kld_max": *got["kld_max"], "kld_mean_uncertainty": *got["kld_mean_uncertainty"],
				"ln_ppl_ratio": *got["ln_ppl_ratio"], "ln_ppl_ratio_uncertainty": *got["ln_ppl_ratio_uncertainty"],
				"delta_p_rms": *got["delta_p_rms"], "1-same_top": 1 - *got["same_top"], "1-top5_overlap": 1 - *got["top5_overlap"],
				"max_abs_logit_diff": float64(c.Reference.MaxAbsLogitDiff),
			} {
				if zero != 0 {
					t.Errorf("same: %s is %v", name, zero)
				}
			}
		}
	}
}
