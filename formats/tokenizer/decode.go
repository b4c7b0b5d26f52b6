package tokenizer

import (
	"strconv"
	"unicode/utf8"

	"quern/internal/invalid"
)

// Decode returns the text of ids, special tokens included. Bytes that are not UTF-8
// become U+FFFD as Rust's from_utf8_lossy has it: one for each longest run of bytes
// that could begin a character. An id that is no token is an error that matches
// invalid.Input. (Hugging Face skips such ids.)
func (t *Tokenizer) Decode(ids []int) (string, error) {
	var text []byte
	a := t.assembler()
	for i, id := range ids {
		_, ok := t.Token(id)
		switch {
		case !ok && (id < 0 || id >= t.Size()):
			return "", invalid.Errorf("id %d (the %s) is beyond the vocabulary of %d tokens", id, ordinal(i+1), t.Size())
		case !ok:
			return "", invalid.Errorf("id %d (the %s) is no token", id, ordinal(i+1))
		}
		text = a.add(text, id)
	}
	return string(a.flush(text)), nil
}

// Stream decodes token by token. What it has returned is never taken back: the
// bytes of a character that is not complete are kept until it is, and where tokens
// are text and single bytes, bytes until text follows.
type Stream struct{ assembler }

// Stream returns a decoder for ids that arrive one by one. It is not safe for
// concurrent use.
func (t *Tokenizer) Stream() *Stream { return &Stream{t.assembler()} }

// Add returns the text that is complete with this token; often it is empty. All that
// Add and Flush return, joined, is what Decode makes of the ids, but for ids that
// are no tokens (models have more rows than tokens): they add nothing.
func (s *Stream) Add(id int) string { return string(s.add(nil, id)) }

// Flush returns what is held back, which is the beginning of a character and so
// becomes U+FFFD, and makes the stream ready for another text.
func (s *Stream) Flush() string {
	text := string(s.flush(nil))
	s.assembler = s.t.assembler()
	return text
}

// lossy appends raw to dst as UTF-8, and returns how much of raw that took: all of
// it when it is final, else all but the beginning of a character at its end.
func lossy(dst, raw []byte, final bool) ([]byte, int) {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r != utf8.RuneError || n > 1 {
			dst = append(dst, raw[i:i+n]...)
			i += n
			continue
		}
		n = maximalPart(raw[i:])
		if !final && i+n == len(raw) && !utf8.FullRune(raw[i:]) {
			return dst, i
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		i += n
	}
	return dst, len(raw)
}

// maximalPart is the length of the longest prefix of b, which does not begin with a
// character, that the bytes of some character begin with; at least 1 (Unicode 16,
// section 3.9, "U+FFFD Substitution of Maximal Subparts").
func maximalPart(b []byte) int {
	n := 1
	for n < len(b) && n < utf8.UTFMax && !utf8.FullRune(b[:n]) {
		n++
	}
	// With its n-th byte, the prefix is not the beginning of any character; without,
	// it was. A prefix that is still none at the end of b counts whole.
	if n > 1 && utf8.FullRune(b[:n]) {
		n--
	}
	return n
}

// ordinal is 1st, 2nd, 3rd, 4th, …
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}
