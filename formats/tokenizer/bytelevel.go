package tokenizer

import "unicode/utf8"

// The byte alphabet of GPT-2 (bytes_to_unicode in openai/gpt-2, src/encoder.py):
// tokens are stored as text in which each byte is one character. Bytes that are
// visible characters of Latin-1 stand for themselves, the other 68 are U+0100 and
// on, in order.
var (
	byteRunes [256]rune
	runeBytes [256 + 68]int16 // -1: not in the alphabet
)

func init() {
	for i := range runeBytes {
		runeBytes[i] = -1
	}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if b < '!' || b > '~' && b < 0xa1 || b == 0xad {
			r = next
			next++
		}
		byteRunes[b] = r
		runeBytes[r] = int16(b)
	}
}

// appendBytes appends the bytes that a token's text stands for. A text with a
// character beyond the alphabet stands for itself as UTF-8, which is what Hugging
// Face's ByteLevel decoder makes of it; ok is false then.
func appendBytes(dst []byte, text string) (_ []byte, ok bool) {
	start := len(dst)
	for _, r := range text {
		if int(r) >= len(runeBytes) || runeBytes[r] < 0 {
			return append(dst[:start], text...), false
		}
		dst = append(dst, byte(runeBytes[r]))
	}
	return dst, true
}

// validUpTo is the length of the longest prefix of s that is valid UTF-8.
func validUpTo(s string) int {
	if utf8.ValidString(s) {
		return len(s)
	}
	for i := 0; ; {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
}
