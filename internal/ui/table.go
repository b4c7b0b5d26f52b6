package ui

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes rows in columns. Columns whose head begins with '>' are set
// flush right.
func Table(w io.Writer, head []string, rows [][]string) {
	widths := make([]int, len(head))
	right := make([]bool, len(head))
	for i, h := range head {
		right[i] = strings.HasPrefix(h, ">")
		head[i] = strings.TrimPrefix(h, ">")
		widths[i] = len([]rune(head[i]))
	}
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range append([][]string{head}, rows...) {
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
}
