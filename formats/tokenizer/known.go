package tokenizer

import "math"

// matcher finds the pieces of one pre-tokenizer: match returns the end of the
// match that begins at byte i < len(s) of s, or -1. No match is empty.
type matcher interface {
	match(s string, i int) int
}

// The patterns of published tokenizers, character by character.
const (
	// GPT-2, and what ByteLevel splits by with use_regex (pre_tokenizers/byte_level.rs).
	patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

	// cl100k of GPT-4, with what distinguishes its descendants in between: Llama 3
	// and GLM-4 have it as it is, Qwen2 takes digits one by one, Qwen3.5 counts
	// marks as letters.
	cl100kHead, cl100kTail = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?`, `+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternLlama3          = cl100kHead + `\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]` + cl100kTail
	patternQwen2           = cl100kHead + `\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]` + cl100kTail
	patternNumbers         = cl100kHead + `\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]` + cl100kTail
	patternQwen35          = cl100kHead + `[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]` + cl100kTail

	// o200k of GPT-4o, gpt-oss and Llama 4.
	patternO200k = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Kimi-K2 and its kin (tokenization_kimi.py, pat_str): o200k, but words have no
	// Chinese characters, which stand by themselves.
	patternKimi = `[\p{Han}]+` +
		`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
		`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// The three of DeepSeek-V3, applied one after the other. They escape the double
	// quote in a class, which changes nothing.
	patternDigits3  = `\p{N}{1,3}`
	patternCJK      = `[一-龥぀-ゟ゠-ヿ]+`
	patternDeepSeek = `[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// known returns the hand-written matcher of a pattern, or nil. It equals regexp2
// on the translated pattern; FuzzKnown and TestKnown hold that.
func known(pattern string) matcher {
	t := classes()
	switch pattern {
	case patternGPT2:
		return gpt2{t}
	case patternLlama3:
		return cl100k{t, letter, 3}
	case patternQwen2:
		return cl100k{t, letter, 1}
	case patternNumbers:
		return cl100k{t, letter, math.MaxInt}
	case patternQwen35:
		return cl100k{t, letter | mark, 1}
	case patternO200k:
		return o200k{t, 0}
	case patternKimi:
		return kimi{o200k{t, han}}
	case patternDigits3:
		return numbers{t, number, 3}
	case patternCJK:
		return cjk{}
	case patternDeepSeek:
		return deepseek{t}
	}
	return nil
}

// numbers matches code points of one class, at most so many at a time: \p{N}{1,max}.
type numbers struct {
	*classTable
	want class
	max  int
}

func (m numbers) match(s string, i int) int {
	start := i
	for n := 0; i < len(s) && n < m.max; n++ {
		c, size := m.at(s, i)
		if c&m.want == 0 {
			break
		}
		i += size
	}
	if i == start {
		return -1
	}
	return i
}

func (m numbers) seek(s string, i int) int {
	for i < len(s) {
		c, size := m.at(s, i)
		if c&m.want != 0 {
			break
		}
		i += size
	}
	return i
}

// cjk is patternCJK: U+4E00 to U+9FA5, and U+3040 to U+30FF. In UTF-8 these are
// three bytes whose first lies between E3 and E9.
type cjk struct{}

func (cjk) match(s string, i int) int {
	start := i
	for ; i+2 < len(s) && 0xe3 <= s[i] && s[i] <= 0xe9; i += 3 {
		r := rune(s[i]&15)<<12 | rune(s[i+1]&63)<<6 | rune(s[i+2]&63)
		if (r < 0x4e00 || r > 0x9fa5) && (r < 0x3040 || r > 0x30ff) {
			break
		}
	}
	if i == start {
		return -1
	}
	return i
}

func (cjk) seek(s string, i int) int {
	for i < len(s) && (s[i] < 0xe3 || s[i] > 0xe9) {
		i++
	}
	return i
}

// contraction returns the end of 's, 't, 'm, 'd, 're, 've or 'll whose apostrophe
// is at byte i, or -1. With fold the letters may be of either case, and s the long
// one, U+017F: the only letter here with a third form (CaseFolding.txt).
func contraction(s string, i int, fold bool) int {
	if i+1 >= len(s) {
		return -1
	}
	a, b := s[i+1], byte(0)
	if i+2 < len(s) {
		b = s[i+2]
	}
	if fold {
		if a == 0xc5 && b == 0xbf {
			return i + 3
		}
		a, b = lowerASCII(a), lowerASCII(b)
	}
	switch {
	case a == 's', a == 't', a == 'm', a == 'd':
		return i + 2
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return i + 3
	}
	return -1
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// spaces matches \s+(?!\S)|\s+ at byte i, where c, a space of n bytes, stands; with
// lines \s*[\r\n]+ comes before these two. The run of spaces ends at the end of
// the text, or leaves its last one to what follows, or is that one.
func (t *classTable) spaces(s string, i int, lines bool) int {
	last, line := i, -1
	for at := i; ; {
		if at >= len(s) {
			if line > 0 {
				return line
			}
			return at
		}
		c, n := t.at(s, at)
		if c&space == 0 {
			break
		}
		last = at
		at += n
		if lines && c&newline != 0 {
			line = at
		}
	}
	switch {
	case line > 0:
		return line
	case last > i:
		return last
	}
	_, n := t.at(s, i)
	return i + n
}

// symbols matches " ?" and a run of what has none of the bits of not (which holds
// space), or -1. c is the class of the code point at byte i.
func (t *classTable) symbols(s string, i int, c, not class) int {
	if s[i] == ' ' {
		if i++; i >= len(s) {
			return -1
		}
		c, _ = t.at(s, i)
	}
	if c&not != 0 {
		return -1
	}
	return t.runNot(s, i, not)
}

// lines extends a match by [\r\n]*.
func lines(s string, i int) int {
	for i < len(s) && (s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}
