package tokenizer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/internal/invalid"
)

// ranksOf is the file of some tokens.
func ranksOf(tokens []string) string {
	var b strings.Builder
	for i, s := range tokens {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(s)), i)
	}
	return b.String()
}

func allBytes() []string {
	out := make([]string, 256)
	for i := range out {
		out[i] = string([]byte{byte(i)})
	}
	return out
}

// folder writes files to a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func opened(t *testing.T, files map[string]string) *Tokenizer {
	t.Helper()
	tok, err := Open(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func encoded(t *testing.T, tok *Tokenizer, text string) []int {
	t.Helper()
	ids, err := tok.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

const kimiConfig = `{"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": {"256": {"content": "[BOS]"}, "257": {"content": "[EOS]"}, "300": {"content": "<|im_end|>", "lstrip": false}}}`

// byRank is tiktoken's way by its definition: of all neighbours that are a token
// together, those that make the one of the lowest rank, leftmost first.
func byRank(tokens map[string]uint32, word string) []uint32 {
	if id, ok := tokens[word]; ok {
		return []uint32{id}
	}
	parts := strings.Split(word, "")
	for {
		best, at := uint32(none), -1
		for i := 0; i+1 < len(parts); i++ {
			if id, ok := tokens[parts[i]+parts[i+1]]; ok && id < best {
				best, at = id, i
			}
		}
		if at < 0 {
			break
		}
		parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
	}
	ids := make([]uint32, len(parts))
	for i, s := range parts {
		ids[i] = tokens[s]
	}
	return ids
}

// TestRanks: ranks in any order, also of tokens that no merges lead to.
func TestRanks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	var work scratch
	for range 300 {
		known := map[string]uint32{}
		tokens := allBytes()
		for range rnd.IntN(60) {
			word := make([]byte, 2+rnd.IntN(6))
			for i := range word {
				word[i] = "abc"[rnd.IntN(3)]
			}
			if !slices.Contains(tokens, string(word)) {
				tokens = append(tokens, string(word))
			}
		}
		rnd.Shuffle(len(tokens), func(i, k int) { tokens[i], tokens[k] = tokens[k], tokens[i] })
		for i, s := range tokens {
			known[s] = uint32(i)
		}
		b, err := rankedBPE(tokens)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			word := make([]byte, 1+rnd.IntN(80))
			for i := range word {
				word[i] = "abcd"[rnd.IntN(4)]
			}
			got, err := b.encode(string(word), &work, nil)
			if want := byRank(known, string(word)); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: %v, %v\nwant %v", word, got, err, want)
			}
		}
	}
}

