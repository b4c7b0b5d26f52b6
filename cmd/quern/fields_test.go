package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/internal/tinyseek"
)

// A config with which the model is another function than the one that is computed: what
// runs it ends with 4, field and value named, and writes nothing; the pipeline judges
// bytes and weights and says why no more. Fields that nobody has looked at are said.
func TestConfigFields(t *testing.T) {
	dir := t.TempDir()
	edit := func(name, field string) {
		at := filepath.Join(dir, name)
		if err := tinyseek.Extract(at); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(at, "config.json")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(raw), `"hidden_act": "silu"`, field, 1)
		if changed == string(raw) {
			t.Fatal("the embedded model has no hidden_act")
		}
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("odd", `"hidden_act": "xielu"`)
	edit("new", `"hidden_act": "silu", "mixing_of_tomorrow": 3`)
	text := filepath.Join("odd", tinyseek.VerifyText)
	const says = `config.json: "hidden_act" is "xielu", which the runner does not compute for deepseek_v3`
	for _, args := range [][]string{
		{"verify", "--text", text, "odd"}, {"run", "--prompt", "x", "odd"}, {"calibrate", "--text", text, "-o", "c.safetensors", "odd"},
	} {
		if r := quern(t, dir, args...); r.code != 4 || !strings.Contains(r.stderr, says) {
			t.Errorf("%v: exit code %d: %s", args, r.code, r.stderr)
		}
	}
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if r := quern(t, dir, "pipeline", "odd", "out"); r.code != 0 || !strings.Contains(words(r.stdout), "no model was run, so bytes and weights alone are judged: "+says) {
		t.Errorf("pipeline: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	const remark = "nobody has looked at what these fields would change: mixing_of_tomorrow"
	if r := quern(t, dir, "verify", "--text", text, "--tokens", "40", "new"); r.code != 0 || !strings.Contains(words(r.stdout), remark) {
		t.Errorf("verify: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := quern(t, dir, "run", "--prompt", "x", "--max-tokens", "2", "new"); r.code != 0 || !strings.Contains(words(r.stderr), remark) {
		t.Errorf("run: exit code %d: %s", r.code, r.stderr)
	}
}
