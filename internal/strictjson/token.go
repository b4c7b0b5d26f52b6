package strictjson

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// shown is how many bytes of the text a message quotes at most.
const shown = 64

// quote makes text of the document fit for a message: escaped and cut.
func quote(b []byte) string {
	if len(b) > shown {
		return strconv.Quote(string(b[:shown])) + "…"
	}
	return strconv.Quote(string(b))
}

// found describes what is at the next byte.
func (s *Scanner) found() string {
	if s.pos >= len(s.data) {
		return "the end of the text"
	}
	switch s.data[s.pos] {
	case '{':
		return KindObject.String()
	case '[':
		return KindArray.String()
	case '"':
		return "a string"
	}
	return s.token(s.pos)
}

// token is what looks like one token from offset on, cut to a sane length.
func (s *Scanner) token(offset int) string {
	rest := s.data[offset:]
	if len(rest) == 0 {
		return "the end of the text"
	}
	end := bytes.IndexAny(rest[:min(len(rest), shown+1)], " \t\r\n,:[]{}")
	switch {
	case end == 0:
		end = 1
	case end < 0:
		end = len(rest)
	}
	return quote(rest[:end])
}

// delimited reports whether a number or literal may end at the next byte.
func (s *Scanner) delimited() bool {
	switch s.at() {
	case ' ', '\t', '\n', '\r', ',', ':', ']', '}':
		return true
	}
	return s.pos >= len(s.data)
}

// nonFinite returns the word that begins at the next byte and that is a number where
// Options.NonFinite allows it, else "".
func (s *Scanner) nonFinite() string {
	if !s.python {
		return ""
	}
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			return word
		}
	}
	return ""
}

// number reads a number and returns it as it is written.
func (s *Scanner) number() (string, error) {
	start := s.pos
	s.last = start
	if word := s.nonFinite(); word != "" {
		return word, s.literal(word)
	}
	if s.at() == '-' {
		s.pos++
	}
	first := s.pos
	ok := s.digits()
	if ok && s.data[first] == '0' && s.pos > first+1 {
		return "", s.errorf(start, "number %s has a leading zero", s.token(start))
	}
	if ok && s.at() == '.' {
		s.pos++
		ok = s.digits()
	}
	if ok && (s.at() == 'e' || s.at() == 'E') {
		if s.pos++; s.at() == '+' || s.at() == '-' {
			s.pos++
		}
		ok = s.digits()
	}
	if !ok || !s.delimited() {
		return "", s.errorf(start, "%s is no JSON number", s.token(start))
	}
	return string(s.data[start:s.pos]), nil
}

// digits reads decimal digits and reports whether there was at least one.
func (s *Scanner) digits() bool {
	start := s.pos
	for c := s.at(); '0' <= c && c <= '9'; c = s.at() {
		s.pos++
	}
	return s.pos > start
}

// literal reads exactly the word given.
func (s *Scanner) literal(word string) error {
	start := s.pos
	if s.pos += len(word); s.pos > len(s.data) || string(s.data[start:s.pos]) != word || !s.delimited() {
		s.pos = start
		return s.errorf(start, "%s is no JSON value", s.token(start))
	}
	return nil
}

// plain has the bytes of a string that need no second look: ASCII without control
// characters, quote and backslash.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str reads the string whose opening quote is at pos. The result points into the
// document when it has no escapes, else into s.buf.
func (s *Scanner) str() ([]byte, error) {
	s.last = s.pos
	start := s.pos + 1
	ascii := true
	for i := start; i < len(s.data); i++ {
		c := s.data[i]
		if plain[c] {
			continue
		}
		switch {
		case c == '"':
			s.pos = i + 1
			if b := s.data[start:i:i]; ascii || utf8.Valid(b) {
				return b, nil
			}
			return nil, s.invalidUTF8(start)
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			return nil, s.errorf(i, "control character 0x%02x in a string", c)
		default:
			ascii = false
		}
	}
	return nil, s.errorf(s.last, "a string without an end")
}

// escaped reads on from a string's first backslash, at offset i.
func (s *Scanner) escaped(start, i int) ([]byte, error) {
	b := append(s.buf[:0], s.data[start:i]...)
	for i < len(s.data) {
		c := s.data[i]
		switch {
		case c == '"':
			s.buf, s.pos = b, i+1
			// Escapes decode to valid UTF-8 and are ASCII themselves, so the
			// text between the quotes tells about both.
			if !utf8.Valid(s.data[start:i]) {
				return nil, s.invalidUTF8(start)
			}
			return b, nil
		case c < ' ':
			return nil, s.errorf(i, "control character 0x%02x in a string", c)
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		r, n, err := s.escape(i)
		if err != nil {
			return nil, err
		}
		b = utf8.AppendRune(b, r)
		i += n
	}
	return nil, s.errorf(s.last, "a string without an end")
}

// escape decodes the escape at offset i and returns its length in bytes.
func (s *Scanner) escape(i int) (r rune, n int, err error) {
	if i+1 >= len(s.data) {
		return 0, 0, s.errorf(s.last, "a string without an end")
	}
	switch c := s.data[i+1]; c {
	case '"', '\\', '/':
		return rune(c), 2, nil
	case 'b':
		return '\b', 2, nil
	case 'f':
		return '\f', 2, nil
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case 'u':
	default:
		return 0, 0, s.errorf(i, "unknown escape %s in a string", quote(s.data[i:i+2]))
	}
	r, ok := s.hex(i)
	switch {
	case !ok:
		return 0, 0, s.errorf(i, `\u without four hexadecimal digits`)
	case !utf16.IsSurrogate(r):
		return r, 6, nil
	}
	if low, ok := s.hex(i + 6); ok {
		if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
			return full, 12, nil
		}
	}
	return 0, 0, s.errorf(i, "unpaired surrogate %s in a string", s.data[i:i+6])
}

// hex decodes the four digits of the \u escape at offset i.
func (s *Scanner) hex(i int) (rune, bool) {
	if i+6 > len(s.data) || s.data[i] != '\\' || s.data[i+1] != 'u' {
		return 0, false
	}
	r := rune(0)
	for _, c := range s.data[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// invalidUTF8 names the first bad byte at or after an offset.
func (s *Scanner) invalidUTF8(offset int) error {
	for offset < len(s.data) {
		r, n := utf8.DecodeRune(s.data[offset:])
		if r == utf8.RuneError && n <= 1 {
			return s.errorf(offset, "byte 0x%02x is not valid UTF-8", s.data[offset])
		}
		offset += n
	}
	return s.errorf(offset, "invalid UTF-8")
}
