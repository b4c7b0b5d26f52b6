package ui

import (
	"strings"
	"unicode/utf8"
)

// Columns is how wide text is set: what fits a terminal next to something else.
const Columns = 100

// Wrap breaks text at spaces so that lines end within [Columns]. The first
// line begins at column first, the others are indented. A word that is too long
// stands alone, and spaces that stand together stay: they may be a name's.
func Wrap(text string, first, indent int) string {
	var b strings.Builder
	at, begun := first, false
	for _, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case !begun:
		case at+1+n > Columns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, begun = at+n, true
	}
	return b.String()
}
