package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"quern/internal/invalid"
)

// alphabet is what BPE begins with where it is not byte-level: the characters that
// are tokens. Others become the tokens of their bytes, <0x00> to <0xFF>, where
// byte_fallback has them, or else the token for what is unknown (merge_word in
// models/bpe/model.rs).
type alphabet struct {
	ascii [utf8.RuneSelf]uint32
	runes map[rune]uint32
	bytes [256]uint32 // all none without byte_fallback
	unk   uint32      // or none
	fuse  bool        // neighbours that are unknown become one token

	borders borders
	whole   map[string]uint32 // with ignore_merges: all tokens
}

// byteToken is the text of the token of a byte.
func byteToken(b int) string { return fmt.Sprintf("<0x%02X>", b) }

// newAlphabet makes the alphabet of a model.
func newAlphabet(m *model) *alphabet {
	a := &alphabet{runes: map[rune]uint32{}, unk: none, fuse: m.fuse}
	for i := range a.ascii {
		a.ascii[i] = none
	}
	for s, id := range m.vocab {
		if r, n := utf8.DecodeRuneInString(s); n == len(s) && n > 0 {
			a.runes[r] = id
			if r < utf8.RuneSelf {
				a.ascii[r] = id
			}
		}
	}
	for b := range a.bytes {
		a.bytes[b] = none
		if id, ok := m.vocab[byteToken(b)]; ok && m.fallback {
			a.bytes[b] = id
		}
	}
	if id, ok := m.vocab[m.unk]; ok && m.hasUnk {
		a.unk = id
	}
	a.borders = newBorders(m, a)
	if m.ignoreMerges {
		a.whole = m.vocab
	}
	return a
}

// id is the token of a character, or none.
func (a *alphabet) id(r rune) uint32 {
	if r < utf8.RuneSelf {
		return a.ascii[r]
	}
	if id, ok := a.runes[r]; ok {
		return id
	}
	return none
}

// inBytes appends the tokens of a character's bytes, or says that one of them is
// none.
func (a *alphabet) inBytes(char string, syms []link) ([]link, bool) {
	for i := range len(char) {
		if a.bytes[char[i]] == none {
			return syms, false
		}
	}
	for i := range len(char) {
		syms = append(syms, link{id: a.bytes[char[i]]})
	}
	return syms, true
}

// symbols appends the symbols of a word. An unknown character waits for the next
// known one before it is put down: Hugging Face lets characters that go by bytes
// pass it.
func (a *alphabet) symbols(word string, syms []link) ([]link, error) {
	syms = slices.Grow(syms, len(word))
	waiting := false
	for i, r := range word {
		if id := a.id(r); id != none {
			if waiting {
				syms = append(syms, link{id: a.unk})
				waiting = false
			}
			syms = append(syms, link{id: id})
			continue
		}
		var ok bool
		if syms, ok = a.inBytes(word[i:i+utf8.RuneLen(r)], syms); ok {
			continue
		}
		if a.unk == none {
			return syms, invalid.Errorf("character %q is not in the vocabulary, and there is no unk_token", r)
		}
		if waiting && !a.fuse {
			syms = append(syms, link{id: a.unk})
		}
		waiting = true
	}
	if waiting {
		syms = append(syms, link{id: a.unk})
	}
	return syms, nil
}

// borders knows between which characters no merge reaches. There a long text can be
// cut, and its parts merged one by one, with the same result: merges on one side of
// such a place never see the other. SentencePiece's models split a text nowhere, or
// at spaces only, and a word of a megabyte would be a heap of a megabyte.
type borders struct {
	near   [256][4]uint64 // pairs of characters that some merge joins, by slot
	far    map[[2]rune]struct{}
	strict bool // characters that are no tokens may be joined with others
}

// slot is the place of a character in the table of near ones, or -1.
func slot(r rune) int {
	switch {
	case r < 255:
		return int(r)
	case r == '\u2581':
		return 255
	}
	return -1
}

func newBorders(m *model, a *alphabet) borders {
	x := borders{far: map[[2]rune]struct{}{}}
	special := map[string]bool{m.unk: true}
	for b := range a.bytes {
		special[byteToken(b)] = true
		x.strict = x.strict || a.bytes[b] == none
	}
	for _, p := range m.merges {
		if p[0] == "" || p[1] == "" {
			continue
		}
		l, _ := utf8.DecodeLastRuneInString(p[0])
		r, _ := utf8.DecodeRuneInString(p[1])
		x.join(l, r)
		x.strict = x.strict || special[p[0]] || special[p[1]]
	}
	return x
}

func (x *borders) join(l, r rune) {
	if i, k := slot(l), slot(r); i >= 0 && k >= 0 {
		x.near[i][k/64] |= 1 << (k % 64)
		return
	}
	x.far[[2]rune{l, r}] = struct{}{}
}

// joins reports whether a merge may reach over the border of l and r.
func (x *borders) joins(l, r rune) bool {
	if i, k := slot(l), slot(r); i >= 0 && k >= 0 {
		return x.near[i][k/64]>>(k%64)&1 != 0
	}
	_, ok := x.far[[2]rune{l, r}]
	return ok
}

// part is the length of the first part of s that stands for itself.
func (a *alphabet) part(s string) int {
	last, n := utf8.DecodeRuneInString(s)
	known := a.id(last) != none
	for n < len(s) {
		r, size := rune(s[n]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[n:])
		}
		next := a.id(r) != none
		switch {
		case known && next:
			if !a.borders.joins(last, r) {
				return n
			}
		case !a.borders.strict && known != next: // bytes that are joined with nothing
			return n
		}
		last, known = r, next
		n += size
	}
	return n
}
