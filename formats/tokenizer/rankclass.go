package tokenizer

import (
	"fmt"
	"strconv"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// rankClass is what the Python code beside a file of ranks adds to it: the file has
// tokens only, how texts are split and which special tokens there are stands in a
// class, which tokenizer_config.json names as tokenizer_class.
type rankClass struct {
	pattern string
	nfc     bool // Python composes the whole text first
	long    bool // texts are cut before anything else: see cutLong
	special func(base uint32, given map[uint32]string) map[uint32]string
	// special names the special tokens: base is the number of tokens in the file,
	// given are those of added_tokens_decoder.
	bos, eos string   // where tokenizer_config.json names none
	before   []string // special tokens that are put before a text
}

// rankClasses are the classes that are known, by name. A new one is a new row.
var rankClasses = map[string]rankClass{
	// tokenization_kimi.py of moonshotai/Kimi-K2-Instruct, Kimi-Linear, Kimi-K2.5 and
	// K3, tokenization_moonshot.py of Moonlight. K3's reserves 256 tokens and not 258;
	// the last two have no row in any of these models' embeddings.
	"TikTokenTokenizer": {pattern: patternKimi, long: true, special: reserved(258), bos: "[BOS]", eos: "[EOS]"},
	// tokenization_qwen.py of Qwen/Qwen-7B: the ids stand in the code.
	"QWenTokenizer": {pattern: patternQwen2, nfc: true, special: qwenSpecial, eos: "<|endoftext|>"},
	// tokenization_chatglm.py of THUDM/glm-4-9b.
	"ChatGLM4Tokenizer": {pattern: patternLlama3, special: onlyGiven, before: []string{"[gMASK]", "<sop>"}},
}

// reserved names so many tokens behind those of the file, each as it is given or by
// its number. Others that are given have no part in it, as there.
func reserved(count uint32) func(uint32, map[uint32]string) map[uint32]string {
	return func(base uint32, given map[uint32]string) map[uint32]string {
		out := make(map[uint32]string, count)
		for id := base; id < base+count; id++ {
			if out[id] = given[id]; out[id] == "" {
				out[id] = fmt.Sprintf("<|reserved_token_%d|>", id)
			}
		}
		return out
	}
}

func onlyGiven(_ uint32, given map[uint32]string) map[uint32]string { return given }

func qwenSpecial(uint32, map[uint32]string) map[uint32]string {
	const first = 151643
	out := map[uint32]string{first: "<|endoftext|>", first + 1: "<|im_start|>", first + 2: "<|im_end|>"}
	for i := range uint32(205) {
		out[first+3+i] = fmt.Sprintf("<|extra_%d|>", i)
	}
	return out
}

// givenTokens reads added_tokens_decoder of tokenizer_config.json.
func givenTokens(v *strictjson.Value) (map[uint32]string, error) {
	out := map[uint32]string{}
	if v == nil || v.Kind == strictjson.KindNull {
		return out, nil
	}
	if v.Kind != strictjson.KindObject {
		return nil, invalid.Errorf("%s, not an object", describe(v))
	}
	for i := range v.Members {
		m := &v.Members[i]
		id, err := strconv.ParseUint(m.Key, 10, 32)
		if err != nil || id > maxID {
			return nil, invalid.Errorf("%q is no id", short(m.Key))
		}
		content, ok := m.Value.Get("content").Str()
		if !ok || content == "" || len(content) > maxAdded {
			return nil, invalid.Errorf("%d: content is %s, not a text of up to %d bytes", id, describe(m.Value.Get("content")), maxAdded)
		}
		for _, key := range []string{"lstrip", "rstrip", "single_word"} {
			if x := m.Value.Get(key); x != nil {
				if on, ok := x.Bool(); !ok || on {
					return nil, invalid.Errorf("%d: %q: %s %s is not supported", id, short(content), key, describe(x))
				}
			}
		}
		out[uint32(id)] = content
	}
	return out, nil
}
