package tokenizer

import (
	"hash/maphash"
	"strings"
	"time"

	"quern/formats"
)

// maxText bounds a text, so that positions fit 32 bits with room to spare.
const maxText = 1 << 30

// Encode returns the ids of a text. No special tokens are put around it (see
// [Tokenizer.BOS]); added tokens that stand in the text, special ones too, are
// recognised, as Hugging Face does with add_special_tokens=False. The error, which
// matches formats.ErrInvalid, says where the text is not UTF-8, which of its bytes
// the vocabulary lacks, or that it is longer than 1 GiB.
func (t *Tokenizer) Encode(text string) ([]int, error) {
	if len(text) > maxText {
		return nil, formats.Invalidf("a text of %d bytes, more than %d", len(text), maxText)
	}
	if i := validUpTo(text); i < len(text) {
		return nil, formats.Invalidf("byte 0x%02x at offset %d of the text is not valid UTF-8", text[i], i)
	}
	e := t.encoders.Get().(*encoder)
	e.ids = make([]int, 0, len(text)/3+8)
	e.spent, e.allowed = 0, encodeTime+time.Duration(len(text))*encodeByte
	err := t.plain.extract(text, e.id, e.normalized)
	ids := e.ids
	e.release()
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// encoder is what one call of Encode works with. Encoders are reused, with the
// words that they know.
type encoder struct {
	t              *Tokenizer
	ids            []int
	work           scratch
	words          []cached
	seed           maphash.Seed
	spent, allowed time.Duration // by regexp2
}

// scratch is memory for one word.
type scratch struct {
	symbols []link
	heap    heap
	ids     []uint32
}

// The cache of words: a table in which each word has one place, and the last one
// there stays.
const (
	cacheBits = 14
	cacheWord = 40 // bytes; longer words seldom come twice
	keepWork  = 1 << 14
)

// cached is a word and its ids.
type cached struct {
	word string
	ids  []uint32
}

func newEncoder(t *Tokenizer) *encoder {
	return &encoder{t: t, words: make([]cached, 1<<cacheBits), seed: maphash.MakeSeed()}
}

// release gives the encoder back, without what a long word has left.
func (e *encoder) release() {
	e.ids = nil
	if cap(e.work.symbols) > keepWork {
		e.work = scratch{}
	}
	e.t.encoders.Put(e)
}

// id is an added token.
func (e *encoder) id(id uint32) { e.ids = append(e.ids, int(id)) }

// normalized takes a part of the text between added tokens that are not normalized.
func (e *encoder) normalized(s string) error {
	if e.t.nfc {
		s = nfc(s)
	}
	return e.t.composed.extract(s, e.id, e.first)
}

// first takes a part between added tokens of any kind.
func (e *encoder) first(s string) error { return e.piece(0, s) }

// piece takes a piece to a stage of the pre-tokenizer, or to BPE.
func (e *encoder) piece(stage int, s string) error {
	switch {
	case s == "":
		return nil
	case stage < len(e.t.stages):
		return e.t.stages[stage].split(e, stage+1, s)
	}
	return e.word(s)
}

// word appends the ids of a word.
func (e *encoder) word(s string) error {
	if len(s) > cacheWord {
		ids, err := e.t.bpe.encode(s, &e.work, e.work.ids[:0])
		e.append(ids)
		if e.work.ids = ids; cap(ids) > keepWork {
			e.work.ids = nil
		}
		return err
	}
	slot := &e.words[maphash.String(e.seed, s)>>(64-cacheBits)]
	if slot.word != s {
		ids, err := e.t.bpe.encode(s, &e.work, slot.ids[:0])
		if err != nil {
			slot.word = ""
			return err
		}
		slot.word, slot.ids = strings.Clone(s), ids
	}
	e.append(slot.ids)
	return nil
}

func (e *encoder) append(ids []uint32) {
	for _, id := range ids {
		e.ids = append(e.ids, int(id))
	}
}
