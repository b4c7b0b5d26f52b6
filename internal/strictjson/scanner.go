package strictjson

import (
	"bytes"
	"errors"
	"math"

	"quern/internal/invalid"
)

// Scanner reads one JSON document from its start to its end, token by token,
// without building anything. An object is read as
//
//	err := s.ObjectStart()
//	for {
//		key, ok, err := s.Key()
//		if !ok {
//			break // the object was closed, or err is set
//		}
//		// read the value: Str, Uint64, ObjectStart, Value, Skip …
//	}
//
// and an array alike with ArrayStart and Next. After an error the Scanner is of no
// further use.
//
// The grammar is that of [Parse], with one exception: Key does not notice
// duplicate keys, because how to remember them cheaply depends on the document.
// The caller must. (Value and Skip do notice those inside what they read.)
type Scanner struct {
	data   []byte
	pos    int     // of the next unread byte
	last   int     // of the first byte of the last string or number read
	max    int     // depth allowed
	python bool    // Options.NonFinite
	values int     // read into trees
	open   []frame // the containers around pos, innermost last
	buf    []byte  // the last string that had escapes, decoded
}

// frame is one open container.
type frame struct {
	object bool
	filled bool // an element or a key was read
}

// errMisuse blames the calling code, so it does not match invalid.Input.
var errMisuse = errors.New("strictjson: Key or Next called outside of such a container")

// NewScanner returns a Scanner at the start of data, which it does not copy.
func NewScanner(data []byte, o Options) *Scanner {
	return &Scanner{data: data, max: o.maxDepth(), python: o.NonFinite}
}

// Offset is the position in data, in bytes, of the next byte to be read.
func (s *Scanner) Offset() int { return s.pos }

// Peek returns the kind of the value that begins at the next byte which is not
// whitespace, and reads no more than that whitespace.
func (s *Scanner) Peek() (Kind, error) {
	s.space()
	if s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '{':
			return KindObject, nil
		case c == '[':
			return KindArray, nil
		case c == '"':
			return KindString, nil
		case c == 't', c == 'f':
			return KindBool, nil
		case c == 'n':
			return KindNull, nil
		case c == '-', '0' <= c && c <= '9', s.nonFinite() != "":
			return KindNumber, nil
		}
	}
	if s.pos == 0 && bytes.HasPrefix(s.data, []byte("\xef\xbb\xbf")) {
		return KindNull, s.errorf(0, "a byte order mark before the JSON text: save it as UTF-8 without one")
	}
	return KindNull, s.errorf(s.pos, "expected a value, found %s", s.found())
}

// want reads up to a value of the kind given.
func (s *Scanner) want(k Kind) error {
	got, err := s.Peek()
	if err != nil {
		return err
	}
	if got != k {
		return s.errorf(s.pos, "expected %s, found %s", k, s.found())
	}
	return nil
}

// ObjectStart reads the brace that opens an object.
func (s *Scanner) ObjectStart() error { return s.start(KindObject) }

// ArrayStart reads the bracket that opens an array.
func (s *Scanner) ArrayStart() error { return s.start(KindArray) }

func (s *Scanner) start(k Kind) error {
	if err := s.want(k); err != nil {
		return err
	}
	if len(s.open) == s.max {
		return s.errorf(s.pos, "nested deeper than %d levels", s.max)
	}
	s.open = append(s.open, frame{object: k == KindObject})
	s.pos++
	return nil
}

// Key reads the next key of the innermost open object and the colon after it.
// ok is false when the object has ended (its closing brace is read) or on error.
// The key is unescaped; it is valid until the next call.
func (s *Scanner) Key() (key []byte, ok bool, err error) {
	if ok, err = s.advance(true, '}'); !ok {
		return nil, false, err
	}
	if s.space(); s.at() != '"' {
		return nil, false, s.errorf(s.pos, "expected a key in double quotes, found %s", s.found())
	}
	if key, err = s.str(); err != nil {
		return nil, false, err
	}
	if s.space(); s.at() != ':' {
		return nil, false, s.errorf(s.pos, "expected a colon after key %s, found %s", quote(key), s.found())
	}
	s.pos++
	return key, true, nil
}

// Next reports whether the innermost open array has another element, which the
// caller then reads; at the end it reads the closing bracket.
func (s *Scanner) Next() (bool, error) { return s.advance(false, ']') }

// advance reads the comma before the next element, or the closing byte.
func (s *Scanner) advance(object bool, closing byte) (bool, error) {
	if len(s.open) == 0 || s.open[len(s.open)-1].object != object {
		return false, errMisuse
	}
	top := &s.open[len(s.open)-1]
	s.space()
	switch c := s.at(); {
	case c == closing:
		s.pos++
		s.open = s.open[:len(s.open)-1]
		return false, nil
	case !top.filled:
		top.filled = true
		return true, nil
	case c != ',':
		return false, s.errorf(s.pos, "expected a comma or %q, found %s", closing, s.found())
	}
	s.pos++
	if s.space(); s.at() == closing {
		return false, s.errorf(s.pos, "a comma before %q", closing)
	}
	return true, nil
}

// Str reads a string and returns it unescaped, valid until the next call: it
// points into the document where there was nothing to unescape.
func (s *Scanner) Str() ([]byte, error) {
	if err := s.want(KindString); err != nil {
		return nil, err
	}
	return s.str()
}

// Uint64 reads a number that is written in decimal digits only: no sign, point or
// exponent, no leading zero, at most 2^64−1.
func (s *Scanner) Uint64() (uint64, error) {
	s.space()
	start, n := s.pos, uint64(0)
	s.last = start
	for ; s.pos < len(s.data); s.pos++ {
		c := s.data[s.pos] - '0'
		if c > 9 {
			break
		}
		if n > math.MaxUint64/10 || n == math.MaxUint64/10 && c > math.MaxUint64%10 {
			return 0, s.errorf(start, "integer %s exceeds 2^64-1", s.token(start))
		}
		n = n*10 + uint64(c)
	}
	digits := s.pos - start
	// What follows must end the number: "1.0" and "1e2" are not plain integers.
	if digits == 0 || !s.delimited() {
		return 0, s.errorf(start, "expected a plain non-negative integer, found %s", s.token(start))
	}
	if digits > 1 && s.data[start] == '0' {
		return 0, s.errorf(start, "integer %s has a leading zero", s.token(start))
	}
	return n, nil
}

// Skip reads a value of any kind, as strictly as [Scanner.Value], and drops it.
func (s *Scanner) Skip() error {
	_, err := s.Value()
	return err
}

// End demands that nothing but whitespace is left of the document.
func (s *Scanner) End() error {
	if s.space(); s.pos < len(s.data) {
		return s.errorf(s.pos, "expected the end of the text, found %s", s.found())
	}
	return nil
}

// at is the next byte, or 0 at the end: no token starts with 0.
func (s *Scanner) at() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *Scanner) space() {
	if s.pos < len(s.data) && s.data[s.pos] <= ' ' { // seldom, in compact text
		s.spaces()
	}
}

func (s *Scanner) spaces() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// errorf blames the text at an offset.
func (s *Scanner) errorf(offset int, format string, args ...any) error {
	return invalid.Errorf("byte %d: "+format, append([]any{offset}, args...)...)
}
