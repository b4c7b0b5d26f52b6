package tokenizer

import "strings"

// stage is a pre-tokenizer: it hands the pieces of s to stage next, in order.
type stage interface {
	split(e *encoder, next int, s string) error
}

// isolate is a Split with behavior Isolated by a hand-written matcher: each match
// is a piece, and so is what lies between two matches.
type isolate struct {
	matcher
	seeker // nil where matches lie close together
}

// seeker skips text for a matcher whose matches are rare.
type seeker interface {
	// seek returns the first byte at or after i where a match may begin.
	seek(s string, i int) int
}

func newIsolate(m matcher) isolate {
	s, _ := m.(seeker)
	return isolate{m, s}
}

func (x isolate) split(e *encoder, next int, s string) error {
	done := 0
	for i := 0; i < len(s); {
		if x.seeker != nil {
			if i = x.seek(s, i); i == len(s) {
				break
			}
		}
		end := x.match(s, i)
		if end < 0 {
			for i++; i < len(s) && s[i]&0xc0 == 0x80; i++ {
			}
			continue
		}
		if done < i {
			if err := e.piece(next, s[done:i]); err != nil {
				return err
			}
		}
		if err := e.piece(next, s[i:end]); err != nil {
			return err
		}
		i, done = end, end
	}
	return e.piece(next, s[done:])
}

// prefix is ByteLevel's add_prefix_space: it applies to each piece that has come so
// far.
type prefix struct{}

func (prefix) split(e *encoder, next int, s string) error {
	if !strings.HasPrefix(s, " ") {
		s = " " + s
	}
	return e.piece(next, s)
}

// finder finds the matches of a Split.
type finder interface {
	find(e *encoder, s string, dst []bounds) ([]bounds, error)
}

// literal finds a string.
type literal string

func (x literal) find(_ *encoder, s string, dst []bounds) ([]bounds, error) {
	for at := 0; ; {
		i := strings.Index(s[at:], string(x))
		if i < 0 {
			return dst, nil
		}
		dst = append(dst, bounds{at + i, at + i + len(x)})
		at += i + len(x)
	}
}

// behavior is what a Split does with its matches (SplitDelimiterBehavior).
type behavior uint8

const (
	isolated behavior = iota
	removed
	contiguous
	mergedWithPrevious
	mergedWithNext
)

var behaviors = map[string]behavior{
	"Isolated": isolated, "Removed": removed, "Contiguous": contiguous,
	"MergedWithPrevious": mergedWithPrevious, "MergedWithNext": mergedWithNext,
}

// splitter is a Split of any kind.
type splitter struct {
	finder
	behavior behavior
	invert   bool // what lies between the matches counts as the matches
}

// part is a match, or what lies between two.
type part struct {
	bounds
	match bool
}

func (x splitter) split(e *encoder, next int, s string) error {
	found, err := x.find(e, s, nil)
	if err != nil {
		return err
	}
	parts := make([]part, 0, 2*len(found)+1)
	done := 0
	for _, m := range found {
		if done < m.start {
			parts = append(parts, part{bounds{done, m.start}, x.invert})
		}
		parts = append(parts, part{m, !x.invert})
		done = m.end
	}
	if done < len(s) {
		parts = append(parts, part{bounds{done, len(s)}, x.invert})
	}
	for _, p := range x.behavior.join(parts) {
		if err := e.piece(next, s[p.start:p.end]); err != nil {
			return err
		}
	}
	return nil
}

// join makes pieces of parts that cover a text (NormalizedString::split in
// tokenizer/normalizer.rs). A match that stands between matches is a piece of its
// own whatever the behavior, but for Contiguous.
func (b behavior) join(parts []part) []part {
	out := parts[:0]
	before := false // whether the part before was a match
	for i, p := range parts {
		switch {
		case b == removed && p.match:
			continue
		case len(out) > 0 && (b == contiguous && p.match == before || b == mergedWithPrevious && p.match && !before):
			out[len(out)-1].end = p.end
		case b == mergedWithNext && i > 0 && before && !p.match:
			out[len(out)-1].end = p.end
		default:
			out = append(out, p)
		}
		before = p.match
	}
	return out
}
