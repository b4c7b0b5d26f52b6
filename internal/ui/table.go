package ui

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// gap is what stands between columns.
const gap = "  "

// Table writes rows in columns. Columns whose head begins with '>' are set
// flush right. Cells with control characters are quoted, so that each row is a
// line, and no line ends in spaces. A table that is wider than the terminal
// ([FitTerminal]) has its heads and its texts broken over several lines, numbers
// never; one that is too wide even then is divided, with its first column again.
func Table(w io.Writer, head []string, rows [][]string) {
	right := make([]bool, len(head))
	heads := make([]string, len(head))
	for i, h := range head {
		right[i] = strings.HasPrefix(h, ">")
		heads[i] = strings.TrimPrefix(h, ">")
	}
	t := &table{right: right, rows: append([][]string{heads}, rows...)}
	for _, r := range t.rows {
		for i, c := range r {
			r[i] = cell(c)
		}
	}
	for i, part := range t.parts() {
		if i > 0 {
			_, _ = io.WriteString(w, "\n")
		}
		part.write(w)
	}
}

// table is a table under way; the first row is the head.
type table struct {
	right  []bool
	rows   [][]string
	widths []int
}

// natural is how wide a column is when nothing is broken, and least how narrow it can be.
func (t *table) natural(col int) (wide, least int) {
	for i, r := range t.rows {
		if col >= len(r) {
			continue
		}
		n := utf8.RuneCountInString(r[col])
		wide = max(wide, n)
		switch {
		case i == 0:
			for _, word := range strings.Fields(r[col]) {
				least = max(least, utf8.RuneCountInString(word))
			}
		case t.right[col]:
			least = max(least, n)
		default:
			least = max(least, min(n, leastText))
		}
	}
	return wide, least
}

// leastText is the width that texts are broken to at least.
const leastText = 14

// parts divides t so that each part fits, and settles how wide columns are.
func (t *table) parts() []*table {
	n := len(t.right)
	wide, least := make([]int, n), make([]int, n)
	for i := range n {
		wide[i], least[i] = t.natural(i)
	}
	if width == 0 || n == 0 {
		t.widths = wide
		return []*table{t}
	}
	var parts []*table
	for from := min(1, n-1); from < n; {
		take := []int{0}
		if n == 1 {
			take = nil
		}
		room := width - least[0]
		for ; from < n && (len(take) < 2 || room >= len(gap)+least[from]); from++ {
			room -= len(gap) + least[from]
			take = append(take, from)
		}
		p := &table{}
		for _, c := range take {
			p.right = append(p.right, t.right[c])
			p.widths = append(p.widths, least[c])
		}
		for _, r := range t.rows {
			var cells []string
			for _, c := range take {
				if c < len(r) {
					cells = append(cells, r[c])
				}
			}
			p.rows = append(p.rows, cells)
		}
		p.widen(take, wide)
		parts = append(parts, p)
	}
	return parts
}

// widen gives the room that is left to the columns, the narrowest first.
func (t *table) widen(cols, wide []int) {
	room := width
	for _, w := range t.widths {
		room -= w
	}
	room -= len(gap) * (len(t.widths) - 1)
	for room > 0 {
		at := -1
		for i, c := range cols {
			if t.widths[i] < wide[c] && (at < 0 || t.widths[i] < t.widths[at]) {
				at = i
			}
		}
		if at < 0 {
			return
		}
		t.widths[at]++
		room--
	}
}

func (t *table) write(w io.Writer) {
	var b strings.Builder
	for _, r := range t.rows {
		lines := make([][]string, len(r))
		height := 1
		for i, c := range r {
			lines[i] = fold(c, t.widths[i])
			height = max(height, len(lines[i]))
		}
		for k := range height {
			var line strings.Builder
			for i := range r {
				part := ""
				if k < len(lines[i]) {
					part = lines[i][k]
				}
				if i > 0 {
					line.WriteString(gap)
				}
				pad := strings.Repeat(" ", max(t.widths[i]-utf8.RuneCountInString(part), 0))
				if t.right[i] {
					line.WriteString(pad + part)
				} else {
					line.WriteString(part + pad)
				}
			}
			b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	for line := range strings.Lines(b.String()) {
		_, _ = io.WriteString(w, line)
	}
}

// fold breaks a cell into lines: at spaces, behind what divides the parts of names, and
// where there is neither, anywhere.
func fold(s string, width int) []string {
	if utf8.RuneCountInString(s) <= width {
		return []string{s}
	}
	var lines []string
	rest := []rune(s)
	indent := len(rest) - len([]rune(strings.TrimLeft(s, " ")))
	for len(rest) > width {
		at := breakAt(rest, max(width/3, indent), width)
		lines = append(lines, strings.TrimRight(string(rest[:at]), " "))
		rest = []rune(strings.Repeat(" ", indent) + strings.TrimLeft(string(rest[at:]), " "))
		if indent >= width { // no room for more than the indentation
			indent = 0
		}
	}
	return append(lines, string(rest))
}

// breakAt is where to break a line of at most most characters that is left with more than
// least.
func breakAt(line []rune, least, most int) int {
	for i := most; i > least; i-- {
		if line[i] == ' ' {
			return i
		}
	}
	for i := most; i > least; i-- {
		if slices.Contains([]rune("./-_"), line[i-1]) {
			return i
		}
	}
	return most
}

// cell quotes what would break a table or steer a terminal.
func cell(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
