package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"quern/internal/tinyseek"
)

// timeless is a report in JSON without the speeds, which no two runs share.
func timeless(t *testing.T, raw string) map[string]any {
	t.Helper()
	var r map[string]any
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		t.Fatalf("%v: %.200s", err, raw)
	}
	delete(r, "tokens_per_second")
	for _, name := range []string{"model", "model_deployment"} {
		if m, ok := r[name].(map[string]any); ok {
			delete(m, "tokens_per_second")
		}
	}
	return r
}

// What tasks of verify find is merged to the report of one run, every figure, gate, line
// and the exit code: with a baseline and without, with texts and without, where gates
// fail, in any order, with one task that ran twice, from another folder.
func TestVerifyTasks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "model")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"quantize", "--quiet", "model", "out"}, {"quantize", "--quiet", "--scale-fmt", "ue8m0", "model", "other"}} {
		if r := quern(t, dir, args...); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	if err := os.Remove(filepath.Join(dir, "other", "quern-manifest.json")); err != nil {
		t.Fatal(err)
	}
	another := filepath.Join(dir, "else", "verify.txt") // two texts may have one name
	if err := os.MkdirAll(filepath.Dir(another), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(another, []byte("A text of the same name is another text."), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"bytes":    {"out"},
		"weights":  {"--baseline", "model", "out"},
		"one":      {"--text", "else/verify.txt", "--text", "model/verify.txt", "--tokens", "700", "out"},
		"two":      {"--baseline", "model", "--text", "model/verify.txt", "--text", "model/tokenizer_config.json", "--tokens", "1200", "--context", "128", "out"},
		"rounded":  {"--baseline", "model", "--activations", "fp8", "--text", "model/verify.txt", "--tokens", "600", "--context", "64", "out"},
		"failing":  {"--baseline", "out", "--text", "model/verify.txt", "--tokens", "300", "--context", "64", "other"},
		"returned": {"--baseline", "model", "--text", "model/verify.txt", "--tokens", "300", "--context", "64", "model"},
	} {
		t.Run(name, func(t *testing.T) {
			one := quern(t, dir, append([]string{"verify", "--json"}, args...)...)
			parts := "parts-" + name
			for _, i := range []int{4, 2, 1, 3, 2} {
				r := quern(t, dir, append([]string{"verify", "--task", fmt.Sprintf("%d/4", i), "--json", "--parts", parts}, args...)...)
				if r.code != 0 {
					t.Fatal(r.stdout, r.stderr)
				}
			}
			merged := quern(t, dir, "merge", "--json", parts)
			if merged.code != one.code {
				t.Errorf("exit %d, one run has %d: %s%s", merged.code, one.code, merged.stderr, one.stderr)
			}
			if a, b := timeless(t, one.stdout), timeless(t, merged.stdout); !reflect.DeepEqual(a, b) {
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				t.Errorf("other figures:\n%.4000s\n%.4000s", x, y)
			}
			files, _ := filepath.Glob(filepath.Join(dir, parts, "*"))
			if len(files) != 4 {
				t.Errorf("%q", files)
			}
			// From elsewhere, as files and in another order.
			away := quern(t, t.TempDir(), "merge", "--json", files[2], files[0], files[3], files[1], files[0])
			if away.code != one.code {
				t.Errorf("from elsewhere: exit %d: %s", away.code, away.stderr)
			}
		})
	}
}
