package tokenizer

import (
	"errors"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"

	"quern/internal/invalid"
)

// Bounds of what a pattern may cost. A backtracking matcher can take exponential
// time; published patterns run at several MB/s.
const (
	searchTime   = 20 * time.Second     // for one match
	encodeTime   = 30 * time.Second     // for all matches in a text, and
	encodeByte   = 4 * time.Microsecond // for each of its bytes
	backtracking = 4 << 20              // integers
)

// regex finds the matches of a pattern with regexp2.
type regex struct {
	pattern string // as the file has it
	re      *regexp2.Regexp
}

// compile translates a pattern and compiles it.
func compile(pattern string) (*regex, error) {
	text, err := translate(pattern)
	if err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(text, regexp2.OptionMaxBacktrackingStackSize(backtracking))
	if err != nil {
		return nil, invalid.Errorf("not supported: %s", short(err.Error()))
	}
	re.MatchTimeout = searchTime
	return &regex{pattern, re}, nil
}

// bounds are where a match begins and ends, in bytes.
type bounds struct{ start, end int }

// find appends the matches in s, leftmost first. As in the onig crate (find.rs,
// FindMatches), an empty match right behind another one does not count.
func (x *regex) find(e *encoder, s string, dst []bounds) ([]bounds, error) {
	begun := time.Now()
	runes := []rune(s)
	at, offset := 0, 0 // a rune, and the byte where it begins
	last, n, late := -1, 0, false
	err := x.re.FindRunesMatches(runes, 0, func(v regexp2.MatchView) bool {
		if n++; n%1024 == 0 && e.spent+time.Since(begun) > e.allowed {
			late = true
			return false
		}
		start, length, _ := v.GroupRange(0)
		if length == 0 && start == last {
			return true
		}
		for ; at < start; at++ {
			offset += utf8.RuneLen(runes[at])
		}
		m := bounds{start: offset}
		for ; at < start+length; at++ {
			offset += utf8.RuneLen(runes[at])
		}
		m.end = offset
		dst = append(dst, m)
		last = start + length
		return true
	})
	e.spent += time.Since(begun)
	switch {
	case errors.Is(err, regexp2.ErrBacktrackingStackLimit):
		return nil, invalid.Errorf("pre_tokenizer: pattern %q backtracks too far on this text", short(x.pattern))
	case err != nil || late || e.spent > e.allowed:
		// Its error is not passed on: it quotes the whole text.
		return nil, invalid.Errorf("pre_tokenizer: pattern %q takes too long on this text", short(x.pattern))
	}
	return dst, nil
}

// short cuts text for a message.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