func TestRanksRefused(t *testing.T) {
	good := ranksOf(allBytes())
	for _, c := range []struct{ ranks, config, want string }{
		{good, `{}`, "tokenizer_config.json names no tokenizer_class, which says how texts are split; ChatGLM4Tokenizer, QWenTokenizer, TikTokenTokenizer are known"},
		{good, `{"tokenizer_class": "BaichuanTokenizer"}`, `reading "tiktoken.model": tokenizer_config.json: tokenizer_class "BaichuanTokenizer" is not supported beside a file of ranks`},
		{good + "x\n", kimiConfig, `line 257: "x\n" is not a token in base64 and its rank`},
		{good + "!!== 256\n", kimiConfig, `line 257: "!!==" is not a token in base64`},
		{good + "YWI= -1\n", kimiConfig, `line 257: the rank is "-1", not a number up to`},
		{good + "YWI= 99999999999\n", kimiConfig, `the rank is "99999999999"`},
		{good + "YWI= 255\n", kimiConfig, "line 257: rank 255 is there twice"},
		{good + "YWI= 257\n", kimiConfig, "257 tokens, but a rank of 257: gaps are not supported"},
		{good + "YQ== 256\n", kimiConfig, `ranks 97 and 256 are the same token "a"`},
		{ranksOf(allBytes()[:32]), kimiConfig, "the tokenizer has no token for byte 0x20, so not every text has ids"},
		{"\n\x05<unk>", kimiConfig, "a model of SentencePiece is not supported; transformers makes a tokenizer.json of it"},
		{good, `{"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": []}`, "added_tokens_decoder: an array, not an object"},
		{good, `{"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": {"x": {}}}`, `added_tokens_decoder: "x" is no id`},
		{good, `{"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": {"256": {}}}`, "added_tokens_decoder: 256: content is absent"},
		{good, `{"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": {"256": {"content": "a", "lstrip": true}}}`, `256: "a": lstrip true is not supported`},
		{good, `{"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": {"256": {"content": "a"}, "257": {"content": "a"}}}`, `"a" is there twice, with ids 256 and 257`},
		{good, `{"tokenizer_class": "ChatGLM4Tokenizer", "added_tokens_decoder": {"256": {"content": "<sop>"}}}`, "added_tokens_decoder has no [gMASK]"},
		{good, `{"tokenizer_class": "ChatGLM4Tokenizer", "added_tokens_decoder": {"5": {"content": "[gMASK]"}, "256": {"content": "<sop>"}}}`, `5, "[gMASK]", is the id of another token`},
	} {
		_, err := Open(folder(t, map[string]string{"tiktoken.model": c.ranks, ConfigName: c.config}))
		if !errors.Is(err, invalid.Input) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// TestKimiTokens: special tokens by name and by number, what begins a text but is not
// put before it, and which file is read.
func TestKimiTokens(t *testing.T) {
	files := map[string]string{"tiktoken.model": ranksOf(allBytes()), ConfigName: kimiConfig}
	tok := opened(t, files)
	want := []int{256, 'a', 300, 299, 513, '<'}
	if got := encoded(t, tok, "[BOS]a<|im_end|><|reserved_token_299|><|reserved_token_513|><|reserved_token_514|>"); len(got) != 27 || !slices.Equal(got[:6], want) {
		t.Error(got)
	}
	bos, adds := tok.BOS()
	eos, ends := tok.EOS()
	if bos != 256 || adds || eos != 257 || ends || tok.Size() != 514 {
		t.Errorf("BOS %d %t, EOS %d %t, %d tokens", bos, adds, eos, ends, tok.Size())
	}
	raw, err := os.ReadFile(filepath.Join("testdata", "gpt2", FileName))
	if err != nil {
		t.Fatal(err)
	}
	files[FileName] = string(raw)
	if tok := opened(t, files); tok.Size() != 704 {
		t.Errorf("%d tokens: tokenizer.json goes first", tok.Size())
	}
}

// TestRankClasses: what the code of other models adds.
func TestRankClasses(t *testing.T) {
	ranks := ranksOf(append(allBytes(), "\u00e9", "12", "123"))
	qwen := opened(t, map[string]string{"my.tiktoken": ranks, ConfigName: `{"tokenizer_class": "QWenTokenizer"}`})
	if got := encoded(t, qwen, "e\u0301123<|extra_204|>>\u0338"); !slices.Equal(got, []int{256, '1', '2', '3', 151850, 0xe2, 0x89, 0xaf}) {
		t.Error(got)
	}
	if eos, _ := qwen.EOS(); eos != 151643 {
		t.Error(eos)
	}
	if _, err := qwen.Decode([]int{300}); err == nil {
		t.Error("300 is no token")
	}
	if _, err := qwen.Encode("a\U00016ff0"); err == nil || !strings.Contains(err.Error(), "character U+16FF0 at offset 1 of the text: its NFC depends on the version of Python") {
		t.Error(err)
	}
	glm := opened(t, map[string]string{"tokenizer.model": ranks, ConfigName: `{"tokenizer_class": "ChatGLM4Tokenizer", "eos_token": "<|user|>", "added_tokens_decoder":
		{"259": {"content": "[gMASK]"}, "260": {"content": "<sop>"}, "261": {"content": "<|user|>"}}}`})
	if got := encoded(t, glm, "e\u0301123<|user|>"); !slices.Equal(got, []int{'e', 0xcc, 0x81, 258, 261}) {
		t.Error(got)
	}
	before, after := glm.Around()
	if eos, _ := glm.EOS(); !slices.Equal(before, []int{259, 260}) || after != nil || eos != 261 {
		t.Error(before, after, eos)
	}
}

// slowCut is tokenization_kimi.py's way: windows of the text, and in each runs of
// spaces or of none that are too long.
func slowCut(s string, text, most int) []string {
	runes := []rune(s)
	out := []string{}
	for len(runes) > 0 {
		window := runes[:min(text, len(runes))]
		runes = runes[len(window):]
		start, run, spaces := 0, 0, pythonSpace(window[0])
		for i, r := range window {
			if is := pythonSpace(r); is != spaces {
				run, spaces = 1, is
				continue
			}
			if run++; run > most {
				out = append(out, string(window[start:i]))
				start, run = i, 1
			}
		}
		out = append(out, string(window[start:]))
	}
	return out
}

func TestCutLong(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	for range 20_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(40) {
			b.WriteString([]string{"a", "é", "中", " ", "\n", "\x1c", "\u3000"}[min(rnd.IntN(14), 6)*rnd.IntN(2)])
		}
		most := 1 + rnd.IntN(6)
		text := most + rnd.IntN(20)
		got := []string{}
		if err := cutLong(b.String(), text, most, func(s string) error { got = append(got, s); return nil }); err != nil {
			t.Fatal(err)
		}
		if want := slowCut(b.String(), text, most); !slices.Equal(got, want) {
			t.Fatalf("%+q by %d and %d: %+q\nwant %+q", b.String(), text, most, got, want)
		}
	}
	tok := open(t, "kimi")
	text := strings.Repeat("x", longRun)
	if got := encoded(t, tok, text+"[BOS]"); !slices.Equal(got, append(encoded(t, tok, text), encoded(t, tok, "[BOS]")...)) || got[len(got)-1] != 768 {
		t.Error(got[len(got)-8:])
	}
	if got := encoded(t, tok, text[1:]+"[BOS]"); got[len(got)-1] == 768 {
		t.Error("the cut goes through the special token")
	}
}
