package report

import (
	"strconv"
	"strings"
)

// figureOf writes a ratio as tables show it; one that is not known is a dash.
func figureOf(x *float64) string {
	if x == nil {
		return "–"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
