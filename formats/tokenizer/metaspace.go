package tokenizer

import (
	"strings"
	"unicode/utf8"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// metaspace is the pre-tokenizer of SentencePiece's models: spaces become a visible
// character, one is put before a text, and words begin with it
// (pre_tokenizers/metaspace.rs).
type metaspace struct {
	space  string // U+2581 in all published files
	scheme prependScheme
	words  bool // each space begins a piece
}

// prependScheme says before which pieces a space is put.
type prependScheme string

const (
	prependAlways prependScheme = "always"
	prependFirst  prependScheme = "first" // what stands at the very beginning of the text
	prependNever  prependScheme = "never"
)

// readMetaspace reads Metaspace, the pre-tokenizer or the decoder.
func readMetaspace(v *strictjson.Value) (metaspace, error) {
	m := metaspace{scheme: prependAlways, words: true}
	var ok bool
	if m.space, ok = v.Get("replacement").Str(); !ok || utf8.RuneCountInString(m.space) != 1 {
		return m, invalid.Errorf("replacement is %s, not a character", describe(v.Get("replacement")))
	}
	if s := v.Get("prepend_scheme"); s != nil {
		m.scheme = prependScheme(s.Text)
		if s.Kind != strictjson.KindString || m.scheme != prependAlways && m.scheme != prependFirst && m.scheme != prependNever {
			return m, invalid.Errorf("prepend_scheme %s is not supported; always, first and never are", describe(s))
		}
	}
	for _, f := range []struct {
		key string
		to  *bool
	}{{"split", &m.words}, {"add_prefix_space", new(bool)}} {
		x := v.Get(f.key)
		if x == nil || x.Kind == strictjson.KindNull {
			continue
		}
		if *f.to, ok = x.Bool(); !ok {
			return m, invalid.Errorf("%s is %s, not true or false", f.key, describe(x))
		}
		if f.key == "add_prefix_space" && !*f.to && m.scheme != prependNever {
			// The form before prepend_scheme; Hugging Face refuses the two together.
			return m, invalid.Errorf("add_prefix_space is false, but prepend_scheme is %s", m.scheme)
		}
	}
	return m, nil
}

// readMetaspaceStage reads the pre-tokenizer; place is its place among them.
func (t *parsed) readMetaspaceStage(v *strictjson.Value, place int) ([]stage, error) {
	m, err := readMetaspace(v)
	switch {
	case err != nil:
		return nil, err
	case m.scheme == prependFirst && (place > 0 || t.shifts):
		// Which piece is the first goes by positions in the text as it was.
		return nil, invalid.Errorf("prepend_scheme first behind other pre-tokenizers or normalizers is not supported")
	}
	return []stage{m}, nil
}

func (m metaspace) split(e *encoder, next int, s string) error {
	s = strings.ReplaceAll(s, " ", m.space)
	if (m.scheme == prependAlways || m.scheme == prependFirst && e.fresh) && !strings.HasPrefix(s, m.space) {
		s = m.space + s
	}
	if !m.words {
		return e.piece(next, s)
	}
	for s != "" {
		end := strings.Index(s[1:], m.space) + 1 // its first byte begins a character
		if end == 0 {
			end = len(s)
		}
		if err := e.piece(next, s[:end]); err != nil {
			return err
		}
		s = s[end:]
	}
	return nil
}

// decoded is what the decoder makes of a token: spaces again, but not at the
// beginning of a text to which one was added (there all of them go).
func (m metaspace) decoded(token string, first bool) string {
	space := " "
	if first && m.scheme != prependNever {
		space = ""
	}
	return strings.ReplaceAll(token, m.space, space)
}
