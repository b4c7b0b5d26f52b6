package convert_test

import (
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/scheme"
)

// The sizes that a plan gives for other schemes are those of their plans.
func TestSizes(t *testing.T) {
	c := open(t, filepath.Join("testdata", "writers", "bf16"))
	want := map[string]int64{}
	for _, s := range scheme.All {
		want[s.Name] = mustPlan(t, c, convert.QuantizeOptions{Scheme: s}).Totals().Bytes
	}
	for _, s := range scheme.All {
		for _, x := range convert.Sizes(mustPlan(t, c, convert.QuantizeOptions{Scheme: s})) {
			if x.Bytes != want[x.Scheme] || x.Why != "" {
				t.Errorf("%s, from a plan of %s: %d (%s), want %d", x.Scheme, s.Name, x.Bytes, x.Why, want[x.Scheme])
			}
		}
	}
	odd, _ := tiny(t)
	for _, x := range convert.Sizes(mustPlan(t, odd, convert.QuantizeOptions{})) {
		if cannot := x.Scheme == "nvfp4"; cannot != (x.Why != "") && (cannot || x.Scheme == "fp8") {
			t.Errorf("%+v", x)
		}
		if x.Why != "" && (x.Bytes != 0 || !strings.Contains(x.Why, "columns")) {
			t.Errorf("%+v", x)
		}
	}
}
