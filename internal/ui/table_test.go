package ui

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// fit sets the width for a test.
func fit(t *testing.T, columns int) {
	old := width
	width = columns
	t.Cleanup(func() { width = old })
}

func TestTable(t *testing.T) {
	head := []string{"tensor", ">size", "why it is kept"}
	rows := func() [][]string {
		return [][]string{
			{"model.layers.10.mlp.experts.128.gate_proj.weight", "1,234", "engines fuse it with what is kept"},
			{"norm", "1", ""},
			{"tab\there", "22", "x"},
		}
	}
	var b strings.Builder
	Table(&b, head, rows())
	want := "" +
		"tensor                                             size  why it is kept\n" +
		"model.layers.10.mlp.experts.128.gate_proj.weight  1,234  engines fuse it with what is kept\n" +
		"norm                                                  1\n" +
		"\"tab\\there\"                                          22  x\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	for _, columns := range []int{100, 60, 40} {
		fit(t, columns)
		b.Reset()
		Table(&b, head, rows())
		for l := range strings.Lines(b.String()) {
			l = strings.TrimSuffix(l, "\n")
			if n := utf8.RuneCountInString(l); n > columns || strings.TrimRight(l, " ") != l {
				t.Errorf("%d columns: %q has %d", columns, l, n)
			}
		}
		for _, word := range []string{"1,234", "engines", "norm"} {
			if !strings.Contains(b.String(), word) {
				t.Errorf("%d columns: %q is broken or lost in\n%s", columns, word, b.String())
			}
		}
	}
}

// Numbers are never broken: a table of many is divided, with its first column again.
func TestTableOfNumbers(t *testing.T) {
	head, row := []string{">layer"}, []string{"7"}
	for range 12 {
		head, row = append(head, ">balance"), append(row, "1.234567")
	}
	fit(t, 60)
	var b strings.Builder
	Table(&b, head, [][]string{row})
	if got := strings.Count(b.String(), "1.234567"); got != 12 {
		t.Errorf("%d of 12 figures", got)
	}
	if got := strings.Count(b.String(), "layer"); got != 3 {
		t.Errorf("the first column stands %d times:\n%s", got, b.String())
	}
}

func TestWrapNarrow(t *testing.T) {
	fit(t, 40)
	for l := range strings.Lines(Wrap(strings.Repeat("word ", 40), 30, 20)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(l, "\n")); n > 40 {
			t.Errorf("%d columns: %q", n, l)
		}
	}
	if got := Wrap("a  b", 0, 0); got != "a  b" {
		t.Errorf("spaces that stand together: %q", got)
	}
}

func TestBreakAt(t *testing.T) {
	for s, want := range map[string][]string{
		"KLD 0.003 nats over tokens":   {"KLD 0.003", "nats over", "tokens"},
		"model.layers.10.mlp.up":       {"model.", "layers.10.", "mlp.up"},
		"abcdefghijklmnopq":            {"abcdefghij", "klmnopq"},
		"  model.layers.mlp.gate_proj": {"  model.", "  layers.", "  mlp.", "  gate_", "  proj"},
	} {
		got := fold(s, 10)
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
