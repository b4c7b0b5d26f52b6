package ui

import (
	"os"
	"strconv"

	"golang.org/x/term"
)

// Columns is how wide text is set: what fits a terminal next to something else.
const Columns = 100

// narrowest is the width below which nothing is made to fit.
const narrowest = 30

// width is how wide lines may be; 0 is as wide as they come, but for text.
var width int

// FitTerminal makes what is written from now on fit f, if that is a terminal, or the
// environment's COLUMNS, which comes first. Lines for pipes and files stay whole, so that
// programs can cut them.
func FitTerminal(f *os.File) {
	width = 0
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		width = max(n, narrowest)
		return
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		width = max(n, narrowest)
	}
}

// TextWidth is how wide text is set.
func TextWidth() int {
	if width > 0 {
		return min(width, Columns)
	}
	return Columns
}
