package ui

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Table writes rows in columns. Columns whose head begins with '>' are set
// flush right. Cells with control characters are quoted, so that each row is a
// line, and no line ends in spaces.
func Table(w io.Writer, head []string, rows [][]string) {
	widths := make([]int, len(head))
	right := make([]bool, len(head))
	heads := make([]string, len(head))
	for i, h := range head {
		right[i] = strings.HasPrefix(h, ">")
		heads[i] = strings.TrimPrefix(h, ">")
	}
	rows = append([][]string{heads}, rows...)
	for _, r := range rows {
		for i, c := range r {
			r[i] = cell(c)
			widths[i] = max(widths[i], len([]rune(r[i])))
		}
	}
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i, c := range r {
			if right[i] {
				c = strings.Repeat(" ", widths[i]-len([]rune(c))) + c
			}
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
	for line := range bytes.Lines(b.Bytes()) {
		fmt.Fprintf(w, "%s\n", bytes.TrimRight(line, " \n"))
	}
}

// cell quotes what would break a table or steer a terminal.
func cell(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
