package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naive is BPE by its definition: look at all pairs, join the one of the lowest
// rank that stands leftmost, begin anew.
func naive(m *bpe, word string) []uint32 {
	var ids []uint32
	for i := range len(word) {
		ids = append(ids, m.bytes[word[i]])
	}
	return m.join(ids)
}

// join merges symbols by the definition of BPE.
func (m *bpe) join(ids []uint32) []uint32 {
	for {
		best, at := merge{rank: none}, -1
		for i := 0; i+1 < len(ids); i++ {
			if x, ok := m.merges[pair(ids[i], ids[i+1])]; ok && x.rank < best.rank {
				best, at = x, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, best.id)
	}
}

// randomBPE makes a model over the first letters of the alphabet whose merges are
// in any order, so that a pair may come before those that make its parts.
func randomBPE(rnd *rand.Rand, letters, merges int) *bpe {
	m := &bpe{merges: map[uint64]merge{}}
	var tokens []string
	ids := map[string]uint32{}
	add := func(s string) uint32 {
		id, ok := ids[s]
		if !ok {
			id = uint32(len(tokens))
			ids[s] = id
			tokens = append(tokens, s)
		}
		return id
	}
	for b := range m.bytes {
		m.bytes[b] = none
	}
	for i := range letters {
		m.bytes['a'+i] = add(string(rune('a' + i)))
	}
	ranks := rnd.Perm(merges)
	for _, r := range ranks {
		a, b := tokens[rnd.IntN(len(tokens))], tokens[rnd.IntN(len(tokens))]
		if len(a+b) > 12 {
			continue
		}
		m.merges[pair(ids[a], ids[b])] = merge{uint32(r), add(a + b)}
	}
	return m
}

func TestBPE(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var work scratch
	for range 200 {
		m := randomBPE(rnd, 1+rnd.IntN(4), 1+rnd.IntN(60))
		for range 20 {
			word := make([]byte, 1+rnd.IntN(100))
			for i := range word {
				for word[i] = 'a' + byte(rnd.IntN(4)); m.bytes[word[i]] == none; word[i]-- {
				}
			}
			want := naive(m, string(word))
			got, err := m.encode(string(word), &work, nil)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: %v, %v\nwant %v", word, got, err, want)
			}
			// The heap for a short word, the scan for a long one.
			syms, _ := m.symbols(string(word), nil)
			m.mergeLong(syms, &work)
			got = got[:0]
			for at := int32(0); at >= 0; at = syms[at].next {
				got = append(got, syms[at].id)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: the heap gives %v\nwant %v", word, got, want)
			}
			syms, _ = m.symbols(string(word), nil)
			got = got[:0]
			for _, s := range m.mergeShort(syms) {
				got = append(got, s.id)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: the scan gives %v\nwant %v", word, got, want)
			}
		}
	}
}

// TestLongWord: a word of a megabyte of one letter takes n log n steps, whatever the
// merges are; n² would be an hour.
func TestLongWord(t *testing.T) {
	m := &bpe{merges: map[uint64]merge{}}
	m.bytes['a'] = 0
	m.bytes['b'] = 100
	for i := range uint32(16) { // a a → aa, aa aa → aaaa, …
		m.merges[pair(i, i)] = merge{i, i + 1}
	}
	for i := range uint32(17) { // b aaaa → …: from the left, one after the other
		m.merges[pair(100, i)] = merge{50 + i, 100}
	}
	n := 1 << 20
	if testing.Short() {
		n >>= 4
	}
	var work scratch
	got, err := m.encode(strings.Repeat("a", n), &work, nil)
	if err != nil || len(got) != n>>16 || got[0] != 16 {
		t.Errorf("%d tokens, %v", len(got), err)
	}
	got, err = m.encode("b"+strings.Repeat("a", n-1)+"b", &work, nil)
	if err != nil || len(got) != 2 {
		t.Errorf("%d tokens, %v", len(got), err)
	}
	for _, form := range []string{"gpt2", "qwen2"} {
		tok := open(t, form)
		for _, letter := range []string{"a", " ", "\u0301", "1"} {
			text := strings.Repeat(letter, n/4/len(letter))
			ids, err := tok.Encode(text)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := tok.Decode(ids); err != nil || back != text {
				t.Errorf("%s: a long run of %q does not come back (%v)", form, letter, err)
			}
		}
	}
}

// TestMissingByte: a vocabulary need not have all bytes; a text that needs them is
// refused with the byte named.
func TestMissingByte(t *testing.T) {
	vocab := map[string]any{}
	for b, r := range byteRunes {
		if b != '#' {
			vocab[string(r)] = b
		}
	}
	tok := mustParse(t, edited(t, "gpt2", map[string]any{"model.vocab": vocab, "model.merges": []any{}, "added_tokens": []any{}}))
	if _, err := tok.Encode("abc"); err != nil {
		t.Error(err)
	}
	for range 2 { // the second time the word must not come from the cache
		if ids, err := tok.Encode("a #"); err == nil || !strings.Contains(err.Error(), "byte 0x23 is not in the vocabulary") {
			t.Errorf("%v, %v", ids, err)
		}
	}
}

// TestIgnoreMerges: a word that is a token is taken whole, also where no merges lead
// to it; but a token that is not written in the byte alphabet is no word.
func TestIgnoreMerges(t *testing.T) {
	vocab := map[string]any{"ab": 300, "中": 301}
	for b, r := range byteRunes {
		vocab[string(r)] = b
	}
	changes := map[string]any{"model.vocab": vocab, "model.merges": []any{}, "added_tokens": []any{}}
	for ignore, want := range map[bool][]int{true: {300, ' ', 0xe4, 0xb8, 0xad}, false: {'a', 'b', ' ', 0xe4, 0xb8, 0xad}} {
		changes["model.ignore_merges"] = ignore
		tok := mustParse(t, edited(t, "gpt2", changes))
		if ids, err := tok.Encode("ab 中"); err != nil || !slices.Equal(ids, want) {
			t.Errorf("%t: %v, %v, want %v", ignore, ids, err, want)
		}
		if ids, err := tok.Encode("中"); err != nil || !slices.Equal(ids, want[len(want)-3:]) {
			t.Errorf("%t: %v, %v", ignore, ids, err)
		}
	}
}

// FuzzBPE is TestBPE with merges and words that the fuzzer chooses.
func FuzzBPE(f *testing.F) {
	f.Add(uint64(1), 3, "abcabcaabbcc")
	f.Fuzz(func(t *testing.T, seed uint64, letters int, text string) {
		letters = 1 + int(uint(letters)%6)
		m := randomBPE(rand.New(rand.NewPCG(seed, 7)), letters, 80)
		word := []byte(text)
		if len(word) == 0 || len(word) > 300 {
			return
		}
		for i := range word {
			word[i] = 'a' + word[i]%byte(letters)
		}
		var work scratch
		got, err := m.encode(string(word), &work, nil)
		if want := naive(m, string(word)); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s: %s, %v; want %s", word, fmt.Sprint(got), err, fmt.Sprint(want))
		}
	})
}
