package tokenizer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/internal/invalid"
)

type members = map[string]any

func added(id any, content string, more ...any) members {
	a := members{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}
	for i := 0; i < len(more); i += 2 {
		a[more[i].(string)] = more[i+1]
	}
	return a
}

// TestRefused: whatever could change ids and is not supported is refused, and the
// message names the part.
func TestRefused(t *testing.T) {
	level := members{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	split := func(more ...any) members {
		s := members{"type": "Split", "pattern": members{"Regex": "a"}, "behavior": "Isolated", "invert": false}
		for i := 0; i < len(more); i += 2 {
			s[more[i].(string)] = more[i+1]
		}
		return members{"type": "Sequence", "pretokenizers": []any{s, level}}
	}
	null := any([]any(nil)) // JSON null
	for _, c := range []struct {
		path  string
		value any
		want  string
	}{
		{"version", "2.0", `version "2.0" is not supported`},
		{"model", nil, "no model"},
		{"model", 5, "expected an object"},
		{"model.type", "WordPiece", `model: type: "WordPiece" is not supported; BPE is`},
		{"model.vocab", nil, "model: no vocab"},
		{"model.merges", nil, "model: no merges"},
		{"model.vocab", members{"a": -1}, `model: vocab: "a": byte`},
		{"model.vocab", members{"a": 1.5}, `model: vocab: "a": byte`},
		{"model.vocab", members{"a": 1 << 22}, `"a": id 4194304 is larger than 4194303`},
		{"model.vocab", members{"a": 1, "b": 1}, `model: vocab: "a" and "b" both have id 1`},
		{"model.merges", []any{"a b c"}, `model: merges: [0]: "a b c" is not two tokens`},
		{"model.merges", []any{"ab"}, `model: merges: [0]: "ab" is not two tokens`},
		{"model.merges", []any{[]any{"a"}}, `model: merges: [0]: not a pair of tokens`},
		{"model.merges", []any{[]any{"a", "b", "c"}}, `model: merges: [0]: not a pair of tokens`},
		{"model.merges", []any{[]any{"a", 1}}, `model: merges: [0]: byte`},
		{"model.merges", []any{[]any{"a", "b"}, "a b"}, `model: merges: [1]: a string after an array`},
		{"model.merges", []any{5}, `model: merges: [0]: a number`},
		{"model.merges", []any{[]any{"zq", "x"}}, `model: merges: "zq" (of the 1st merge) is not in the vocabulary`},
		{"model.merges", []any{[]any{"Q", "Z"}}, `"QZ" (of the 1st merge) is not in the vocabulary`},
		{"model.dropout", 0.1, "model: dropout: 0.1 is not supported"},
		{"model.continuing_subword_prefix", "##", `model: continuing_subword_prefix: "##" is not supported`},
		{"model.end_of_word_suffix", "</w>", `model: end_of_word_suffix: "</w>" is not supported`},
		{"model.unk_token", 5, "model: unk_token: 5 is not supported"},
		{"model.ignore_merges", "yes", `model: ignore_merges: "yes", not true or false`},
		{"model.byte_fallback", 1, "model: byte_fallback: 1, not true or false"},
		{"normalizer", members{"type": "NFKC"}, `normalizer: "NFKC" is not supported; null, NFC, Prepend, Replace, Strip are`},
		{"normalizer", members{"type": "Sequence", "normalizers": []any{members{"type": "NFC"}, members{"type": "Lowercase"}}}, `"Lowercase" is not supported`},
		{"normalizer", members{"type": "Sequence"}, "normalizer: Sequence: normalizers is absent, not an array"},
		{"normalizer", members{}, "normalizer: no type"},
		{"normalizer", "NFC", `normalizer: "NFC", not an object`},
		{"pre_tokenizer", nil, "a ByteLevel pre_tokenizer and a ByteLevel decoder are supported together only"},
		{"pre_tokenizer", null, "a ByteLevel pre_tokenizer and a ByteLevel decoder are supported together only"},
		{"pre_tokenizer", members{"type": "Metaspace"}, `pre_tokenizer: Metaspace: replacement is absent, not a character`},
		{"pre_tokenizer", members{"type": "Whitespace"}, `pre_tokenizer: "Whitespace" is not supported; Split, Digits, Metaspace and ByteLevel are`},
		{"pre_tokenizer", members{"type": "Digits", "individual_digits": true}, "a ByteLevel pre_tokenizer and a ByteLevel decoder are supported together only"},
		{"pre_tokenizer", members{"type": "Sequence", "pretokenizers": []any{level, level}}, "ByteLevel before another pre-tokenizer"},
		{"pre_tokenizer", members{"type": "Sequence", "pretokenizers": []any{nil}}, "pre_tokenizer: Sequence[0]: null"},
		{"pre_tokenizer", members{"type": "Sequence", "pretokenizers": []any{members{"type": "Digits"}, level}}, "pre_tokenizer: Digits: no individual_digits"},
		{"pre_tokenizer", members{"type": "ByteLevel"}, "pre_tokenizer: ByteLevel: no add_prefix_space"},
		{"pre_tokenizer", members{"type": "ByteLevel", "add_prefix_space": false, "use_regex": 1}, "ByteLevel: use_regex is 1, not true or false"},
		{"pre_tokenizer", split("behavior", "Merged"), `pre_tokenizer: Split: behavior "Merged" is not supported`},
		{"pre_tokenizer", split("invert", nil), "Split: invert is null, not true or false"},
		{"pre_tokenizer", split("pattern", members{"Glob": "a"}), "Split: pattern: neither a Regex nor a String"},
		{"pre_tokenizer", split("pattern", members{"String": ""}), "Split: pattern: neither a Regex nor a String"},
		{"pre_tokenizer", split("pattern", "a"), "Split: pattern: neither a Regex nor a String"},
		{"pre_tokenizer", split("pattern", members{"Regex": `\p{Thai}`}), `Split: pattern "\\p{Thai}": byte 0: the property "\\p{Thai}" is not supported`},
		{"pre_tokenizer", split("pattern", members{"Regex": `(`}), `Split: pattern "(": byte 0: a ( without its )`},
		{"decoder", nil, "decoder: none is not supported: Hugging Face puts spaces between tokens then"},
		{"decoder", members{"type": "WordPiece"}, `decoder: "WordPiece" is not supported; ByteLevel, Replace, Metaspace, ByteFallback, Fuse and Strip are`},
		{"decoder", members{"type": "Sequence", "decoders": []any{level, members{"type": "Fuse"}}}, "decoder: Fuse behind ByteLevel is not supported"},
		{"post_processor", members{"type": "Other"}, `post_processor: "Other" is not supported`},
		{"post_processor", members{"type": "TemplateProcessing"}, "post_processor: TemplateProcessing: single is absent"},
		{"post_processor", members{"type": "TemplateProcessing", "single": []any{}}, "single has the text 0 times"},
		{"post_processor", members{"type": "TemplateProcessing", "single": []any{members{"SpecialToken": members{"id": "x"}}}}, `special_tokens has no ids of "x"`},
		{"post_processor", members{"type": "TemplateProcessing", "single": []any{members{"Sequence": members{"id": "B"}}}}, "single[0] is neither a special token nor the text"},
		{"post_processor", members{"type": "RobertaProcessing", "cls": []any{"x", 704}, "sep": []any{"y", 1}}, "post_processor: id 704 is no token"},
		{"post_processor", members{"type": "RobertaProcessing", "cls": "x"}, "RobertaProcessing: cls is not a token and its id"},
		{"added_tokens", members{}, "added_tokens: an object, not an array"},
		{"added_tokens", []any{5}, "added_tokens: [0]: 5, not an object"},
		{"added_tokens", []any{added("x", "y")}, `added_tokens: [0]: id is "x", not a number`},
		{"added_tokens", []any{added(1<<22, "y")}, `id is 4194304, not a number up to 4194303`},
		{"added_tokens", []any{added(-1, "y")}, `id is -1, not a number`},
		{"added_tokens", []any{added(700, "y", "content", 7)}, "content is 7, not a string"},
		{"added_tokens", []any{added(700, "<y>", "lstrip", "no")}, `added_tokens: [0]: "<y>": lstrip is "no", not true or false`},
		{"added_tokens", []any{added(701, "<y>")}, `[0]: "<y>" has id 701, but Hugging Face gives it 700`},
		{"added_tokens", []any{added(5, "!")}, `[0]: "!" has id 5, but Hugging Face gives it 2`},
		{"added_tokens", []any{added(700, strings.Repeat("y", 1025))}, "1025 bytes, more than 1024"},
	} {
		_, err := parse(edited(t, "gpt2", members{c.path: c.value}))
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: %v\nwant %s", c.path, c.value, err, c.want)
		}
	}
	nfc := members{"normalizer": members{"type": "NFC"}, "added_tokens": []any{added(700, "ạ", "normalized", true), added(701, "a\u0323", "normalized", true)}}
	if _, err := parse(edited(t, "gpt2", nfc)); err == nil || !strings.Contains(err.Error(), `added_tokens: "ạ" is there twice, with ids`) {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"":                                      "expected a value",
		"[]":                                    "expected an object",
		`{"model":{},"model":{}}`:               "no vocab",
		`{"version":"1.0","version":"1.0"}`:     `duplicate key "version"`,
		`{"model":{"vocab":{"a":1,"a":1}}}`:     `model: vocab: "a" is there twice`,
		`{"model":{"vocab":{},"vocab":{}}}`:     `duplicate key "vocab"`,
		`{"model":{"vocab":{"a":01}}}`:          "leading zero",
		`{"model":{"vocab":{"\ud800":1}}}`:      "unpaired surrogate",
		`{"model":{"vocab":{},"merges":[]}} x`:  "expected the end",
		`{"model":{"vocab":{},"merges":["a b"]`: "expected a comma",
	} {
		if _, err := parse([]byte(text)); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}

// TestAccepted: forms that say nothing else than what is supported.
func TestAccepted(t *testing.T) {
	level := members{"type": "ByteLevel", "add_prefix_space": false}
	for path, value := range map[string]any{
		"version":                         nil,
		"truncation":                      members{"max_length": 3},
		"padding":                         members{"strategy": "BatchLongest"},
		"model.type":                      nil,
		"model.dropout":                   0.0,
		"model.continuing_subword_prefix": "",
		"model.end_of_word_suffix":        "",
		"model.unk_token":                 "<unk>",
		"model.byte_fallback":             true, // it cannot come into play
		"model.fuse_unk":                  true,
		"normalizer":                      members{"type": "Sequence", "normalizers": []any{}},
		"pre_tokenizer":                   members{"type": "Sequence", "pretokenizers": []any{members{"type": "Sequence", "pretokenizers": []any{level}}}},
		"decoder":                         members{"type": "Sequence", "decoders": []any{level}},
		"post_processor":                  nil,
	} {
		tok := mustParse(t, edited(t, "gpt2", members{path: value}))
		for _, g := range goldens(t, "gpt2") {
			g.check(t, tok)
		}
	}
	// Merges as lines.
	tok := open(t, "gpt2")
	var lines []any
	lines = append(lines, "#version: 0.2")
	names := map[uint32]string{}
	for id := range tok.Size() {
		b, _ := tok.Token(id)
		s := ""
		for _, c := range b {
			s += string(byteRunes[c])
		}
		names[uint32(id)] = s
	}
	byRank := make([]string, len(tok.bpe.merges))
	for pair, m := range tok.bpe.merges {
		byRank[m.rank] = names[uint32(pair>>32)] + " " + names[uint32(pair)]
	}
	for _, s := range byRank {
		lines = append(lines, s)
	}
	tok = mustParse(t, edited(t, "gpt2", members{"model.merges": lines}))
	for _, g := range goldens(t, "gpt2") {
		g.check(t, tok)
	}
}

// TestAround: which special tokens belong around a text.
func TestAround(t *testing.T) {
	template := func(single ...any) members {
		return members{"type": "TemplateProcessing", "single": single, "special_tokens": members{
			"<|begin|>": members{"id": "<|begin|>", "ids": []any{0}, "tokens": []any{"<|begin|>"}}, "<|end|>": members{"ids": []any{1}},
		}}
	}
	begin, end, text := members{"SpecialToken": members{"id": "<|begin|>"}}, members{"SpecialToken": members{"id": "<|end|>"}}, members{"Sequence": members{"id": "A"}}
	const none, both = `{}`, `{"bos_token": "<|begin|>", "eos_token": {"content": "<|end|>"}, "model_max_length": 1e30}`
	for i, c := range []struct {
		post             any
		config           string
		bos              int
		adds             bool
		eos              int
		ends             bool
		nBefore, nBehind int
	}{
		{nil, none, -1, false, -1, false, 0, 0},
		{nil, both, 0, false, 1, false, 0, 0},
		{nil, both[:len(both)-1] + `, "add_bos_token": true}`, 0, true, 1, false, 1, 0},
		{nil, both[:len(both)-1] + `, "add_bos_token": null, "add_eos_token": true}`, 0, false, 1, true, 0, 1},
		{template(begin, text), none, 0, true, -1, false, 1, 0},
		{template(begin, text, end), none, 0, true, 1, true, 1, 1},
		{template(begin, text), `{"add_bos_token": false}`, 0, false, -1, false, 0, 0},
		{template(begin, text), `{"add_bos_token": true}`, 0, true, -1, false, 1, 0},
		{template(begin, end, text), none, -1, false, -1, false, 2, 0},
		{template(begin, text), `{"bos_token": "<|end|>"}`, 1, false, -1, false, 1, 0},
		{members{"type": "ByteLevel"}, none, -1, false, -1, false, 0, 0},
		{members{"type": "Sequence", "processors": []any{members{"type": "ByteLevel"}, template(begin, text)}}, none, 0, true, -1, false, 1, 0},
		{members{"type": "RobertaProcessing", "cls": []any{"<|begin|>", 0}, "sep": []any{"<|end|>", 1}}, none, 0, true, 1, true, 1, 1},
		{members{"type": "Sequence", "processors": []any{template(begin, text, end), template(end, text)}}, none, -1, false, 1, true, 2, 1},
		{nil, `{"bos_token": "<other>"}`, -1, false, -1, false, 0, 0},
	} {
		dir := t.TempDir()
		write(t, dir, FileName, string(edited(t, "gpt2", members{"post_processor": c.post})))
		write(t, dir, ConfigName, c.config)
		tok, err := Open(dir)
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		bos, adds := tok.BOS()
		eos, ends := tok.EOS()
		before, behind := tok.Around()
		if bos != c.bos || adds != c.adds || eos != c.eos || ends != c.ends || len(before) != c.nBefore || len(behind) != c.nBehind {
			t.Errorf("%d: BOS %d %t, EOS %d %t, around %v %v", i, bos, adds, eos, ends, before, behind)
		}
		if len(before) == 2 && len(behind) == 1 && !slices.Equal(before, []int{1, 0}) { // the last processor is outermost
			t.Errorf("%d: around %v %v", i, before, behind)
		}
	}
}

func write(tb testing.TB, dir, name, text string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}

func TestOpenErrors(t *testing.T) {
	good := string(edited(t, "gpt2", nil))
	for _, c := range []struct{ file, config, want string }{
		{"", "", `tokenizer.json": no such file`},
		{"\x00", "", `reading "tokenizer.json": byte 0: expected a value`},
		{"version https://git-lfs.github.com/spec/v1\noid", "", `reading "tokenizer.json": a Git LFS pointer`},
		{`{"model": {"type": "Unigram"}}`, "", `reading "tokenizer.json": model: type: "Unigram" is not supported`},
		{good, "[]", `reading "tokenizer_config.json": an array, not an object`},
		{good, "{", `reading "tokenizer_config.json": byte 1`},
		{good, `{"bos_token": 5}`, `reading "tokenizer_config.json": bos_token is 5, not a token`},
		{good, `{"add_bos_token": 1}`, `add_bos_token is 1, not true or false`},
		{good, `{"add_bos_token": true}`, `add_bos_token is true, but there is no bos_token`},
		{good, `{"add_bos_token": true, "bos_token": "<other>"}`, `bos_token "<other>" is no token`},
	} {
		dir := t.TempDir()
		if c.file != "" {
			write(t, dir, FileName, c.file)
		}
		if c.config != "" {
			write(t, dir, ConfigName, c.config)
		}
		if _, err := Open(dir); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
	dir := t.TempDir()
	write(t, dir, FileName, good)
	if tok, err := Open(filepath.Join(dir, FileName)); err != nil || tok.Size() != 704 {
		t.Error(err)
	}
	write(t, dir, "empty.json", "")
	if _, err := Open(filepath.Join(dir, "empty.json")); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), `"empty.json": the file is empty`) {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
}

// FuzzParse: no text makes a reader panic; a tokenizer that is accepted encodes, and
// what it decodes is UTF-8.
func FuzzParse(f *testing.F) {
	for _, form := range forms {
		f.Add(edited(f, form, nil), "a <sp> word é")
	}
	f.Add([]byte(`{"added_tokens":[{"id":3,"content":"é ","single_word":true,"lstrip":true,"rstrip":true,"normalized":true,"special":false}],"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"a|(?i:b)+"},"behavior":"MergedWithNext","invert":true},{"type":"Digits","individual_digits":false},{"type":"ByteLevel","add_prefix_space":true,"use_regex":true}]},"decoder":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"],"ignore_merges":true}}`), "ab é b12a")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		tok, err := parse(raw)
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		ids, err := tok.Encode(text)
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		got, err := tok.Decode(ids)
		if err != nil || strings.ToValidUTF8(got, "") != got {
			t.Fatalf("%q, %v", got, err)
		}
		if s := streamed(tok.Tokenizer, ids); s != got {
			t.Fatalf("streamed %q, decoded %q", s, got)
		}
	})
}
