package tokenizer

import (
	"cmp"
	"slices"
	"unicode"
)

// runeSet is a set of code points as ranges: sorted, with a gap between any two.
type runeSet []span

// span is the code points from lo to hi, both included.
type span struct{ lo, hi rune }

// union returns the code points that are in any of the sets.
func union(sets ...runeSet) runeSet {
	all := slices.Concat(sets...)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

// complement returns the code points that are not in the set.
func (s runeSet) complement() runeSet {
	var out runeSet
	next := rune(0)
	for _, x := range s {
		if next < x.lo {
			out = append(out, span{next, x.lo - 1})
		}
		next = x.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, span{next, unicode.MaxRune})
	}
	return out
}

// intersect returns the code points that are in both sets.
func (s runeSet) intersect(t runeSet) runeSet {
	return union(s.complement(), t.complement()).complement()
}

// has reports whether a code point is in the set.
func (s runeSet) has(r rune) bool {
	i, found := slices.BinarySearchFunc(s, r, func(x span, r rune) int { return cmp.Compare(x.lo, r) })
	return found || i > 0 && r <= s[i-1].hi
}
