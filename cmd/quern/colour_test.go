package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestPaint(t *testing.T) {
	for in, want := range map[string]string{
		"digest  passed  0\n":              "digest  \x1b[32mpassed\x1b[0m  0\n",
		"kld_mean  FAILED  1\n":            "kld_mean  \x1b[31mFAILED\x1b[0m  1\n",
		"evidence  undecided  1\n":         "evidence  \x1b[33mundecided\x1b[0m  1\n",
		"same_top  not checked\n":          "same_top  \x1b[33mnot checked\x1b[0m\n",
		"\nall gates passed\n":             "\n\x1b[32mall gates passed\x1b[0m\n",
		"no gate failed, but 2 of 14\n":    "\x1b[33mno gate failed\x1b[0m, but 2 of 14\n",
		"3 of 14 gates failed\n":           "\x1b[31m3 of 14 gates failed\x1b[0m\n",
		"quern: no such file\n":            "\x1b[31mquern:\x1b[0m no such file\n",
		"model.digest  passed\n":           "model.digest  passed\n",
		"  a tensor that FAILED to please": "  a tensor that FAILED to please",
	} {
		if got := string(paint([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// NO_COLOR, a dumb terminal, and what is none.
func TestColoured(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if coloured(file, func(string) string { return "" }) {
		t.Error("a file is coloured")
	}
}

func TestASCII(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, true},
		{map[string]string{"LC_ALL": "de_DE.UTF-8", "LC_CTYPE": "C"}, false},
		{map[string]string{"LC_CTYPE": "POSIX"}, true},
		{map[string]string{"LANG": "C.UTF-8"}, false},
	} {
		if got := asciiOnly(func(n string) string { return c.env[n] }); got != c.want {
			t.Errorf("%v: %t", c.env, got)
		}
	}
	if got := string(ascii([]byte("BF16 → F8 128×128 ≤ ±… ä\U0001f600"))); got != `BF16 > F8 128x128 <= +-... \u00e4\U0001f600` {
		t.Error(got)
	}
	const text = "ä→\U0001f600 \\ \" €"
	raw, _ := json.Marshal(text)
	raw = escapeJSON(raw)
	var back string
	if err := json.Unmarshal(raw, &back); err != nil || back != text || strings.ContainsFunc(string(raw), func(r rune) bool { return r > 0x7e }) {
		t.Errorf("%s: %q, %v", raw, back, err)
	}
}
