package runner_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/runner"
)

// A text whose length would turn its tokens in another way is refused, one that is just
// short enough is computed.
func TestLongestText(t *testing.T) {
	from, dir := "testdata/models/phimoe_longrope", t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(raw), `"long_mscale": 1.2`, `"long_mscale": 1.3`, 1)
	if changed == string(raw) {
		t.Fatal("nothing to change")
	}
	if err := os.WriteFile(config, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	m := open(t, dir)
	run := func(n int) error {
		ev, err := m.Evaluate(context.Background(), [][]int{make([]int, n)}, runner.Options{})
		if err == nil {
			ev.Close()
		}
		return err
	}
	if err := run(32); err != nil {
		t.Error(err)
	}
	if err := run(33); !blames(err, "33 tokens", "32") {
		t.Error(err)
	}
	g := fresh(t, m, make([]int, 31))
	if _, err := g.Step(make([]int, 2)); !blames(err, "33 tokens") {
		t.Error(err)
	}
	if _, err := g.Step(make([]int, 1)); err != nil {
		t.Error(err)
	}
}
