package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// slowExtract is extract as Hugging Face writes it: all matches first, leftmost and
// longest, then what single_word, lstrip and rstrip make of them.
func slowExtract(tokens []addedToken, s string) []string {
	var out []string
	done := 0
	put := func(what string, from, to int) {
		if from < to {
			out = append(out, what+s[from:to])
		}
	}
	isWord := func(r rune) bool {
		return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc) || r == 0x200d
	}
	for i := 0; i < len(s); {
		best := -1
		for k, a := range tokens {
			if strings.HasPrefix(s[i:], a.content) && (best < 0 || len(a.content) > len(tokens[best].content)) {
				best = k
			}
		}
		if best < 0 {
			i++
			continue
		}
		a := tokens[best]
		start, stop := i, i+len(a.content)
		i = stop
		before, after := []rune(s[:start]), []rune(s[stop:])
		if a.singleWord && (len(before) > 0 && isWord(before[len(before)-1]) || len(after) > 0 && isWord(after[0])) {
			continue
		}
		if a.lstrip {
			start = max(len(strings.TrimRightFunc(s[:start], unicode.IsSpace)), done)
		}
		if a.rstrip {
			stop = len(s) - len(strings.TrimLeftFunc(s[stop:], unicode.IsSpace))
		}
		if start >= stop {
			continue
		}
		put("", done, start)
		out = append(out, fmt.Sprint("#", a.id))
		done = stop
	}
	put("", done, len(s))
	return out
}

func TestExtract(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 9))
	parts := []string{"a", "b", "ab", "<", "<a", "<ab>", " ", "  ", "\n", "\u2003", "é", "_", "1", "\u200d", "."}
	for round := range 3000 {
		var tokens []addedToken
		have := map[string]bool{}
		for i := range 1 + rnd.IntN(6) {
			c := ""
			for range 1 + rnd.IntN(3) {
				c += parts[rnd.IntN(len(parts))]
			}
			if have[c] {
				continue
			}
			have[c] = true
			tokens = append(tokens, addedToken{content: c, id: uint32(i), singleWord: rnd.IntN(4) == 0, lstrip: rnd.IntN(3) == 0, rstrip: rnd.IntN(3) == 0})
		}
		x, err := newAddedSet(slices.Clone(tokens))
		if err != nil {
			t.Fatal(err)
		}
		s := ""
		for range rnd.IntN(30) {
			s += parts[rnd.IntN(len(parts))]
		}
		var got []string
		if err := x.extract(s, func(id uint32) { got = append(got, fmt.Sprint("#", id)) }, func(s string) error {
			got = append(got, s)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if want := slowExtract(tokens, s); !slices.Equal(got, want) {
			t.Fatalf("%d: %+v in %+q: %q\nwant %q", round, tokens, s, got, want)
		}
	}
}

// TestSingleWord: what Rust's regex takes for a word character beside a token.
func TestSingleWord(t *testing.T) {
	tok := mustParse(t, edited(t, "gpt2", members{"added_tokens": []any{added(700, "QQ", "single_word", true)}}))
	for beside, word := range map[rune]bool{
		'a': true, 'é': true, '中': true, '1': true, '٣': true, 'Ⅷ': true, '_': true, '‿': true, 0x301: true, 0x20dd: true, 'Ⓐ': true, 0x1f150: true,
		0x200c: true, 0x200d: true, 0x10d4a: true,
		' ': false, '-': false, '½': false, '²': false, 0x200b: false, 0xfeff: false, '😀': false, '+': false, 0x378: false,
	} {
		for _, text := range []string{string(beside) + "QQ", "QQ" + string(beside), "QQ.QQ" + string(beside)} {
			ids, err := tok.Encode(text)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, id := range ids {
				if id == 700 {
					n++
				}
			}
			if want := strings.Count(text, "QQ"); n != want && !word || n != want-1 && word {
				t.Errorf("%+q: %d tokens", text, n)
			}
		}
	}
}

// TestAddedIDs: a token that is there twice counts once, as it is said last; one
// without content does not count; tokens that are normalized are decoded so.
func TestAddedIDs(t *testing.T) {
	tok := mustParse(t, edited(t, "qwen2", members{"added_tokens": []any{
		added(700, "<x>"), added(701, "<y>"), added(700, "<x>", "lstrip", true), added(703, ""), added(702, "e\u0301\u0323", "normalized", true),
	}}))
	ids, err := tok.Encode("a <x> <y> ẹ\u0301")
	if err != nil || !slices.Equal(ids, []int{66, 700, 222, 701, 222, 702}) || tok.Size() != 703 {
		t.Errorf("%v, %v, size %d", ids, err, tok.Size())
	}
	if s, err := tok.Decode([]int{702}); err != nil || s != "ẹ\u0301" {
		t.Errorf("%+q, %v", s, err)
	}
}

// TestExtractLong: tokens that overlap, strip and begin alike take time in
// proportion to the text.
func TestExtractLong(t *testing.T) {
	var tokens []addedToken
	for n := range 600 {
		tokens = append(tokens, addedToken{content: strings.Repeat(" ", n+1), id: uint32(n), lstrip: n%2 == 0, rstrip: n%3 == 0})
	}
	x, err := newAddedSet(tokens)
	if err != nil {
		t.Fatal(err)
	}
	one, err := newAddedSet([]addedToken{{content: " ", rstrip: true}, {content: "\t", id: 1, lstrip: true}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	text := strings.Repeat(" ", 1<<20) + strings.Repeat("\t", 1<<20)
	if err := one.extract(text, func(uint32) { n++ }, func(s string) error { t.Errorf("%.10q", s); return nil }); err != nil || n != 1<<20 {
		t.Errorf("%d tokens, %v", n, err)
	}
	for _, text := range []string{strings.Repeat(" ", 1<<20), strings.Repeat(strings.Repeat(" ", 599)+"x", 1<<11), strings.Repeat("x ", 1<<19)} {
		n := 0
		if err := x.extract(text, func(uint32) { n++ }, func(string) error { n++; return nil }); err != nil || n == 0 {
			t.Errorf("%d, %v", n, err)
		}
	}
}
