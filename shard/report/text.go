package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"quern/internal/ui"
)

// maxText bounds what is shown of paths and notes, in characters.
const maxText = 1000

// visible makes text safe to look at: of characters that cannot be seen, that reorder
// others (the trick of "Trojan Source", CVE-2021-42574) or that are no UTF-8 it shows
// the code. Long text is cut.
func visible(s string) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > maxText {
			b.WriteString("…")
			break
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "⟨%02X⟩", s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		}
	}
	return b.String()
}

// commandLine writes arguments so that a shell reads them as they were.
func commandLine(args []string) string {
	if len(args) == 0 {
		return ""
	}
	words := []string{"quern"}
	for _, a := range args {
		if a == "" || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%") != "" {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, visible(a))
	}
	return strings.Join(words, " ")
}

// figureOf writes a ratio as tables show it; one that is not known is a dash.
func figureOf(x *float64) string {
	if x == nil {
		return "–"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}

func plural(n int, what string) string { return plural64(int64(n), what) }

// plural64 writes a number of things.
func plural64(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return ui.Count(n) + " " + what + "s"
}

// join joins words: "a", "a and b", "a, b and c".
func join(words []string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
