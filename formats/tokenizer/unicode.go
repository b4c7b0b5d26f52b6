package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// class is what the hand-written matchers ask about a code point: a set of the
// bits below.
type class uint16

const (
	upper   class = 1 << iota // \p{Lu}, \p{Lt}
	lower                     // \p{Ll}
	uncased                   // \p{Lm}, \p{Lo}
	mark                      // \p{M}
	number                    // \p{N}
	punct                     // \p{P}
	symbol                    // \p{S}
	space                     // \s
	newline                   // \r, \n; they are space too
	numeric                   // what Rust's char::is_numeric says
	han                       // \p{Han}

	letter = upper | lower | uncased // \p{L}
)

// controlSpaces and \p{Z} are \s in Oniguruma and in Rust: Unicode's White_Space.
var controlSpaces = runeSet{{'\t', '\r'}, {0x85, 0x85}}

// numeric17 is what Unicode 17 added to \p{N}. Digits goes by Rust's standard
// library, whose tables are one version ahead of Oniguruma's in tokenizers 0.23.
var numeric17 = runeSet{{0x11de0, 0x11de9}, {0x16ff4, 0x16ff6}}

// categories maps a general category to its code points. The names of one letter
// are there too.
var categories = sync.OnceValue(func() map[string]runeSet {
	sets := make(map[string]runeSet, 37)
	at := rune(0)
	for s := categoryRuns; s != ""; {
		name := s[:2]
		s = s[2:]
		n := rune(0)
		for s != "" && '0' <= s[0] && s[0] <= '9' {
			n = n*10 + rune(s[0]-'0')
			s = s[1:]
		}
		n = max(n, 1)
		sets[name] = append(sets[name], span{at, at + n - 1})
		at += n
	}
	for _, c := range "LMNPSZC" {
		var parts []runeSet
		for name, set := range sets {
			if len(name) == 2 && strings.HasPrefix(name, string(c)) {
				parts = append(parts, set)
			}
		}
		sets[string(c)] = union(parts...)
	}
	return sets
})

// classTable has the class of every code point: pages of 256, equal pages shared.
type classTable struct {
	ascii [utf8.RuneSelf]class
	page  [(utf8.MaxRune + 1) >> 8]uint8
	pages [][256]class
}

var classes = sync.OnceValue(func() *classTable {
	flat := make([]class, utf8.MaxRune+1)
	add := func(c class, set runeSet) {
		for _, s := range set {
			for r := s.lo; r <= s.hi; r++ {
				flat[r] |= c
			}
		}
	}
	sets := categories()
	add(upper, union(sets["Lu"], sets["Lt"]))
	add(lower, sets["Ll"])
	add(uncased, union(sets["Lm"], sets["Lo"]))
	add(mark, sets["M"])
	add(number|numeric, sets["N"])
	add(numeric, numeric17)
	add(punct, sets["P"])
	add(symbol, sets["S"])
	add(space, union(sets["Z"], controlSpaces))
	add(han, scripts["han"])
	add(newline, runeSet{{'\n', '\n'}, {'\r', '\r'}})

	t := &classTable{}
	known := make(map[[256]class]uint8)
	for i := range t.page {
		p := [256]class(flat[i<<8:])
		n, ok := known[p]
		if !ok {
			n = uint8(len(t.pages))
			known[p] = n
			t.pages = append(t.pages, p)
		}
		t.page[i] = n
	}
	copy(t.ascii[:], flat)
	return t
})

// at returns the class and the length of the code point of s at byte i < len(s).
func (t *classTable) at(s string, i int) (class, int) {
	if c := s[i]; c < utf8.RuneSelf {
		return t.ascii[c], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return t.pages[t.page[r>>8]][r&0xff], n
}

// run returns the end of the longest run from byte i on of code points that have
// one of the bits.
func (t *classTable) run(s string, i int, want class) int {
	for i < len(s) {
		c, n := t.at(s, i)
		if c&want == 0 {
			break
		}
		i += n
	}
	return i
}

// runNot is run for code points that have none of the bits.
func (t *classTable) runNot(s string, i int, not class) int {
	for i < len(s) {
		c, n := t.at(s, i)
		if c&not != 0 {
			break
		}
		i += n
	}
	return i
}

// wordRunes is what Rust's regex matches as \w: Alphabetic, Mark,
// Decimal_Number, Connector_Punctuation, Join_Control (UTS 18, annex C). What is
// alphabetic beyond letters, letter numbers and marks are circled letters.
var wordRunes = sync.OnceValue(func() runeSet {
	sets := categories()
	return union(sets["L"], sets["Nl"], sets["M"], sets["Nd"], sets["Pc"], circled, runeSet{{0x200c, 0x200d}})
})

// circled is Other_Alphabetic outside of Mark (PropList.txt).
var circled = runeSet{{0x24b6, 0x24e9}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}}
