package ui

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks text at spaces so that lines end within [Columns], or within the terminal
// if that is narrower ([FitTerminal]). The first line begins at column first, the others
// are indented. A word that is too long stands alone, and spaces that stand together
// stay: they may be a name's.
func Wrap(text string, first, indent int) string {
	columns := TextWidth()
	stay := columns == Columns || first <= indent // the first word, even if it is too long
	var b strings.Builder
	at, begun := first, false
	for _, word := range strings.Split(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case !begun && (stay || at+n <= columns):
		case !begun || at+1+n > columns:
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
