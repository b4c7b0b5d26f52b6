package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/gemm"
	"quern/internal/cpu"
	"quern/internal/tinyseek"
	"quern/verify/evaluation"
)

// --fast tells what it changes, on processors that gain by it, and is refused on others and
// where it does not belong.
func TestFastFlag(t *testing.T) {
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "m")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ids.json"), []byte("[[1,2,3,4,5,6,7,8,9,10,11,12]]"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(code int, stderr string, args ...string) string {
		t.Helper()
		r := quernWithin(t, maxAnswer, dir, append([]string{"verify", "--fast", "--json", "--state", "off"}, args...)...)
		if r.code != code || !strings.Contains(r.stderr, stderr) {
			t.Errorf("%q: exit %d, %s", args, r.code, r.stderr)
		}
		return r.stdout
	}
	run(2, "give --text or --ids", "m")
	run(2, "does not go together with --task", "--ids", "ids.json", "--task", "1/2", "--parts", "p", "m")
	run(2, "references are exact", "--ids", "ids.json", "--emit-reference", "r.safetensors", "m")
	run(2, "not on --device cuda", "--ids", "ids.json", "--device", "cuda", "m")
	const gains = "gains nothing on this processor"
	if gemm.FastBF16() {
		var r struct{ Fast *evaluation.Fast }
		if err := json.Unmarshal([]byte(run(0, "", "--ids", "ids.json", "m")), &r); err != nil {
			t.Fatal(err)
		}
		if r.Fast == nil || r.Fast.Tokens == 0 || !(r.Fast.KLDMean > 0 && r.Fast.KLDMean < 0.01) {
			t.Errorf("%+v", r.Fast)
		}
	} else {
		run(2, gains, "--ids", "ids.json", "m")
	}
	t.Setenv(cpu.Env, "generic")
	run(2, gains, "--ids", "ids.json", "m")
}
