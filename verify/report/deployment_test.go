package report

import (
	"strings"
	"testing"

	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
)

// The chart of noise marks the floor of each role's schemes, and one for all where there
// is but one.
func TestFloors(t *testing.T) {
	page := func(schemes ...string) string {
		floors := map[string]float64{"fp8": 31, "nvfp4": 20, "mxfp4": 18.4}
		w := &verify.WeightsReport{Quantized: len(schemes)}
		for i, s := range schemes {
			db := floors[s] + 0.25
			role := string(rune('a' + i))
			w.Tensors = append(w.Tensors, verify.TensorError{Name: role, Role: role, Scheme: s, Floor: floors[s], SQNR: &db})
			w.Roles = append(w.Roles, verify.RoleError{Role: role, Tensors: 1, SQNR: &db, Worst: role})
		}
		w.WorstSQNR, w.WorstTensor = w.Tensors[0].SQNR, w.Tensors[0].Name
		var b strings.Builder
		if err := HTML(&b, &verify.Report{Checkpoint: "c", Weights: w}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, x := range []struct {
		schemes []string
		lines   int // one above all and one for each role, or one for each role
		words   []string
	}{
		{[]string{"fp8", "fp8"}, 3, []string{">31 dB<", "All are at 31 dB or above."}},
		{[]string{"nvfp4"}, 2, []string{">20 dB<", "nvfp4 reaches about 20"}},
		{[]string{"fp8", "nvfp4", "mxfp4"}, 3, []string{"block FP8 reaches about 31, mxfp4 reaches about 18.4, nvfp4 reaches about 20", "All tensors are at theirs or above."}},
	} {
		got := page(x.schemes...)
		if n := strings.Count(got, `<line class="limit"`); n != x.lines {
			t.Errorf("%v: %d marks instead of %d", x.schemes, n, x.lines)
		}
		for _, s := range x.words {
			if !strings.Contains(got, s) {
				t.Errorf("%v: the page does not say %q", x.schemes, s)
			}
		}
	}
}

// The page sets weights alone beside what engines compute, says by which rules, and shows
// the share of blocks that lose bits.
func TestDeployment(t *testing.T) {
	one, none := 3, 0
	m := metrics.Summary{Tokens: 9, PPLQuant: 11.5, KLDMean: 0.0047}
	d := metrics.Summary{Tokens: 9, PPLQuant: 11.75, KLDMean: 0.0112}
	r := &verify.Report{Checkpoint: "c", LowBlocks: &verify.LowBlocks{Blocks: 4000, Low: 50, Share: 0.0125, Worst: "up.weight", WorstShare: 0.5}}
	r.Behaviour = verify.Behaviour{
		Setup: &verify.Setup{Activations: "bf16"}, Metrics: &m, Deployment: &d,
		MTP: &evaluation.MTP{AcceptanceQuant: 0.5}, DeploymentMTP: &evaluation.MTP{AcceptanceQuant: 0.25},
		Rounded: []evaluation.Rounded{
			{Rule: "nvfp4", Linears: 3, Uncalibrated: &one, Title: "E2M1"},
			{Rule: "fp8-tensor", Linears: 1, Uncalibrated: &none, Title: "E4M3"},
			{Rule: "mxfp8", Linears: 2, Title: "<E4M3>"},
		},
	}
	var b strings.Builder
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"weights only, and as engines compute beside it", "0.0047", "0.0112", "11.75", "25.00", "Of 3 linears: E2M1 (1 everywhere: not calibrated)",
		"Of 1 linear: E4M3 (calibrated)", "Of 2 linears: &lt;E4M3&gt;", "1.25\u202f%", "50.00\u202f% of its blocks",
	} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("the page does not say %q", s)
		}
	}
}
