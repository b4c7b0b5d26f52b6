package convert_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/scheme"
)

// Experts of a layer that stay are named as one where SGLang asks for them so, and all
// kept modules under the key that vLLM reads: .ci/clients/run found both.
func TestKeptExperts(t *testing.T) {
	in := filepath.Join("testdata", "writers", "bf16")
	const bank, expert = "model.layers.2.mlp.experts", "model.layers.2.mlp.experts.1.up_proj"
	for _, c := range []struct {
		scheme *scheme.Scheme
		keep   string
		partly bool
		bank   bool // is named
	}{
		{scheme.TensorFP8, bank + ".*", false, true},
		{scheme.TensorFP8, bank + ".1.*", true, false},
		{scheme.TensorFP8, "*.o_proj", false, false},
		{scheme.MXFP8, bank + ".*", false, false}, // vLLM and SGLang ask for an expert
	} {
		p, err := convert.PlanQuantize(open(t, in), convert.QuantizeOptions{Scheme: c.scheme, Keep: []string{c.keep}, PartialExpert: c.partly})
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Quant map[string]any `json:"quantization_config"`
		}
		if err := json.Unmarshal([]byte(p.Config), &config); err != nil {
			t.Fatal(err)
		}
		keys := []string{"ignore"}
		if c.scheme == scheme.MXFP8 {
			keys = []string{"ignored_layers", "modules_to_not_convert"}
		}
		for _, key := range keys {
			list, _ := config.Quant[key].([]any)
			if slices.Contains(list, any(bank)) != c.bank || slices.Contains(list, any(expert)) != (c.keep != "*.o_proj") {
				t.Errorf("%s, %s kept: %s is %v", c.scheme.Name, c.keep, key, list)
			}
		}
		for _, f := range p.Beside {
			if strings.Contains(f.Data, `"`+bank+`"`) != c.bank {
				t.Errorf("%s, %s kept: %s", c.scheme.Name, c.keep, f.Data)
			}
		}
	}
}
