package tokenizer

import (
	"fmt"
	"slices"
	"strconv"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// Bounds of a vocabulary. The largest published ones have some 260,000 tokens. Ids
// are bounded too, because tables are made by them.
const (
	maxTokens = 4 << 20
	maxID     = maxTokens - 1
)

// parsed is a tokenizer and what is needed only until it is complete.
type parsed struct {
	*Tokenizer
	ids       map[string]uint32 // of all tokens, by their text in the file
	byteLevel bool              // the text of tokens is in the byte alphabet
	shifts    bool              // normalizers change which character stands where
	leads     bool              // tokens differ at the beginning of a text
}

func newParsed(ids map[string]uint32) *parsed {
	t := &parsed{Tokenizer: &Tokenizer{bos: -1, eos: -1}, ids: ids}
	t.encoders.New = func() any { return newEncoder(t.Tokenizer) }
	return t
}

// id is the id of a token by its text, or -1.
func (t *parsed) id(content string) int {
	if id, ok := t.ids[content]; ok {
		return int(id)
	}
	return -1
}

// parse reads tokenizer.json. Keys that are not known are passed over, as Hugging
// Face does.
func parse(data []byte) (*parsed, error) {
	if len(data) > maxFile {
		return nil, invalid.Errorf("%d bytes, more than %d", len(data), maxFile)
	}
	var m *model
	parts := map[string]strictjson.Value{}
	s := strictjson.NewScanner(data, strictjson.Options{})
	err := object(s, func(key string) (err error) {
		switch key {
		case "model":
			m, err = readModel(s)
		case "version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder":
			parts[key], err = s.Value()
		default:
			err = s.Skip()
		}
		return err
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, invalid.Errorf("no model")
	}
	if v, ok := parts["version"]; ok && v.Text != "1.0" {
		return nil, invalid.Errorf("version %q is not supported; 1.0 is", short(v.Text))
	}

	t := newParsed(m.vocab)
	for _, step := range []struct {
		key string
		do  func(*strictjson.Value) error
	}{
		{"normalizer", t.readNormalizer},
		{"pre_tokenizer", t.readPreTokenizer},
		{"decoder", t.readDecoder},
		{"post_processor", t.readPostProcessor},
	} {
		v := parts[step.key]
		if err := step.do(&v); err != nil {
			return nil, invalid.Errorf("%s: %w", step.key, err)
		}
	}
	if err := m.build(&t.bpe, t.byteLevel); err != nil {
		return nil, invalid.Errorf("model: %w", err)
	}
	added, err := t.readAdded(parts["added_tokens"])
	if err == nil {
		err = t.setAdded(added)
	}
	if err != nil {
		return nil, invalid.Errorf("added_tokens: %w", err)
	}
	t.fill(added)
	for _, id := range slices.Concat(t.before, t.after) {
		if _, ok := t.Token(id); !ok {
			return nil, invalid.Errorf("post_processor: id %d is no token", id)
		}
	}
	return t, nil
}

// object reads an object and calls member for each of its keys, which then reads
// the value. A key that is there twice is an error.
func object(s *strictjson.Scanner, member func(key string) error) error {
	if err := s.ObjectStart(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for {
		k, ok, err := s.Key()
		if !ok {
			return err
		}
		key := string(k)
		if seen[key] {
			return invalid.Errorf("byte %d: duplicate key %q", s.Offset(), short(key))
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
}

// fill makes the table from ids to bytes. Where an added token has the id of a token
// of the vocabulary, it hides that one.
func (t *parsed) fill(added []addedToken) {
	size := uint32(0)
	for _, id := range t.ids {
		size = max(size, id+1)
	}
	text := make([]string, size)
	t.absent = make([]uint64, (size+63)/64)
	for i := range t.absent {
		t.absent[i] = ^uint64(0)
	}
	set := func(id uint32, s string) {
		text[id] = s
		t.absent[id/64] &^= 1 << (id % 64)
	}
	for s, id := range t.ids {
		set(id, s)
	}
	for _, a := range added {
		set(a.id, t.lookedFor(a))
	}
	t.ends = make([]uint32, size)
	t.raw = make([]uint64, len(t.absent))
	for id, s := range text {
		if t.byteLevel {
			t.arena, _ = appendBytes(t.arena, s)
		} else {
			t.fillText(id, s)
		}
		t.ends[id] = uint32(len(t.arena))
	}
}

// fillText appends what a token of text stands for.
func (t *parsed) fillText(id int, s string) {
	b, raw := t.decoder.token(s, false)
	t.arena = append(t.arena, b...)
	if raw {
		t.raw[id/64] |= 1 << (id % 64)
	}
	if !t.leads {
		return
	}
	if lead, _ := t.decoder.token(s, true); lead != b {
		if t.lead == nil {
			t.lead = map[int]string{}
		}
		t.lead[id] = lead
	}
}

// flag reads a boolean of a component.
func flag(v *strictjson.Value, key string) (bool, error) {
	x := v.Get(key)
	if x == nil {
		return false, invalid.Errorf("no %s", key)
	}
	b, ok := x.Bool()
	if !ok {
		return false, invalid.Errorf("%s is %s, not true or false", key, describe(x))
	}
	return b, nil
}

// kindOf reads the type of a component.
func kindOf(v *strictjson.Value) (string, error) {
	if v.Kind != strictjson.KindObject {
		return "", invalid.Errorf("%s, not an object", describe(v))
	}
	name, ok := v.Get("type").Str()
	if !ok {
		return "", invalid.Errorf("no type")
	}
	return name, nil
}

// describe names a value in a message.
func describe(v *strictjson.Value) string {
	switch {
	case v == nil:
		return "absent"
	case v.Kind == strictjson.KindString:
		return strconv.Quote(short(v.Text))
	case v.Kind == strictjson.KindNumber || v.Kind == strictjson.KindBool:
		return short(v.Text)
	}
	return v.Kind.String()
}

// at puts the place of a component before an error.
func at(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return invalid.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
