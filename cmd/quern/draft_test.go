package main

import (
	"encoding/json"
	"strings"
	"testing"

	"quern/internal/tinyseek"
)

// Drafting tells what it was worth, and leaves greedy text as it is however long it goes on.
func TestRunDrafts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	base := []string{"run", "--prompt", "func main() {", "--max-tokens", "90"}
	run := func(args ...string) answer { return quern(t, dir, append(append(base[:5:5], args...), dir)...) }
	plain := run()
	if strings.Contains(plain.stderr, "drafting") {
		t.Errorf("without drafting: %s", plain.stderr)
	}
	for _, draft := range []string{"1", "2", "auto"} {
		r := run("--speculative", "--draft", draft)
		if r.code != 0 || r.stdout != plain.stdout {
			t.Errorf("--draft %s: %q instead of %q", draft, r.stdout, plain.stdout)
		}
		if !strings.Contains(r.stderr, "drafting: ") || !strings.Contains(r.stderr, " kept; ") {
			t.Errorf("--draft %s: %s", draft, r.stderr)
		}
		if pays := strings.Contains(r.stderr, "× the speed without, "); pays == strings.Contains(r.stderr, " not pay for this model and machine") {
			t.Errorf("--draft %s: %s", draft, r.stderr)
		}
	}
	var g struct {
		SpeedUp float64 `json:"speed_up"`
		Stats   struct {
			Cost struct {
				Plain, Pass, Draft struct{ Seconds, Bytes float64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(run("--speculative", "--json").stdout), &g); err != nil {
		t.Fatal(err)
	}
	if c := g.Stats.Cost; g.SpeedUp <= 0 || c.Plain.Seconds <= 0 || c.Draft.Bytes <= 0 || c.Pass.Bytes <= c.Plain.Bytes {
		t.Errorf("%+v", g)
	}
	for _, x := range []struct{ args, want string }{
		{"--speculative --draft 8", "--draft 8: 1 to 7, or auto"},
		{"--speculative --draft 0", "--draft 0: 1 to 7, or auto"},
		{"--speculative --draft some", "--draft some: 1 to 7, or auto"},
		{"--draft auto", "--draft needs --speculative"},
		{"--speculative --draft auto --temperature 1", "--draft auto goes by time, and so would text that is drawn with --temperature: give a number"},
	} {
		if r := run(strings.Fields(x.args)...); r.code != 2 || !strings.Contains(r.stderr, x.want) {
			t.Errorf("%s: exit %d, %s", x.args, r.code, r.stderr)
		}
	}
}
