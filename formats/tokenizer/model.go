package tokenizer

import (
	"bytes"
	"strings"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// model is the "model" of tokenizer.json as it is read.
type model struct {
	vocab        map[string]uint32
	merges       [][2]string
	ignoreMerges bool
	fallback     bool // byte_fallback
	fuse         bool // fuse_unk
	unk          string
	hasUnk       bool
}

// readModel reads the model. Options that could change ids must be as they are
// without them.
func readModel(s *strictjson.Scanner) (*model, error) {
	m := &model{}
	vocab, merges := false, false
	err := object(s, func(key string) (err error) {
		switch key {
		case "vocab":
			vocab = true
			err = m.readVocab(s)
		case "merges":
			merges = true
			err = m.readMerges(s)
		case "type", "dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "unk_token":
			var v strictjson.Value
			if v, err = s.Value(); err == nil {
				err = m.option(key, &v)
			}
		default:
			err = s.Skip()
		}
		return at(err, "model: %s", key)
	})
	switch {
	case err != nil:
		return nil, err
	case !vocab:
		return nil, invalid.Errorf("model: no vocab")
	case !merges:
		return nil, invalid.Errorf("model: no merges")
	}
	return m, nil
}

// option reads one of the small members of the model.
func (m *model) option(key string, v *strictjson.Value) error {
	null := v.Kind == strictjson.KindNull
	unsupported := invalid.Errorf("%s is not supported", describe(v))
	switch key {
	case "type":
		if v.Text != "BPE" || v.Kind != strictjson.KindString {
			return invalid.Errorf("%s is not supported; BPE is", describe(v))
		}
	case "dropout":
		if p, ok := v.Float64(); !null && (!ok || p != 0) {
			return unsupported
		}
	case "continuing_subword_prefix", "end_of_word_suffix":
		if s, ok := v.Str(); !null && (!ok || s != "") {
			return unsupported
		}
	case "unk_token":
		// Where bytes are tokens, it stands for those that the vocabulary lacks, which
		// are an error here.
		m.unk, m.hasUnk = v.Str()
		if v.Kind != strictjson.KindString && !null {
			return unsupported
		}
	default:
		b, ok := v.Bool()
		if !ok && !null {
			return invalid.Errorf("%s, not true or false", describe(v))
		}
		switch key {
		case "byte_fallback":
			m.fallback = b
		case "fuse_unk":
			m.fuse = b
		case "ignore_merges":
			m.ignoreMerges = b
		}
	}
	return nil
}

func (m *model) readVocab(s *strictjson.Scanner) error {
	m.vocab = map[string]uint32{}
	if err := s.ObjectStart(); err != nil {
		return err
	}
	for {
		k, ok, err := s.Key()
		if !ok {
			return err
		}
		key := string(k)
		id, err := s.Uint64()
		switch {
		case err != nil:
			return at(err, "%q", short(key))
		case id > maxID:
			return invalid.Errorf("%q: id %d is larger than %d", short(key), id, maxID)
		}
		n := len(m.vocab)
		if m.vocab[key] = uint32(id); len(m.vocab) == n {
			return invalid.Errorf("%q is there twice", short(key))
		}
		if n == maxTokens {
			return invalid.Errorf("more than %d tokens", maxTokens)
		}
	}
}

// readMerges reads merges of either form: "a b", or ["a", "b"].
func (m *model) readMerges(s *strictjson.Scanner) error {
	if err := s.ArrayStart(); err != nil {
		return err
	}
	form := strictjson.KindNull
	for n := 0; ; n++ {
		more, err := s.Next()
		if !more {
			return err
		}
		k, err := s.Peek()
		if err != nil {
			return err
		}
		if form == strictjson.KindNull {
			form = k
		}
		if k != form || k != strictjson.KindString && k != strictjson.KindArray {
			return invalid.Errorf("[%d]: %s after %s", n, k, form)
		}
		if len(m.merges) == maxTokens {
			return invalid.Errorf("more than %d", maxTokens)
		}
		var pair [2]string
		if k == strictjson.KindString {
			line, err := s.Str()
			if err != nil {
				return at(err, "[%d]", n)
			}
			if bytes.HasPrefix(line, []byte("#version")) { // the first line of merges.txt
				continue
			}
			var ok bool
			if pair[0], pair[1], ok = strings.Cut(string(line), " "); !ok || strings.Contains(pair[1], " ") {
				return invalid.Errorf("[%d]: %q is not two tokens with a space between them", n, short(string(line)))
			}
		} else if err := readPair(s, &pair); err != nil {
			return at(err, "[%d]", n)
		}
		m.merges = append(m.merges, pair)
	}
}

func readPair(s *strictjson.Scanner, pair *[2]string) error {
	if err := s.ArrayStart(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := s.Next()
		switch {
		case err != nil:
			return err
		case !more && n == 2:
			return nil
		case !more || n == 2:
			return invalid.Errorf("not a pair of tokens")
		}
		b, err := s.Str()
		if err != nil {
			return err
		}
		pair[n] = string(b)
	}
}

// build makes the tables of BPE.
func (m *model) build(b *bpe, byteLevel bool) error {
	owner := make(map[uint32]string, len(m.vocab))
	for s, id := range m.vocab {
		if other, ok := owner[id]; ok {
			return invalid.Errorf("vocab: %q and %q both have id %d", short(min(s, other)), short(max(s, other)), id)
		}
		owner[id] = s
	}
	if err := m.buildMerges(b); err != nil || !byteLevel {
		b.chars = newAlphabet(m)
		return err
	}
	return m.buildBytes(b)
}

// buildBytes makes what byte-level BPE begins with.
func (m *model) buildBytes(b *bpe) error {
	missing := -1
	for c := range b.bytes {
		id, ok := m.vocab[string(byteRunes[c])]
		if !ok {
			id = none
			missing = c
		}
		b.bytes[c] = id
	}
	if m.fallback && missing >= 0 {
		return invalid.Errorf("byte_fallback is not supported (the vocabulary lacks byte 0x%02x)", missing)
	}
	if m.ignoreMerges {
		b.whole = make(map[string]uint32, len(m.vocab))
		for s, id := range m.vocab {
			if raw, ok := appendBytes(nil, s); ok {
				b.whole[string(raw)] = id
			}
		}
	}
	return nil
}

func (m *model) buildMerges(b *bpe) error {
	b.merges = make(map[uint64]merge, len(m.merges))
	var joined []byte
	for rank, p := range m.merges {
		joined = append(append(joined[:0], p[0]...), p[1]...)
		left, ok := m.vocab[p[0]]
		right, ok2 := m.vocab[p[1]]
		id, ok3 := m.vocab[string(joined)]
		for i, ok := range []bool{ok, ok2, ok3} {
			if !ok {
				return invalid.Errorf("merges: %q (of the %s merge) is not in the vocabulary", short([]string{p[0], p[1], string(joined)}[i]), ordinal(rank+1))
			}
		}
		b.merges[pair(left, right)] = merge{uint32(rank), id} // the last of equal ones holds
	}
	return nil
}
