package page

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"quern/internal/ui"
)

// MaxText bounds what is shown of names, paths and messages, in characters: what comes
// from files may have any length.
const MaxText = 1000

// Visible makes text safe to look at: of characters that cannot be seen, that reorder
// others (the trick of "Trojan Source", CVE-2021-42574) or that are no UTF-8 it shows
// the code. Long text is cut.
func Visible(s string) string {
	var b strings.Builder
	for _, p := range Pieces(s, MaxText, PlainSpaces) {
		b.WriteString(p.Text)
	}
	return b.String()
}

// Piece is a run of text: as it is, or signs for what cannot be seen.
type Piece struct {
	Text string
	Sign bool
}

// Spaces says how white space is shown.
type Spaces int

const (
	PlainSpaces Spaces = iota // spaces as they are, the rest as what cannot be seen
	TextSpaces                // signs, and lines are broken where they were
	TokenSpaces               // signs only
)

// Pieces is [Visible] for at most limit characters, with signs for white space as
// asked for, and with signs set apart from what they stand among.
func Pieces(s string, limit int, space Spaces) []Piece {
	var out []Piece
	put := func(text string, sign bool) {
		if n := len(out); n > 0 && out[n-1].Sign == sign {
			out[n-1].Text += text
			return
		}
		out = append(out, Piece{text, sign})
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
		case space != PlainSpaces && r == ' ':
			put("·", true)
		case space == TextSpaces && r == '\n':
			put("⏎\n", true)
		case space == TokenSpaces && r == '\n':
			put("⏎", true)
		case space != PlainSpaces && r == '\t':
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

// CommandLine writes arguments of quern so that a shell reads them as they were; "" of
// none.
func CommandLine(args []string) string {
	if len(args) == 0 {
		return ""
	}
	if filepath.Base(args[0]) != "quern" {
		args = append([]string{"quern"}, args...)
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = Visible(a)
		if a == "" || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%") != "" {
			words[i] = "'" + strings.ReplaceAll(words[i], "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// Plural writes a number of things; many is "" for the noun with an s.
func Plural(n int64, one, many string) string {
	switch {
	case n == 1:
		return "1 " + one
	case many == "":
		many = one + "s"
	}
	return ui.Count(n) + " " + many
}

// List joins words: "a", "a and b", "a, b and c".
func List(words []string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
}

// Date is when a page was made, the same in every time zone.
func Date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Now is the time that pages are dated with: that of the clock, or SOURCE_DATE_EPOCH
// where builds set it to get the same bytes again
// (https://reproducible-builds.org/specs/source-date-epoch/).
func Now() time.Time {
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil && n >= 0 && n < 1<<38 {
		return time.Unix(n, 0)
	}
	return time.Now()
}
