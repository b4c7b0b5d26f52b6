package tokenizer

import (
	"cmp"
	"slices"
	"sort"
	"unicode/utf8"

	"quern/internal/invalid"
)

// addedToken is an entry of added_tokens: a token that is found in the text before
// anything else happens to it.
type addedToken struct {
	content    string
	id         uint32
	singleWord bool // only where no word character stands beside it
	lstrip     bool // it takes the spaces before it
	rstrip     bool // it takes the spaces behind it
	normalized bool // it is looked for in the normalized text
}

// maxAdded bounds an added token in bytes: at each position of a text, as many
// steps may be needed.
const maxAdded = 1024

// addedSet finds added tokens: at each position the longest one, from left to right
// (AddedVocabulary in tokenizer/added_vocabulary.rs).
type addedSet struct {
	tokens []addedToken // sorted by content
	first  [256]struct{ lo, hi int32 }
}

// newAddedSet makes a set of tokens whose contents are what is looked for.
func newAddedSet(tokens []addedToken) (*addedSet, error) {
	x := &addedSet{tokens: tokens}
	slices.SortFunc(tokens, func(a, b addedToken) int {
		return cmp.Or(cmp.Compare(a.content, b.content), cmp.Compare(a.id, b.id))
	})
	for i, a := range tokens {
		if i > 0 && tokens[i-1].content == a.content {
			return nil, invalid.Errorf("%q is there twice, with ids %d and %d", short(a.content), tokens[i-1].id, a.id)
		}
		f := &x.first[a.content[0]]
		if f.hi == 0 {
			f.lo = int32(i)
		}
		f.hi = int32(i) + 1
	}
	return x, nil
}

// longest returns the longest token that begins at byte i of s, or nil.
func (x *addedSet) longest(s string, i int) *addedToken {
	r := x.first[s[i]]
	lo, hi := int(r.lo), int(r.hi)
	var found *addedToken
	for depth := 1; lo < hi; depth++ {
		if len(x.tokens[lo].content) == depth {
			found = &x.tokens[lo]
			lo++
		}
		if i+depth >= len(s) || lo == hi {
			break
		}
		c := s[i+depth]
		if x.tokens[lo].content[depth] != c || x.tokens[hi-1].content[depth] != c {
			n := hi - lo
			from := lo
			lo = from + sort.Search(n, func(k int) bool { return x.tokens[from+k].content[depth] >= c })
			hi = from + sort.Search(n, func(k int) bool { return x.tokens[from+k].content[depth] > c })
		}
	}
	return found
}

// extract calls token for the tokens in s and text for what lies between them.
func (x *addedSet) extract(s string, token func(uint32), text func(string) error) error {
	if len(x.tokens) == 0 {
		return text(s)
	}
	done := 0     // up to here s has been handed out
	spaceEnd := 0 // the end of the last run of spaces that rstrip took
	for i := 0; i < len(s); {
		if x.first[s[i]].hi == 0 {
			i++
			continue
		}
		a := x.longest(s, i)
		if a == nil {
			i++
			continue
		}
		start, stop := i, i+len(a.content)
		i = stop // also when the token is not taken: what it covers is not looked at again
		if a.singleWord && (endsInWord(s[:start]) || beginsInWord(s[stop:])) {
			continue
		}
		if a.lstrip {
			// A match before may have taken the spaces.
			start = max(done, trimmedRight(s, min(done, start), start))
		}
		if a.rstrip {
			if stop >= spaceEnd {
				spaceEnd = trimmedLeft(s, stop)
			}
			stop = spaceEnd
		}
		if start >= stop {
			continue // all of it was taken by rstrip before; past that, tokenizers panics
		}
		if done < start {
			if err := text(s[done:start]); err != nil {
				return err
			}
		}
		token(a.id)
		// With rstrip this can be behind where the next token begins, and then go back
		// again; tokenizers does so too.
		done = stop
	}
	if done < len(s) {
		return text(s[done:])
	}
	return nil
}

// trimmedRight is where the spaces that end at byte end of s begin, not before from.
func trimmedRight(s string, from, end int) int {
	t := classes()
	for end > from {
		r, n := utf8.DecodeLastRuneInString(s[:end])
		if c, _ := t.at(s, end-n); c&space == 0 || r == utf8.RuneError && n <= 1 {
			break
		}
		end -= n
	}
	return end
}

// trimmedLeft is where the spaces that begin at byte start of s end.
func trimmedLeft(s string, start int) int { return classes().run(s, start, space) }

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && wordRunes().has(r)
}

func beginsInWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && wordRunes().has(r)
}
