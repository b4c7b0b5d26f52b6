package serving_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert/serving"
)

var update = flag.Bool("update", false, "write the tables of docs/engines anew")

// Between these lines the page of an engine has its rules.
const begin, end = "<!-- rules: made by go generate ./convert/serving -->\n", "<!-- end of rules -->\n"

// TestEnginePages holds that the page of each engine has the rules that name it, in the
// words of the table.
func TestEnginePages(t *testing.T) {
	for _, name := range serving.EngineNames() {
		path := filepath.Join("..", "..", "docs", "engines", name+".md")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(raw), begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s has no place for the rules", path)
			continue
		}
		page := before + begin + "\n" + table(serving.Engine(name)) + "\n" + end + after
		if page == string(raw) {
			continue
		}
		if !*update {
			t.Errorf("%s does not have the rules as they are: go generate ./convert/serving", path)
			continue
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// table is that of an engine, in Markdown.
func table(e serving.Engine) string {
	var b strings.Builder
	b.WriteString("| | what | what helps | source |\n|---|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
	for _, r := range serving.Rules(e) {
		what := r.Text
		if len(r.Names) > 1 || strings.Contains(r.Engine, " ") { // who else, or on which machines
			what = r.Engine + ": " + what
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Severity, cell(what), cell(r.Remedy), cell(r.Source))
	}
	return b.String()
}

// Every rule can be told without a folder, and is told on a page.
func TestRulesHaveWords(t *testing.T) {
	for _, r := range serving.Rules("") {
		if r.Text == "" || r.Source == "" || len(r.Names) == 0 {
			t.Errorf("a rule of %q has text %q and source %q", r.Engine, r.Text, r.Source)
		}
	}
}
