package report

import (
	"unicode/utf8"

	"quern/internal/ui"
)

// Bounds of what is shown of names and messages, and of texts before a token: what comes
// from files may have any length.
const (
	maxBefore = 400 // characters
	maxToken  = 80
)

func count(n int) string { return ui.Count(int64(n)) }

// tail is the last n characters of s, and whether there are more.
func tail(s string, n int) (string, bool) {
	at := len(s)
	for ; n > 0 && at > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
	}
	return s[at:], at > 0
}

// few are the first n items.
func few[T any](items []T, n int) []T { return items[:min(n, len(items))] }
