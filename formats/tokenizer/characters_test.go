package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestOtherGoldens: ids and texts of testdata/_generate.py, of tiktoken 0.14.0 (kimi)
// and Hugging Face tokenizers 0.23.3.
func TestOtherGoldens(t *testing.T) {
	for _, form := range otherForms {
		t.Run(form, func(t *testing.T) {
			tok := open(t, form)
			for _, g := range goldens(t, form) {
				g.check(t, tok)
			}
		})
	}
}

// TestCharacters: other forms of BPE over characters: Metaspace of each scheme,
// without byte fallback or with some bytes lacking, ignore_merges, added tokens that
// are normalized or take spaces, decoders.
func TestCharacters(t *testing.T) {
	var tok *Tokenizer
	eachLine(t, "characters.jsonl", func(raw []byte) {
		var head struct {
			Form, Base string
			Set, Model map[string]any
		}
		if unmarshal(t, raw, &head); head.Form == "" {
			var g golden
			unmarshal(t, raw, &g)
			g.check(t, tok)
			return
		}
		changes := map[string]any{}
		for k, v := range head.Set {
			if changes[k] = v; v == nil {
				changes[k] = (*int)(nil) // null, not removed
			}
		}
		for k, v := range head.Model {
			if k != "lacking" {
				changes["model."+k] = v
			}
		}
		doc := edited(t, head.Base, changes)
		if list, ok := head.Model["lacking"].([]any); ok {
			for _, s := range list { // the id stays taken
				doc = []byte(strings.Replace(string(doc), jsonString(s.(string))+":", jsonString("lost"+s.(string))+":", 1))
			}
		}
		tok = mustParse(t, doc)
	})
}

// jsonString quotes a text as encoding/json does.
func jsonString(s string) string {
	return `"` + strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(s) + `"`
}

// whole is the ids of a piece whose merges are looked for all at once.
func whole(t *testing.T, m *bpe, piece string) []uint32 {
	t.Helper()
	syms, err := m.chars.symbols(piece, nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]uint32, len(syms))
	for i, s := range syms {
		ids[i] = s.id
	}
	return m.join(ids)
}

// inParts is the ids of a piece that is cut where no merge reaches.
func inParts(t *testing.T, m *bpe, piece string) (ids []uint32, parts int) {
	t.Helper()
	var work scratch
	for ; piece != ""; parts++ {
		n := m.chars.part(piece)
		var err error
		if ids, err = m.encode(piece[:n], &work, ids); err != nil {
			t.Fatal(err)
		}
		piece = piece[n:]
	}
	return ids, parts
}

// TestParts: a piece in parts has the ids of the piece as a whole, also where the
// vocabulary is a strange one: merges of bytes, of what is unknown, bytes that lack,
// tokens made in several ways.
func TestParts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	cut, least := 0, 0
	for round := range 1500 {
		m := randomCharacters(rnd)
		var b bpe
		if err := m.build(&b, false); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var text strings.Builder
			for range 1 + rnd.IntN(30) {
				text.WriteString(strangeLetters[rnd.IntN(len(strangeLetters))])
			}
			got, parts := inParts(t, &b, text.String())
			if want := whole(t, &b, text.String()); !slices.Equal(got, want) {
				t.Fatalf("round %d: %+q of %q: %v, want %v", round, text.String(), m.merges, got, want)
			}
			cut += parts
			least++
		}
	}
	if cut < 2*least {
		t.Errorf("%d parts of %d pieces: too few to prove anything", cut, least)
	}
	for _, form := range otherForms[1:] {
		tok := open(t, form)
		for _, g := range goldens(t, form) {
			if piece := tok.normalize(g.Text); piece != "" {
				got, _ := inParts(t, &tok.bpe, piece)
				if want := whole(t, &tok.bpe, piece); !slices.Equal(got, want) {
					t.Errorf("%s: %+q: %v, want %v", form, piece, got, want)
				}
			}
		}
	}
}

var strangeLetters = []string{"a", "a", "b", "c", "▁", "▁", "é", "<", "0", "x", "4", "1", ">", "<0x41>", "A", "É", "中", "\n"}

// randomCharacters makes a model whose merges are of any tokens at all.
func randomCharacters(rnd *rand.Rand) *model {
	m := &model{vocab: map[string]uint32{}, fallback: rnd.IntN(3) > 0, fuse: rnd.IntN(2) > 0, unk: "<unk>", hasUnk: true}
	var tokens []string
	add := func(s string) {
		if _, ok := m.vocab[s]; !ok {
			m.vocab[s] = uint32(len(m.vocab))
			tokens = append(tokens, s)
		}
	}
	add("<unk>")
	for b := range 256 {
		if rnd.IntN(40) > 0 || round(rnd) {
			add(byteToken(b))
		}
	}
	bytes := len(tokens)
	for _, s := range strangeLetters[:13] {
		if rnd.IntN(5) > 0 {
			add(s)
		}
	}
	for range rnd.IntN(25) {
		pick := func() string {
			if rnd.IntN(12) == 0 || len(tokens) == bytes {
				return tokens[[]int{0, min(0x42, bytes-1), rnd.IntN(bytes)}[rnd.IntN(3)]]
			}
			return tokens[bytes+rnd.IntN(len(tokens)-bytes)]
		}
		l, r := pick(), pick()
		if len(l+r) > 24 {
			continue
		}
		add(l + r)
		m.merges = append(m.merges, [2]string{l, r})
	}
	return m
}

