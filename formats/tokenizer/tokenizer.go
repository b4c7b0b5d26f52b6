package tokenizer

import (
	"sync"
)

// Tokenizer turns text into token ids and back. It is safe for concurrent use.
type Tokenizer struct {
	bpe         bpe
	long        bool // long texts are cut as Kimi's code does
	dated       bool // texts whose NFC is not the same to all versions of Unicode have no ids
	normalizers []normalizer
	rewrites    bool      // they change texts for good
	plain       *addedSet // added tokens that are looked for in the text as it is
	composed    *addedSet // and those that are looked for in the normalized text
	stages      []stage
	decoder     decoder

	arena  []byte   // the bytes of all tokens, by id
	ends   []uint32 // where the bytes of each id end
	absent []uint64 // a bit for each id below Size that is no token
	raw    []uint64 // and for each that is a byte of its own among tokens of text
	lead   map[int]string
	// lead has what tokens stand for at the beginning of a text, where that is not
	// what they are elsewhere.

	before, after []int // the special tokens around a text
	bos, eos      int   // -1: not known

	encoders sync.Pool // of *encoder
}

// Size returns the highest id plus one. The embedding of a model is often larger.
func (t *Tokenizer) Size() int { return len(t.ends) }

// Token returns the bytes that one token stands for, which need not be UTF-8 by
// themselves; ok is false for an id that is no token. The slice is the tokenizer's.
func (t *Tokenizer) Token(id int) (b []byte, ok bool) {
	if id < 0 || id >= len(t.ends) || t.absent[id/64]>>(id%64)&1 != 0 {
		return nil, false
	}
	start := uint32(0)
	if id > 0 {
		start = t.ends[id-1]
	}
	return t.arena[start:t.ends[id]:t.ends[id]], true
}

// BOS returns the token that begins a text, or -1 where none is known, and whether
// the tokenizer puts it before a text by itself: tokenizer_config.json decides with
// add_bos_token, else the post_processor of tokenizer.json. Of tokenizers that put
// several tokens there (GLM-4: [gMASK] and <sop>) adds is false; see Around.
func (t *Tokenizer) BOS() (id int, adds bool) {
	return t.bos, len(t.before) == 1 && t.before[0] == t.bos
}

// EOS is BOS for the token that ends a text.
func (t *Tokenizer) EOS() (id int, adds bool) {
	return t.eos, len(t.after) == 1 && t.after[0] == t.eos
}

// Around returns the special tokens that the tokenizer puts before and behind a
// single text. The slices are the tokenizer's.
func (t *Tokenizer) Around() (before, after []int) { return t.before, t.after }

// Normalizes reports whether texts are composed (NFC) or stripped before they are
// split, so that decoding what was encoded may give another form of the same text.
func (t *Tokenizer) Normalizes() bool { return t.rewrites }
