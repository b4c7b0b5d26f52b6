package main

import (
	"strings"
	"testing"
)

// However a text is cut, it ends before the first stop string and nothing of that shows.
func TestStopper(t *testing.T) {
	for _, c := range []struct {
		stop             []string
		text, want, ends string
	}{
		{nil, "abc", "abc", ""},
		{[]string{"x"}, "abc", "abc", ""},
		{[]string{"\n\n"}, "a\nb\n\nc", "a\nb", "\n\n"},
		{[]string{"abab", "ba"}, "aababb", "aa", "ba"},
		{[]string{"aab"}, "aaab", "a", "aab"},
		{[]string{"end", "en"}, "the end", "the ", "en"},
		{[]string{"</s>"}, "a</", "a</", ""},
		{[]string{"é"}, "aé", "a", "é"},
	} {
		for size := 1; size <= len(c.text)+1; size++ {
			s := stopper{strings: c.stop}
			var b strings.Builder
			for at := 0; at < len(c.text); at += size {
				b.WriteString(s.add(c.text[at:min(at+size, len(c.text))]))
			}
			b.WriteString(s.flush())
			if b.String() != c.want || s.found != c.ends {
				t.Errorf("%q in pieces of %d: %q ended by %q, want %q by %q", c.text, size, b.String(), s.found, c.want, c.ends)
			}
		}
	}
}
