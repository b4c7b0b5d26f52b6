package tokenizer

import (
	"hash/maphash"
	"strings"
	"time"
	"unicode/utf8"

	"quern/internal/invalid"
)

// maxText bounds a text, so that positions fit 32 bits with room to spare.
const maxText = 1 << 30

// Encode returns the ids of a text. No special tokens are put around it (see
// [Tokenizer.BOS]); added tokens that stand in the text, special ones too, are
// recognised, as Hugging Face does with add_special_tokens=False. The error, which
// matches invalid.Input, says where the text is not UTF-8, which of its bytes
// the vocabulary lacks, or that it is longer than 1 GiB.
func (t *Tokenizer) Encode(text string) ([]int, error) {
	if len(text) > maxText {
		return nil, invalid.Errorf("a text of %d bytes, more than %d", len(text), maxText)
	}
	if i := validUpTo(text); i < len(text) {
		return nil, invalid.Errorf("byte 0x%02x at offset %d of the text is not valid UTF-8", text[i], i)
	}
	e := t.encoders.Get().(*encoder)
	e.ids = make([]int, 0, len(text)/3+8)
	e.spent, e.allowed = 0, encodeTime+time.Duration(len(text))*encodeByte
	e.fresh = true
	err := e.text(text)
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
	fresh          bool // nothing of the text has gone by
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

// text takes a whole text.
func (e *encoder) text(s string) error {
	if e.t.dated {
		for i, r := range s {
			if r >= utf8.RuneSelf && younger.has(r) {
				return invalid.Errorf("character %U at offset %d of the text: its NFC depends on the version of Python that the model's own tokenizer runs in", r, i)
			}
		}
	}
	if !e.t.long {
		return e.t.plain.extract(s, e.id, e.normalized)
	}
	return cutLong(s, longText, longRun, func(s string) error { return e.t.plain.extract(s, e.id, e.normalized) })
}

// id is an added token.
func (e *encoder) id(id uint32) {
	e.ids = append(e.ids, int(id))
	e.fresh = false
}

// normalized takes a part of the text between added tokens that are not normalized.
func (e *encoder) normalized(s string) error {
	return e.t.composed.extract(e.t.normalize(s), e.id, e.first)
}

// first takes a part between added tokens of any kind.
func (e *encoder) first(s string) error {
	err := e.piece(0, s)
	e.fresh = false
	return err
}

// piece takes a piece to a stage of the pre-tokenizer, or to BPE.
func (e *encoder) piece(stage int, s string) error {
	switch {
	case s == "":
		return nil
	case stage < len(e.t.stages):
		return e.t.stages[stage].split(e, stage+1, s)
	}
	if e.t.bpe.chars != nil {
		return e.parts(s)
	}
	return e.word(s)
}

// parts takes a piece of a model that is not byte-level apart where no merge
// reaches.
func (e *encoder) parts(s string) error {
	a := e.t.bpe.chars
	if id, ok := a.whole[s]; ok {
		e.ids = append(e.ids, int(id))
		return nil
	}
	for s != "" {
		n := a.part(s)
		if err := e.word(s[:n]); err != nil {
			return err
		}
		s = s[n:]
	}
	return nil
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
