package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"quern/internal/ui"
)

// Bounds of what is shown of names and messages, and of texts before a token: what comes
// from files may have any length.
const (
	maxText   = 1000 // characters
	maxBefore = 400
	maxToken  = 80
)

func count(n int) string { return ui.Count(int64(n)) }

// visible makes text safe to look at: of characters that cannot be seen, that reorder
// others (the trick of "Trojan Source", CVE-2021-42574) or that are no UTF-8 it shows
// the code. Long text is cut.
func visible(s string) string {
	var b strings.Builder
	for _, p := range pieces(s, maxText, plainSpaces) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// piece is a run of text: as it is, or signs for what cannot be seen.
type piece struct {
	Text string
	Sign bool
}

// spaces says how white space is shown.
type spaces int

const (
	plainSpaces spaces = iota // spaces as they are, the rest as what cannot be seen
	textSpaces                // signs, and lines are broken where they were
	tokenSpaces               // signs only
)

// pieces is visible for at most limit characters, with signs for white space as
// asked for, and with signs set apart from what they stand among.
func pieces(s string, limit int, space spaces) []piece {
	var out []piece
	put := func(text string, sign bool) {
		if n := len(out); n > 0 && out[n-1].Sign == sign {
			out[n-1].Text += text
			return
		}
		out = append(out, piece{text, sign})
	}
	n := 0
	for i, r := range s {
		if n++; n > limit {
			put("…", true)
			break
		}
		switch {
		case r == utf8.RuneError && isInvalid(s[i:]):
			put(fmt.Sprintf("⟨%02X⟩", s[i]), true)
		case space != plainSpaces && r == ' ':
			put("·", true)
		case space == textSpaces && r == '\n':
			put("⏎\n", true)
		case space == tokenSpaces && r == '\n':
			put("⏎", true)
		case space != plainSpaces && r == '\t':
			put("⇥", true)
		case r == ' ' || unicode.IsPrint(r):
			put(string(r), false)
		default:
			put(fmt.Sprintf("⟨U+%04X⟩", r), true)
		}
	}
	return out
}

func isInvalid(s string) bool {
	_, n := utf8.DecodeRuneInString(s)
	return n == 1
}

// tail is the last n characters of s, and whether there are more.
func tail(s string, n int) (string, bool) {
	at := len(s)
	for ; n > 0 && at > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
	}
	return s[at:], at > 0
}

// list joins words: "a", "a and b", "a, b and c".
func list(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// few are the first n items.
func few[T any](items []T, n int) []T { return items[:min(n, len(items))] }
