package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"quern/internal/invalid"
)

// Bounds of a pattern. Published ones have some 400 bytes; a class can become
// 10 KB when it is spelled out.
const (
	maxPattern    = 16 << 10
	maxTranslated = 2 << 20
	maxGroups     = 100 // one within the other
	maxRepeat     = 100_000
)

// translate turns a pattern in Oniguruma's syntax (ONIG_SYNTAX_ONIGURUMA, doc/RE of
// Oniguruma 6.9.10, UTF-8) into one that means the same to regexp2.
//
// Classes are spelled out as ranges, so that neither the Unicode version of the Go
// release nor regexp2's reading of \w matters. What else differs: ^ and $ are those
// of lines; {n}? is no lazy repetition but an optional one, and {n,m}+ no possessive
// one but a repetition of a repetition; {,m} begins at none; \v is one character;
// (?i) has folds of one character to several, so it is taken for ASCII only, where
// these are known. Refused: back references, calls, conditions, absent functions,
// callouts, named groups, \K \G \R \X, and whatever is not listed below.
func translate(pattern string) (string, error) {
	if len(pattern) > maxPattern {
		return "", invalid.Errorf("%d bytes, more than %d", len(pattern), maxPattern)
	}
	p := &translator{src: pattern}
	out, err := p.alternation()
	if err == nil && p.at < len(p.src) {
		err = p.errorf(p.at, "a ) without its (")
	}
	return out, err
}

// translator reads src from byte at on.
type translator struct {
	src   string
	at    int
	fold  bool // within (?i)
	depth int
	size  int // of what the classes have become
}

func (p *translator) errorf(at int, format string, args ...any) error {
	return invalid.Errorf("byte %d: %s", at, fmt.Sprintf(format, args...))
}

