package shard_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"quern/convert"
	"quern/scheme"
	"quern/shard"
	"quern/shard/placement"
)

// Experts in NVFP4 regroup as they are made: every tensor as without, and the files
// that say how they are written stay beside those of the placement. (Groups of 16 do not
// divide this model's down projections.)
func TestRegroupNVFP4(t *testing.T) {
	c := open(t, goldens+"qwen3_moe")
	made := func(ranks int) string {
		t.Helper()
		p, err := convert.PlanQuantize(c, convert.QuantizeOptions{Scheme: scheme.NVFP4, Keep: []string{"*.down_proj"}, PartialExpert: true})
		if err != nil {
			t.Fatal(err)
		}
		if ranks > 0 {
			if _, err := shard.Regroup(context.Background(), p, c.Arch(), shard.Options{Config: placement.Config{Ranks: ranks}}); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(t.TempDir(), "out")
		run(t, c, p, dir)
		return dir
	}
	plain, ranked := made(0), made(2)
	if a, b := digests(t, plain), digests(t, ranked); !maps.Equal(a, b) {
		t.Errorf("digests of %d and %d tensors differ", len(a), len(b))
	}
	for _, name := range []string{"hf_quant_config.json", placement.JSONName} {
		if _, err := os.Stat(filepath.Join(ranked, name)); err != nil {
			t.Error(err)
		}
	}
}
