package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"quern/internal/tinyseek"
	"quern/internal/ui"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain, ümläut, 128×128, 漢字": "plain, ümläut, 128×128, 漢字",
		"a\x1b[31mb":                 `a\x1b[31mb`,
		"a\nb\r\tc\x00":              `a\nb\r\tc\x00`,
		"bad \xff\xfe utf-8":         `bad \xff\xfe utf-8`,
		"\u202egnp.exe":              `\u202egnp.exe`, // reverses what follows
		"\u009b2J":                   `\u009b2J`,      // a control code of 8 bits
		"zero\u200bwidth":            `zero\u200bwidth`,
		`it's "quoted"`:              `it's "quoted"`,
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := oneLine(errors.New("two\nlines\r\nof\x1b text\n")); got != `two lines of\x1b text` {
		t.Errorf("oneLine: %q", got)
	}
	if got := string(screen([]byte("\x7f\u009b31mÂ\u00a0\xc2"))); got != "^?M-^[31mÂ\u00a0\xc2" {
		t.Errorf("screen: %q", got)
	}
	if got := string(screen([]byte("a\x1b[0m\r\nb\t\x00ü"))); got != "a^[[0m^M\nb^I^@ü" {
		t.Errorf("screen: %q", got)
	}
}

func TestWrap(t *testing.T) {
	text := strings.Repeat("word ", 60)
	for i, l := range strings.Split(ui.Wrap(text, 10, 4), "\n") {
		first := 0
		if i == 0 {
			first = 10
		}
		if n := first + len(l); n > ui.Columns || n < ui.Columns-5 && i < 2 {
			t.Errorf("line %d ends at column %d: %q", i, n, l)
		}
		if i > 0 && !strings.HasPrefix(l, "    word") {
			t.Errorf("line %d: %q", i, l)
		}
	}
	long := strings.Repeat("x", 150)
	if got, want := ui.Wrap("a "+long+" b", 0, 2), "a\n  "+long+"\n  b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := ui.Wrap(long, 90, 2); got != long {
		t.Errorf("a word alone is moved: %q", got)
	}
	if got := ui.Wrap("", 0, 2); got != "" {
		t.Errorf("nothing becomes %q", got)
	}
}

func TestPlaceholder(t *testing.T) {
	if v, s := placeholder("`SIZE`of it"); v != "SIZE" || s != "of it" {
		t.Errorf("%q, %q", v, s)
	}
	if v, s := placeholder("no `value` in front"); v != "" || s != "no `value` in front" {
		t.Errorf("%q, %q", v, s)
	}
}

// In a pipe the text of run is that of the model, byte for byte.
func TestRunText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "--quiet", "--prompt", "func main() {\n\tif x {\n", "--max-tokens", "40", dir}
	plain := quern(t, dir, args...)
	asJSON := quern(t, dir, append([]string{"run", "--json"}, args[2:]...)...)
	var g struct{ Text string }
	if err := json.Unmarshal([]byte(asJSON.stdout), &g); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(g.Text, "\t") || plain.stdout != g.Text+"\n" {
		t.Errorf("%q instead of %q", plain.stdout, g.Text)
	}
}