// take consumes a prefix.
func (p *translator) take(prefix string) bool {
	if strings.HasPrefix(p.src[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

// char consumes a code point.
func (p *translator) char() rune {
	r, n := utf8.DecodeRuneInString(p.src[p.at:])
	p.at += n
	return r
}

// more reports whether the group, or the pattern, goes on.
func (p *translator) more() bool { return p.at < len(p.src) && p.src[p.at] != ')' }

// alternation reads to the end of the group or pattern.
func (p *translator) alternation() (string, error) {
	var out strings.Builder
	fold := p.fold
	defer func() { p.fold = fold }()
	last := rune(0) // the literal before, within (?i)
	for p.more() {
		if p.take("|") {
			out.WriteByte('|')
			last = 0
			continue
		}
		if p.take("(?i)") {
			// It holds to the end of the group, alternatives included, and is a
			// group itself: a(?i)b|c is a(?i:b|c).
			p.fold = true
			rest, err := p.alternation()
			if err != nil {
				return "", err
			}
			out.WriteString("(?:" + rest + ")")
			break
		}
		start := p.at
		atom, kind, err := p.atom()
		if err != nil {
			return "", err
		}
		if pair := string([]rune{lowerRune(last), lowerRune(kind.literal)}); p.fold && slices.Contains(ligatures, pair) {
			return "", p.errorf(start, "%q without regard to case, which single letters fold to, is not supported", pair)
		}
		last = kind.literal
		if atom, err = p.quantified(atom, kind.anchor); err != nil {
			return "", err
		}
		out.WriteString(atom)
		if p.size+out.Len() > maxTranslated {
			return "", p.errorf(start, "too many large character classes")
		}
	}
	return out.String(), nil
}

// ligatures are the pairs of ASCII letters that single letters fold to: the sharp s
// and the ligatures of U+FB00 on (CaseFolding.txt, status F).
var ligatures = []string{"ss", "st", "ff", "fi", "fl"}

func lowerRune(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// kind is what the context needs to know about an atom.
type kind struct {
	literal rune // of a single character
	anchor  bool // it has no width and cannot be repeated
}

// atom reads one character, class, group or anchor.
func (p *translator) atom() (string, kind, error) {
	start := p.at
	switch r := p.char(); r {
	case '(':
		s, err := p.group(start)
		return s, kind{}, err
	case '[':
		set, err := p.class(start)
		if err != nil {
			return "", kind{}, err
		}
		s, err := p.set(set, start)
		return s, kind{}, err
	case '.':
		s, err := p.set(runeSet{{'\n', '\n'}}.complement(), start)
		return s, kind{}, err
	case '^':
		// Not after a line feed that ends the text (regexec.c, BEGIN_LINE).
		return `(?:\A|(?<=\n)(?!\z))`, kind{anchor: true}, nil
	case '$':
		return `(?=\n|\z)`, kind{anchor: true}, nil
	case '*', '+', '?':
		return "", kind{}, p.errorf(start, "%c without what it repeats", r)
	case '{':
		return "", kind{}, p.errorf(start, "a { that is not escaped")
	case '\\':
		return p.escape(start)
	default:
		s, err := p.literal(r, start)
		return s, kind{literal: r}, err
	}
}

// group reads a group whose ( has been read.
func (p *translator) group(start int) (string, error) {
	fold := p.fold
	open := "(?:"
	if p.take("?") {
		rest := p.src[p.at:]
		switch {
		case p.take(":"):
		case p.take("i:"):
			p.fold = true
		case p.take("-i:"):
			p.fold = false
		default:
			open = ""
			for _, x := range []string{"=", "!", "<=", "<!", ">"} {
				if p.take(x) {
					open = "(?" + x
					break
				}
			}
			if open == "" {
				return "", p.errorf(start, "the group (?%.3s is not supported", rest)
			}
		}
	} else if strings.HasPrefix(p.src[p.at:], "*") {
		return "", p.errorf(start, "callouts are not supported")
	}
	if p.depth++; p.depth > maxGroups {
		return "", p.errorf(start, "more than %d groups one within the other", maxGroups)
	}
	body, err := p.alternation()
	if err != nil {
		return "", err
	}
	if !p.take(")") {
		return "", p.errorf(start, "a ( without its )")
	}
	p.depth--
	p.fold = fold
	return open + body + ")", nil
}

// quantified reads the quantifiers that follow an atom.
func (p *translator) quantified(atom string, anchor bool) (string, error) {
	for p.at < len(p.src) {
		start := p.at
		var repeat string
		interval, fixed := false, false
		switch p.src[p.at] {
		case '*', '+', '?':
			repeat = string(p.src[p.at])
			p.at++
		case '{':
			var err error
			if repeat, fixed, err = p.interval(); err != nil {
				return "", err
			}
			interval = true
		default:
			return atom, nil
		}
		if anchor {
			return "", p.errorf(start, "an anchor cannot be repeated")
		}
		switch {
		case fixed:
			atom = "(?:" + atom + repeat + ")" // a ? after it is one of its own
		case p.take("?"):
			atom = "(?:" + atom + repeat + "?)"
		case !interval && p.take("+"):
			atom = "(?>" + atom + repeat + ")"
		default:
			atom = "(?:" + atom + repeat + ")"
		}
	}
	return atom, nil
}

// interval reads {n}, {n,}, {,m} or {n,m}; fixed says that it is the first.
func (p *translator) interval() (repeat string, fixed bool, err error) {
	start := p.at
	end := strings.IndexByte(p.src[p.at:], '}')
	if end < 0 {
		return "", false, p.errorf(start, "a { that is not escaped")
	}
	text := p.src[p.at+1 : p.at+end]
	p.at += end + 1
	least, most, comma := strings.Cut(text, ",")
	number := func(s string) int {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n > maxRepeat || len(s) > 6 {
			return -1
		}
		return int(n)
	}
	n, m := number(least), number(most)
	switch {
	case !comma && n >= 0:
		return fmt.Sprintf("{%d}", n), true, nil
	case comma && n >= 0 && most == "":
		return fmt.Sprintf("{%d,}", n), false, nil
	case comma && least == "" && m >= 0:
		return fmt.Sprintf("{0,%d}", m), false, nil
	case comma && n >= 0 && m >= n:
		return fmt.Sprintf("{%d,%d}", n, m), false, nil
	}
	return "", false, p.errorf(start, "the repetition {%s} is not supported", text)
}

// literal spells a character.
func (p *translator) literal(r rune, start int) (string, error) {
	if !p.fold {
		return spell(r), nil
	}
	if r >= utf8.RuneSelf {
		return "", p.errorf(start, "%q without regard to case is not supported", r)
	}
	return p.set(foldASCII(runeSet{{r, r}}), start)
}

// foldASCII adds the other cases of ASCII letters: two of them have a third form,
// the long s and the Kelvin sign (CaseFolding.txt).
func foldASCII(set runeSet) runeSet {
	out := set
	for r := 'a'; r <= 'z'; r++ {
		if upper := r - 'a' + 'A'; set.has(r) || set.has(upper) {
			out = union(out, runeSet{{r, r}}, runeSet{{upper, upper}})
			switch r {
			case 's':
				out = union(out, runeSet{{0x17f, 0x17f}})
			case 'k':
				out = union(out, runeSet{{0x212a, 0x212a}})
			}
		}
	}
	return out
}

// set spells a class.
func (p *translator) set(set runeSet, start int) (string, error) {
	if len(set) == 0 {
		return "(?!)", nil
	}
	var out strings.Builder
	out.WriteByte('[')
	for _, s := range set {
		out.WriteString(spell(s.lo))
		if s.hi > s.lo {
			out.WriteByte('-')
			out.WriteString(spell(s.hi))
		}
	}
	out.WriteByte(']')
	if p.size += out.Len(); p.size > maxTranslated {
		return "", p.errorf(start, "too many large character classes")
	}
	return out.String(), nil
}

// spell writes a code point so that regexp2 takes it for itself, in and outside of
// classes.
func spell(r rune) string {
	switch {
	case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return string(r)
	case r < 1<<16:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return string(r)
}
