package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nfc composes a text as Hugging Face tokenizers does. Package norm differs from it
// in two ways: it follows the Unicode version of the Go release where theirs is 9.0
// (crate unicode-normalization-alignments 0.1.12), and it puts U+034F into runs of
// more than 30 marks, as the Stream-Safe Text Format wants. Lines with either go
// through compose, the others through package norm.
func nfc(s string) string {
	if norm.NFC.IsNormalString(s) { // also when it is with the marks of Unicode 9 only
		return s
	}
	var out strings.Builder
	out.Grow(len(s) + len(s)/8)
	for line := range strings.Lines(s) { // a line feed composes with nothing
		switch {
		case norm.NFC.IsNormalString(line):
			out.WriteString(line)
		case ordinary(line):
			out.WriteString(norm.NFC.String(line))
		default:
			out.WriteString(compose(line))
		}
	}
	return out.String()
}

// ordinary reports whether package norm does the same as Hugging Face with s. A
// code point has at most two marks in its decomposition, or a starter and three.
func ordinary(s string) bool {
	const few = 8
	run := 0 // of code points that may combine with what stands before them
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			run = 0
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if younger.has(r) {
			return false
		}
		if run++; norm.NFC.PropertiesString(s[i:]).BoundaryBefore() {
			run = 0
		}
		if run > few {
			return false
		}
		i += n
	}
	return true
}

// compose is NFC (UAX 15, D117) with the data of Unicode 9: decompose, order the
// marks, compose.
func compose(s string) string {
	type unit struct {
		r   rune
		ccc uint8
	}
	var units []unit
	for i, r := range s {
		if younger.has(r) {
			units = append(units, unit{r, 0})
			continue
		}
		p := norm.NFC.PropertiesString(s[i:])
		d := p.Decomposition()
		if 0xac00 <= r && r <= 0xd7a3 {
			d = norm.NFD.Bytes([]byte(string(r)))
		}
		if d == nil {
			units = append(units, unit{r, p.CCC()})
		}
		for len(d) > 0 {
			r, n := utf8.DecodeRune(d)
			units = append(units, unit{r, norm.NFC.Properties(d).CCC()})
			d = d[n:]
		}
	}
	for i := 0; i < len(units); i++ {
		j := i
		for j < len(units) && units[j].ccc != 0 {
			j++
		}
		slices.SortStableFunc(units[i:j], func(a, b unit) int { return int(a.ccc) - int(b.ccc) })
		i = j
	}
	out := make([]rune, 0, len(units))
	starter := -1       // its place in out
	blocked := uint8(0) // class of what stands between the starter and here
	for _, u := range units {
		if adjacent := starter == len(out)-1; starter >= 0 && (adjacent || blocked < u.ccc) {
			if c, ok := composite(out[starter], u.r); ok {
				out[starter] = c
				continue
			}
		}
		out = append(out, u.r)
		if blocked = u.ccc; u.ccc == 0 {
			starter = len(out) - 1
		}
	}
	return string(out)
}

// composite returns the primary composite of two code points.
func composite(a, b rune) (rune, bool) {
	if younger.has(a) || younger.has(b) {
		return 0, false
	}
	both := string([]rune{a, b})
	if norm.NFC.PropertiesString(both[utf8.RuneLen(a):]).BoundaryBefore() {
		return 0, false
	}
	both = norm.NFC.String(both)
	r, n := utf8.DecodeRuneInString(both)
	return r, n == len(both)
}

// younger has the code points that take part in normalization in Unicode 10 to 17
// and did not in 9.0: marks with a combining class, and both parts and wholes of
// canonical decompositions. Data: UnicodeData.txt of both versions.
var younger = runeSet{
	{0x7fd, 0x7fd},
	{0x897, 0x89f},
	{0x8ca, 0x8d3},
	{0x9fe, 0x9fe},
	{0xc3c, 0xc3c},
	{0xd3b, 0xd3c},
	{0xeba, 0xeba},
	{0x1715, 0x1715},
	{0x1abf, 0x1add},
	{0x1ae0, 0x1aeb},
	{0x1df6, 0x1dfa},
	{0xa82c, 0xa82c},
	{0x105c9, 0x105c9},
	{0x105d2, 0x105d2},
	{0x105da, 0x105da},
	{0x105e4, 0x105e4},
	{0x10d24, 0x10d27},
	{0x10d69, 0x10d6d},
	{0x10eab, 0x10eac},
	{0x10efa, 0x10efb},
	{0x10efd, 0x10eff},
	{0x10f46, 0x10f50},
	{0x10f82, 0x10f85},
	{0x11070, 0x11070},
	{0x1133b, 0x1133b},
	{0x11383, 0x11383},
	{0x11385, 0x11385},
	{0x1138e, 0x1138e},
	{0x11391, 0x11391},
	{0x113b8, 0x113b8},
	{0x113bb, 0x113bb},
	{0x113c2, 0x113c2},
	{0x113c5, 0x113c5},
	{0x113c7, 0x113c9},
	{0x113ce, 0x113d0},
	{0x1145e, 0x1145e},
	{0x11839, 0x1183a},
	{0x11930, 0x11930},
	{0x11938, 0x11938},
	{0x1193d, 0x1193e},
	{0x11943, 0x11943},
	{0x119e0, 0x119e0},
	{0x11a34, 0x11a34},
	{0x11a47, 0x11a47},
	{0x11a99, 0x11a99},
	{0x11d42, 0x11d42},
	{0x11d44, 0x11d45},
	{0x11d97, 0x11d97},
	{0x11f41, 0x11f42},
	{0x1611e, 0x16129},
	{0x1612f, 0x1612f},
	{0x16d67, 0x16d6a},
	{0x16ff0, 0x16ff1},
	{0x1e08f, 0x1e08f},
	{0x1e130, 0x1e136},
	{0x1e2ae, 0x1e2ae},
	{0x1e2ec, 0x1e2ef},
	{0x1e4ec, 0x1e4ef},
	{0x1e5ee, 0x1e5ef},
	{0x1e6e3, 0x1e6e3},
	{0x1e6e6, 0x1e6e6},
	{0x1e6ee, 0x1e6ef},
	{0x1e6f5, 0x1e6f5},
}
