// Package strictjson reads JSON of untrusted origin without guessing, and edits
// it without disturbing what it does not touch.
//
// It exists because encoding/json keeps the last of two duplicate keys, matches
// struct fields whatever their case, and replaces broken UTF-8 in silence: three
// ways for two programs to see two different files in the same bytes. Here all of
// that is refused, with the byte offset of the fault.
//
// [Parse] builds a tree ([Value]) that keeps the order of keys and the text of
// numbers, so that a file that is read, changed in one place and written with
// [Value.Indent] differs in that place only. [Scanner] reads the same grammar
// token by token, for documents too large for a tree.
//
// Every error that blames the text matches invalid.Input.
package strictjson

// DefaultMaxDepth is how deep arrays and objects may nest when
// [Options.MaxDepth] is zero.
const DefaultMaxDepth = 64

// maxDepthCeiling bounds MaxDepth itself: the tree is read by recursion, and its
// stack must stay small whatever a caller asks for.
const maxDepthCeiling = 10_000

// Options set the limits of a reader. The zero value has the defaults.
type Options struct {
	// MaxDepth is how many arrays and objects may be open at once; 0 means
	// DefaultMaxDepth, and more than 10,000 means 10,000.
	MaxDepth int
	// NonFinite lets NaN, Infinity and -Infinity stand as numbers: Python's json
	// module writes and reads them.
	NonFinite bool
}

func (o Options) maxDepth() int {
	switch {
	case o.MaxDepth <= 0:
		return DefaultMaxDepth
	case o.MaxDepth > maxDepthCeiling:
		return maxDepthCeiling
	}
	return o.MaxDepth
}

// Parse reads data, which must hold exactly one JSON value; whitespace may
// surround it.
//
// Refused beyond what the grammar of RFC 8259 refuses: duplicate keys at any
// level (compared after unescaping), invalid UTF-8, escapes of unpaired
// surrogates, a byte order mark, nesting beyond o.MaxDepth, and more than half a
// million values: the tree of a hostile text would take some forty times its bytes.
func Parse(data []byte, o Options) (Value, error) {
	s := NewScanner(data, o)
	v, err := s.Value()
	if err != nil {
		return Value{}, err
	}
	if err := s.End(); err != nil {
		return Value{}, err
	}
	return v, nil
}
