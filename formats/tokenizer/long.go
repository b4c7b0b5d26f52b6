package tokenizer

import "unicode/utf8"

// How Kimi's code cuts long texts, in characters (tokenization_kimi.py, encode).
const (
	longText = 400_000 // of any kind
	longRun  = 25_000  // of spaces, or of none
)

// cutLong hands out a text in the parts that Kimi's code gives to tiktoken one by
// one: of at most so many characters, in which no run of spaces or of other
// characters is longer than most. No token reaches over their borders.
func cutLong(s string, text, most int, part func(string) error) error {
	if len(s) <= most {
		return part(s)
	}
	start, n, run := 0, 0, 0
	spaces := false
	for i, r := range s {
		is := pythonSpace(r)
		switch {
		case n == text:
			if err := part(s[start:i]); err != nil {
				return err
			}
			start, n, run = i, 0, 0
		case is == spaces && run == most:
			if err := part(s[start:i]); err != nil {
				return err
			}
			start, run = i, 0
		case is != spaces:
			run = 0
		}
		spaces = is
		run++
		n++
	}
	return part(s[start:])
}

// pythonSpace is Python's str.isspace: White_Space and four separators of ASCII.
func pythonSpace(r rune) bool {
	if 0x1c <= r && r <= 0x1f {
		return true
	}
	var b [utf8.UTFMax]byte
	c, _ := classes().at(string(b[:utf8.EncodeRune(b[:], r)]), 0)
	return c&space != 0
}
