package tokenizer

import (
	"sort"
	"testing"
	"unicode"
)

// TestCategories holds the table of general categories against package unicode,
// wherever both know a code point. Some change their category from one version to
// the next: between 15.0 and 16.0 only U+1171E did.
func TestCategories(t *testing.T) {
	sets := categories()
	total, both, differ := 0, 0, 0
	for name, set := range sets {
		if len(name) != 2 {
			continue
		}
		table := unicode.Categories[name]
		for _, s := range set {
			total += int(s.hi-s.lo) + 1
			if name == "Cn" {
				continue
			}
			for r := s.lo; r <= s.hi; r++ {
				switch {
				case unicode.Is(table, r):
					both++
				case assigned(r):
					differ++
					t.Logf("%U is not %s to Unicode %s", r, name, unicode.Version)
				}
			}
		}
	}
	if total != unicode.MaxRune+1 {
		t.Errorf("%d code points", total)
	}
	if both < 280_000 || differ > 16 {
		t.Errorf("%d code points agree, %d differ", both, differ)
	}
	for name, set := range scripts {
		table := unicode.Scripts[map[string]string{"han": "Han", "hiragana": "Hiragana", "katakana": "Katakana", "hangul": "Hangul"}[name]]
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if set.has(r) != unicode.Is(table, r) && assigned(r) && !sets["Cn"].has(r) {
				t.Errorf("%U: %s %t", r, name, set.has(r))
			}
		}
	}
}

func assigned(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co)
}

// TestClasses: the table of the matchers says what the sets say, for every code
// point, and these are what they are called.
func TestClasses(t *testing.T) {
	sets := categories()
	spaces := union(sets["Z"], controlSpaces)
	classes := classes()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		switch r { // surrogates, and planes that have nothing
		case 0xd800:
			r = 0xe000
		case 0x40000:
			r = 0xe0000
		}
		s := string(r)
		c, n := classes.at(s, 0)
		if n != len(s) {
			t.Fatalf("%U: %d bytes", r, n)
		}
		for _, x := range []struct {
			bit  class
			want bool
		}{
			{letter, sets["L"].has(r)},
			{mark, sets["M"].has(r)},
			{number, sets["N"].has(r)},
			{punct, sets["P"].has(r)},
			{symbol, sets["S"].has(r)},
			{upper, sets["Lu"].has(r) || sets["Lt"].has(r)},
			{lower, sets["Ll"].has(r)},
			{uncased, sets["Lm"].has(r) || sets["Lo"].has(r)},
			{space, spaces.has(r)},
			{newline, r == '\r' || r == '\n'},
			{numeric, sets["N"].has(r) || numeric17.has(r)},
		} {
			if got := c&x.bit != 0; got != x.want {
				t.Fatalf("%U: bit %#x is %t", r, x.bit, got)
			}
		}
		if spaces.has(r) != unicode.Is(unicode.White_Space, r) {
			t.Errorf("%U: space %t", r, spaces.has(r))
		}
	}
	if len(classes.pages) > 256 {
		t.Errorf("%d pages do not fit a byte", len(classes.pages))
	}
}

func TestRuneSets(t *testing.T) {
	a := union(runeSet{{'a', 'f'}, {'x', 'z'}}, runeSet{{'g', 'h'}}, runeSet{{'c', 'e'}})
	b := runeSet{{'e', 'y'}}
	for r := rune(0); r < 200; r++ {
		inA, inB := r >= 'a' && r <= 'h' || r >= 'x' && r <= 'z', r >= 'e' && r <= 'y'
		if a.has(r) != inA || a.complement().has(r) == inA || a.intersect(b).has(r) != (inA && inB) {
			t.Errorf("%q", r)
		}
	}
	if len(a) != 2 || len(runeSet{}.complement()) != 1 || len(runeSet{}.complement().complement()) != 0 {
		t.Errorf("%v", a)
	}
	for _, set := range categories() {
		if !sort.SliceIsSorted(set, func(i, j int) bool { return set[i].hi+1 < set[j].lo }) {
			t.Error("a set is not in order")
		}
	}
}