// round decides whether bytes may lack in this model at all.
func round(rnd *rand.Rand) bool { return rnd.IntN(2) > 0 }

// TestBytesInRow: bytes that are not UTF-8 as a whole are one U+FFFD each, and a
// stream keeps them until it knows.
func TestBytesInRow(t *testing.T) {
	tok := open(t, "llama2")
	id := func(b int) int { return 3 + b } // behind <unk>, <s> and </s>
	s := tok.Stream()
	for _, b := range []int{0xe4, 0xb8, 0xad, 0xe4} {
		if got := s.Add(id(b)); got != "" {
			t.Errorf("%q before it is known", got)
		}
	}
	if got := s.Flush(); got != "\ufffd\ufffd\ufffd\ufffd" {
		t.Errorf("%q", got)
	}
	for _, b := range []int{0xe4, 0xb8, 0xad} {
		s.Add(id(b))
	}
	if got := s.Add(2); got != "中</s>" {
		t.Errorf("%q", got)
	}
}

// TestCharactersRefused: what is not computed as Hugging Face does is named.
func TestCharactersRefused(t *testing.T) {
	meta := func(scheme any) any {
		return map[string]any{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme}
	}
	sequence := func(key string, list ...any) any { return map[string]any{"type": "Sequence", key: list} }
	kind := func(name string, more ...any) map[string]any {
		out := map[string]any{"type": name}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	back := kind("Replace", "pattern", map[string]any{"String": "▁"}, "content", " ")
	for _, c := range []struct {
		path  string
		value any
		want  string
	}{
		{"pre_tokenizer", meta("last"), `pre_tokenizer: Metaspace: prepend_scheme "last" is not supported; always, first and never are`},
		{"pre_tokenizer", meta("first"), `Metaspace: prepend_scheme first behind other pre-tokenizers or normalizers is not supported`},
		{"pre_tokenizer", kind("Metaspace", "replacement", "▁▁"), `replacement is "▁▁", not a character`},
		{"pre_tokenizer", kind("Metaspace", "replacement", "▁", "add_prefix_space", false), "add_prefix_space is false, but prepend_scheme is always"},
		{"pre_tokenizer", kind("Metaspace", "replacement", "▁", "split", 1), "split is 1, not true or false"},
		{"pre_tokenizer", kind("BertPreTokenizer"), `"BertPreTokenizer" is not supported`},
		{"normalizer", kind("Prepend"), "normalizer: Prepend: prepend is absent, not a string"},
		{"normalizer", kind("Strip", "strip_left", true), "normalizer: Strip: no strip_right"},
		{"normalizer", kind("Replace", "pattern", map[string]any{"Regex": " +"}, "content", "▁"), "normalizer: Replace: pattern: only a String is supported"},
		{"normalizer", kind("Replace", "pattern", map[string]any{"String": " "}), "normalizer: Replace: content is absent, not a string"},
		{"normalizer", kind("Lowercase"), `normalizer: "Lowercase" is not supported; null, NFC, Prepend, Replace, Strip are`},
		{"decoder", kind("ByteLevel", "add_prefix_space", true), "decoder: a ByteLevel pre_tokenizer and a ByteLevel decoder are supported together only"},
		{"decoder", sequence("decoders", kind("Fuse"), back), "decoder: Replace behind Fuse is not supported"},
		{"decoder", sequence("decoders", kind("Fuse"), kind("ByteFallback")), "decoder: ByteFallback behind Fuse is not supported"},
		{"decoder", sequence("decoders", back, kind("Strip", "content", " ", "start", 1, "stop", 0)), "decoder: Strip: without Fuse before it"},
		{"decoder", sequence("decoders", kind("Fuse"), kind("Strip", "content", " ", "start", 1, "stop", 1)), "decoder: Strip: stop 1 is not supported; 0 is"},
		{"decoder", kind("CTC"), `decoder: "CTC" is not supported`},
		{"model.type", "Unigram", `model: type: "Unigram" is not supported; BPE is`},
	} {
		_, err := parse(edited(t, "llama2", map[string]any{c.path: c.value}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: %v\nwant %s", c.path, c.value, err, c.want)
		}
	}
	tok := mustParse(t, edited(t, "llama2", map[string]any{"model.byte_fallback": false, "model.unk_token": nil}))
	if _, err := tok.Encode("a \U0001f600"); err == nil || !strings.Contains(err.Error(), `character '😀' is not in the vocabulary, and there is no unk_token`) {
		t.Error(err)
	}
}

// FuzzStream: a stream says what Decode says, for any ids.
func FuzzStream(f *testing.F) {
	toks := map[string]*Tokenizer{}
	for _, form := range otherForms {
		toks[form] = open(f, form)
	}
	f.Add([]byte("\x01\x00\x00\xe7\x00\xbb\x00\xb0\x00\xe7\x01\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for form, tok := range toks {
			var ids []int
			for i := 0; i+1 < len(raw); i += 2 {
				ids = append(ids, (int(raw[i])<<8|int(raw[i+1]))%tok.Size())
			}
			want, err := tok.Decode(ids)
			if got := streamed(tok, ids); err != nil || got != want {
				t.Fatalf("%s: %v: streamed %q, decoded %q, %v", form, ids, got, want, err)
			}
		}
	})
}
