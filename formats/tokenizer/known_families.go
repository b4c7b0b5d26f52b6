package tokenizer

import "unicode/utf8"

// gpt2 is patternGPT2.
type gpt2 struct{ *classTable }

func (m gpt2) match(s string, i int) int {
	if s[i] == '\'' {
		if end := contraction(s, i, false); end >= 0 {
			return end
		}
	}
	at := i
	c, n := m.at(s, at)
	if s[i] == ' ' && i+1 < len(s) {
		at++
		c, n = m.at(s, at)
	}
	switch {
	case c&letter != 0:
		return m.run(s, at+n, letter)
	case c&number != 0:
		return m.run(s, at+n, number)
	case c&space == 0:
		return m.runNot(s, at+n, space|letter|number)
	}
	return m.spaces(s, i, false)
}

// cl100k is the family of patternLlama3: which class makes words, and how many
// digits go together.
type cl100k struct {
	*classTable
	words  class
	digits int
}

func (m cl100k) match(s string, i int) int {
	if s[i] == '\'' {
		if end := contraction(s, i, true); end >= 0 {
			return end
		}
	}
	c, n := m.at(s, i)
	// [^\r\n\p{L}\p{N}]? and letters: with a character before them if that leaves
	// a letter, else without.
	if at := i + n; c&(newline|letter|number) == 0 && at < len(s) {
		if next, size := m.at(s, at); next&m.words != 0 {
			return m.run(s, at+size, m.words)
		}
	}
	switch {
	case c&m.words != 0:
		return m.run(s, i+n, m.words)
	case c&number != 0:
		return numbers{m.classTable, number, m.digits}.match(s, i)
	}
	if end := m.symbols(s, i, c, space|m.words|number); end >= 0 {
		return lines(s, end)
	}
	return m.spaces(s, i, true)
}

// deepseek is patternDeepSeek. Digits match nothing: an earlier split has taken
// them out.
type deepseek struct{ *classTable }

func (m deepseek) match(s string, i int) int {
	c, n := m.at(s, i)
	if n == 1 && c&(punct|symbol) != 0 && i+1 < len(s) && asciiLetter(s[i+1]) {
		for i += 2; i < len(s) && asciiLetter(s[i]); i++ {
		}
		return i
	}
	const words = letter | mark
	if at := i + n; c&(newline|letter|punct|symbol) == 0 && at < len(s) {
		if next, size := m.at(s, at); next&words != 0 {
			return m.run(s, at+size, words)
		}
	}
	if c&words != 0 {
		return m.run(s, i+n, words)
	}
	at := i
	if s[i] == ' ' && i+1 < len(s) {
		at++
		c, n = m.at(s, at)
	}
	if c&(punct|symbol) != 0 {
		return lines(s, m.run(s, at+n, punct|symbol))
	}
	if c, _ := m.at(s, i); c&space != 0 {
		return m.spaces(s, i, true)
	}
	return -1
}

func asciiLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// o200k is patternO200k. Its first two alternatives are a word that ends in lower
// case, and one that begins in upper case; letters without case and marks count as
// both, so the first has to give back.
type o200k struct {
	*classTable
	not class // what words have nothing of
}

const (
	head = upper | uncased | mark // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
	tail = lower | uncased | mark // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
)

func (m o200k) match(s string, i int) int {
	end, slashes := m.matchLine(s, i)
	for slashes && end < len(s) && (s[end] == '\n' || s[end] == '\r' || s[end] == '/') {
		end++
	}
	return end
}

// matchLine is match but for the end of [^\s\p{L}\p{N}]+[\r\n/]*; symbols tells that
// it is that one which has matched.
func (m o200k) matchLine(s string, i int) (end int, symbols bool) {
	c, n := m.at(s, i)
	before := c&(newline|letter|number) == 0 // what [^\r\n\p{L}\p{N}] takes
	for _, word := range []func(string, int) int{m.lowerWord, m.upperWord} {
		end := -1
		if before {
			end = word(s, i+n)
		}
		if end < 0 {
			end = word(s, i)
		}
		if end < 0 {
			continue
		}
		if end < len(s) && s[end] == '\'' {
			if long := contraction(s, end, true); long >= 0 {
				end = long
			}
		}
		return end, false
	}
	if c&number != 0 {
		return numbers{m.classTable, number, 3}.match(s, i), false
	}
	if end := m.symbols(s, i, c, space|letter|number); end >= 0 {
		return end, true
	}
	return m.spaces(s, i, true), false
}

// lowerWord matches head*tail+ at byte i. head* takes all that it can; where no
// tail follows, it gives back until its last code point that is a tail too, and
// that one alone is then the tail, since those behind it are none.
func (m o200k) lowerWord(s string, i int) int {
	both := -1
	for i < len(s) {
		c, n := m.at(s, i)
		if c&m.not != 0 {
			break
		}
		if c&head == 0 {
			if c&tail != 0 {
				return m.runWord(s, i+n, tail)
			}
			break
		}
		i += n
		if c&tail != 0 {
			both = i
		}
	}
	return both
}

// upperWord matches head+tail* at byte i.
func (m o200k) upperWord(s string, i int) int {
	end := m.runWord(s, i, head)
	if end == i {
		return -1
	}
	return m.runWord(s, end, tail)
}

// runWord is run but for what words have nothing of.
func (m o200k) runWord(s string, i int, want class) int {
	for i < len(s) {
		c, n := m.at(s, i)
		if c&want == 0 || c&m.not != 0 {
			break
		}
		i += n
	}
	return i
}

// kimi is patternKimi.
type kimi struct{ words o200k }

func (m kimi) match(s string, i int) int {
	if s[i] >= utf8.RuneSelf {
		if end := m.words.run(s, i, han); end > i {
			return end
		}
	}
	end, symbols := m.words.matchLine(s, i)
	if symbols {
		end = lines(s, end)
	}
	return end
}
