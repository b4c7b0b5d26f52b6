package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// part is a piece of a template: text, or the tokens of a tag.
type part struct {
	kind   byte // 't' text, '{' of {{ }}, '%' of {% %}
	text   string
	tokens []token
	line   int
}

// token is a name, number, string or operator of an expression.
type token struct {
	kind byte // 'n' name, 'i' integer, 'f' float, 's' string, 'o' operator, 0 the end
	text string
}

const space = " \t\n\r\v\f"

// cut takes a source apart and trims white space around tags as Jinja does with
// trim_blocks and lstrip_blocks (jinja2.lexer).
func cut(src string) (parts []part) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	line, fresh := 1, true // fresh: the text begins a line
	for src != "" {
		at := nextTag(src)
		text := src[:at]
		line += strings.Count(text, "\n")
		if at == len(src) {
			return append(parts, part{kind: 't', text: text})
		}
		kind, rest := src[at+1], src[at+2:]
		switch {
		case strings.HasPrefix(rest, "-"):
			text, rest = strings.TrimRight(text, space), rest[1:]
		case strings.HasPrefix(rest, "+"):
			rest = rest[1:]
		case kind != '{':
			from := strings.LastIndexByte(text, '\n') + 1
			if (from > 0 || fresh) && strings.Trim(text[from:], space) == "" {
				text = text[:from]
			}
		}
		if text != "" {
			parts = append(parts, part{kind: 't', text: text})
		}
		var tokens []token
		before := rest
		if kind == '#' {
			end := strings.Index(rest, "#}")
			if end < 0 {
				fail("line %d: a comment has no end", line)
			}
			if end > 0 && strings.IndexByte("-+", rest[end-1]) >= 0 {
				end--
			}
			rest = rest[end:]
		} else {
			tokens, rest = lex(rest, closing(kind), line)
			parts = append(parts, part{kind: kind, tokens: tokens, line: line})
		}
		begun := len(rest)
		switch {
		case strings.HasPrefix(rest, "-"):
			rest = strings.TrimLeft(rest[3:], space)
		case strings.HasPrefix(rest, "+"):
			rest = rest[3:]
		default:
			rest = rest[2:]
			if kind != '{' {
				rest = strings.TrimPrefix(rest, "\n")
			}
		}
		used := before[:len(before)-len(rest)]
		fresh = begun > len(rest) && strings.HasSuffix(used, "\n")
		line += strings.Count(used, "\n")
		src = rest
	}
	return parts
}

func closing(kind byte) string {
	if kind == '{' {
		return "}}"
	}
	return string(kind) + "}"
}

// nextTag is where the next tag begins, or the length of src.
func nextTag(src string) int {
	for i := 0; i+1 < len(src); i++ {
		if src[i] == '{' && (src[i+1] == '{' || src[i+1] == '%' || src[i+1] == '#') {
			return i
		}
	}
	return len(src)
}

// operators, the longer ones first.
var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":", "|"}

// lex reads tokens up to end, which stays in rest with the sign before it.
func lex(src, end string, line int) (tokens []token, rest string) {
	depth := 0
	for {
		src = strings.TrimLeft(src, space)
		if depth == 0 {
			if strings.HasPrefix(src, end) || len(src) > 0 && strings.IndexByte("-+", src[0]) >= 0 && strings.HasPrefix(src[1:], end) {
				return append(tokens, token{}), src
			}
		}
		if src == "" {
			fail("line %d: a tag has no %s", line, end)
		}
		c := src[0]
		switch {
		case c == '"' || c == '\'':
			text, n := quoted(src, line)
			tokens, src = append(tokens, token{'s', text}), src[n:]
			continue
		case c >= '0' && c <= '9':
			n := 1
			for n < len(src) && (src[n] >= '0' && src[n] <= '9' || src[n] == '_') {
				n++
			}
			kind := byte('i')
			if n+1 < len(src) && src[n] == '.' && src[n+1] >= '0' && src[n+1] <= '9' {
				kind = 'f'
				for n++; n < len(src) && src[n] >= '0' && src[n] <= '9'; n++ {
				}
			}
			tokens, src = append(tokens, token{kind, strings.ReplaceAll(src[:n], "_", "")}), src[n:]
			continue
		}
		if n := name(src); n > 0 {
			tokens, src = append(tokens, token{'n', src[:n]}), src[n:]
			continue
		}
		found := ""
		for _, op := range operators {
			if strings.HasPrefix(src, op) {
				found = op
				break
			}
		}
		switch found {
		case "":
			r, _ := utf8.DecodeRuneInString(src)
			fail("line %d: %q is not known", line, r)
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
		tokens, src = append(tokens, token{'o', found}), src[len(found):]
	}
}

// name is how many bytes of src are a name.
func name(src string) int {
	for i, r := range src {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return i
		}
	}
	return len(src)
}

// quoted reads a string as Python does, and the bytes that it takes.
func quoted(src string, line int) (string, int) {
	var b strings.Builder
	for i := 1; i < len(src); i++ {
		switch c := src[i]; {
		case c == src[0]:
			return b.String(), i + 1
		case c != '\\' || i+1 == len(src):
			b.WriteByte(c)
		default:
			i++
			if at := strings.IndexByte("\\'\"nrtbfav0\n", src[i]); at >= 0 {
				b.WriteString([]string{"\\", "'", "\"", "\n", "\r", "\t", "\b", "\f", "\a", "\v", "\x00", ""}[at])
				continue
			}
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[src[i]]
			if n == 0 {
				b.WriteString(src[i-1 : i+1]) // unknown ones stay
				continue
			}
			x, err := strconv.ParseUint(src[min(i+1, len(src)):min(i+1+n, len(src))], 16, 31)
			if err != nil {
				fail("line %d: an escape of a string is cut", line)
			}
			b.WriteRune(rune(x))
			i += n
		}
	}
	fail("line %d: a string has no end", line)
	return "", 0
}
