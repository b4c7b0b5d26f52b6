package jinja

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// conversation is what testdata/cases.json was rendered with.
var conversation = []any{
	[][2]any{{"role", "system"}, {"content", " Be 'brief'. "}},
	[][2]any{{"role", "user"}, {"content", "Größe <b>\n\"x\" 🎉"}},
	[][2]any{{"role", "assistant"}, {"content", nil}, {"n", []any{1, 2.5, true}}},
}

func render(source string) (string, error) {
	t, err := Parse(source)
	if err != nil {
		return "", err
	}
	return t.Render(map[string]any{
		"messages": conversation, "tools": nil,
		"raise_exception": Function(func(args []any) (any, error) { return nil, errors.New(fmt.Sprint(args...)) }),
	})
}

// What Jinja 3.1.6 makes of templates, set up as transformers does it: the same text, or
// an error where it has one.
func TestAsJinja(t *testing.T) {
	raw, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Template, Want, Error string }
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Fatal(len(cases), "cases")
	}
	for _, c := range cases {
		got, err := render(c.Template)
		switch {
		case (err != nil) != (c.Error != ""):
			t.Errorf("%q: %v, Jinja: %q", c.Template, err, c.Error)
		case got != c.Want:
			t.Errorf("%q:\n got %q\nwant %q", c.Template, got, c.Want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"a\n{{ raise_exception('Only user') }}", "line 2: Only user"},
		{"a\n\n{% include 'x' %}", `line 3: the statement "include" is not known`},
		{"{{ 'a' | random }}", `line 1: the filter "random" is not known`},
		{"{{ 1 is prime }}", `line 1: the test "prime" is not known`},
		{"{{ [].append(1) }}", `line 1: "append", which is undefined, cannot be called`},
		{"{{ 'a' | trim(1, 2) }}", "line 1: strip of a number"},
		{"{{ 'a' | upper(1) }}", "line 1: the filter upper takes 0 arguments, not 1"},
		{"{{ 'a'.strip(x=1) }}", `line 1: the method strip has no argument "x"`},
		{"{% set x.y = 1 %}", `"x" is no namespace`},
		{"{{ 'a", "line 1: a string has no end"},
		{"\n{{ 1 ", "line 2: a tag has no }}"},
		{"{{ 1 1 }}", `"1" is not known here`},
		{"{{ $ }}", "line 1: '$' is not known"},
		{"{# ", "a comment has no end"},
		{"{% endif %}", `"endif" has no beginning`},
		{"{% for x in [1] %}", `"endfor" is missing`},
		{"{{ 9223372036854775807 + 1 }}", "too large"},
		{"{{ 99999999999999999999 }}", "is too large"},
		{"{{ [1][x] | tojson }}", "tojson of"},
		{"{{ 1 % 0 }}", "a division by 0"},
		{"{{ 'x'[::0] }}", "step 0"},
		{"{% macro a(b) %}{% endmacro %}{{ a(1, 2) }}", `macro "a" takes 1 arguments, not 2`},
	} {
		if got, err := render(c.template); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %q, %v; want %q", c.template, got, err, c.want)
		}
	}
}

// A template from anywhere can take neither time nor memory nor the stack.
func TestBounds(t *testing.T) {
	for name, template := range map[string]string{
		"recursion": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
		"loops":     "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
		"range":     "{{ range(1000000000) }}",
		"output":    "{% for a in range(9999) %}{{ 'x' * 1000000 }}{% endfor %}",
		"repeat":    "{{ 'x' * 999999999999 }}",
		"doubling":  "{% set ns = namespace(s='x') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"replace":   "{{ ('x' * 10000) | replace('x', 'y' * 100000) }}",
		"nesting":   "{{ " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000) + " }}",
		"blocks":    strings.Repeat("{% if true %}", 100_000),
		"nots":      "{{ " + strings.Repeat("not ", 100_000) + "1 }}",
		"minuses":   "{{ " + strings.Repeat("-", 100_000) + "1 }}",
		"source":    strings.Repeat("x", maxSource+1),
	} {
		begun := time.Now()
		if got, err := render(template); err == nil {
			t.Errorf("%s: %.40q", name, got)
		}
		if d := time.Since(begun); d > 20*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 3, 7, 15, 4, 5, 0, time.UTC)
	for format, want := range map[string]string{
		"%d %b %Y": "07 Mar 2026", "%Y-%m-%d %H:%M:%S": "2026-03-07 15:04:05", "%-d %B, %A 100%%": "7 March, Saturday 100%", "%": "%",
	} {
		if got, err := Strftime(at, format); got != want || err != nil {
			t.Errorf("%q: %q, %v", format, got, err)
		}
	}
	if _, err := Strftime(at, "%Q"); err == nil {
		t.Error("%Q is taken")
	}
}

func FuzzRender(f *testing.F) {
	raw, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ Template string }
	if err := json.Unmarshal(raw, &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.Template)
	}
	f.Fuzz(func(_ *testing.T, template string) { _, _ = render(template) })
}
