package page

import (
	"strings"
	"testing"
	"time"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"größer 日本": "größer 日本", "a\tb\n": "a⟨U+0009⟩b⟨U+000A⟩", "\u202e": "⟨U+202E⟩", "\xe2\x82": "⟨E2⟩⟨82⟩", "\ufffd": "\ufffd", "\u00a0": "⟨U+00A0⟩", "\x00": "⟨U+0000⟩",
		strings.Repeat("é", MaxText+5): strings.Repeat("é", MaxText) + "…",
	} {
		if got := Visible(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

// A dot in the text is told from the sign of a space.
func TestSpacesAreMarked(t *testing.T) {
	got := Pieces("a·b c\n\t", 80, TextSpaces)
	want := []Piece{{"a·b", false}, {"·", true}, {"c", false}, {"⏎\n⇥", true}}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}
	if got := Pieces("\n", 80, TokenSpaces)[0].Text; got != "⏎" {
		t.Errorf("%q", got)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Plural(1, "token", "tokens"), "1 token"},
		{Plural(12345, "token", ""), "12,345 tokens"},
		{Plural(0, "matrix", "matrices"), "0 matrices"},
		{List(nil), ""},
		{List([]string{"a"}), "a"},
		{List([]string{"a", "b", "c"}), "a, b and c"},
		{CommandLine(nil), ""},
		{CommandLine([]string{"verify", "it's", ""}), `quern verify 'it'\''s' ''`},
		{CommandLine([]string{"/bin/quern", "a\x1b"}), "/bin/quern 'a⟨U+001B⟩'"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// The version stands once in each page's own words, and is left out where it is unknown.
func TestParse(t *testing.T) {
	for version, want := range map[string]string{"": "quern place\n", "1.2": "quern place 1.2\n"} {
		var b strings.Builder
		page := struct{ CSS, Title, Version string }{"", "a<b", version}
		if err := Parse("{{template \"head\" .}}quern place{{template \"version\" .}}\n").Execute(&b, page); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(b.String(), "</head>"+want) && !strings.HasSuffix(b.String(), "</head>\n"+want) || !strings.Contains(b.String(), "<title>a&lt;b</title>") {
			t.Errorf("%q", b.String())
		}
	}
}

func TestNow(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if got := Date(Now()); got != "2023-11-14 22:13 UTC" {
		t.Error(got)
	}
	for _, bad := range []string{"", "x", "-1", "99999999999999"} {
		t.Setenv("SOURCE_DATE_EPOCH", bad)
		if d := time.Since(Now()); d < 0 || d > time.Minute {
			t.Errorf("%q: %v", bad, d)
		}
	}
}
