package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// escape reads what follows a backslash outside of a class.
func (p *translator) escape(start int) (string, kind, error) {
	anchors := map[byte]string{
		'A': `\A`, 'z': `\z`, 'Z': `(?=\u000A?\z)`,
	}
	if p.at < len(p.src) {
		c := p.src[p.at]
		if s, ok := anchors[c]; ok {
			p.at++
			return s, kind{anchor: true}, nil
		}
		if c == 'b' || c == 'B' {
			p.at++
			word, err := p.set(words(false), start)
			if err != nil {
				return "", kind{}, err
			}
			a, b := `(?!`+word+`)`, `(?=`+word+`)`
			if c == 'B' {
				a, b = b, a
			}
			return `(?:(?<=` + word + `)` + a + `|(?<!` + word + `)` + b + `)`, kind{anchor: true}, nil
		}
	}
	r, set, err := p.classEscape(start, false)
	if err != nil {
		return "", kind{}, err
	}
	if set == nil {
		s, err := p.literal(r, start)
		return s, kind{literal: r}, err
	}
	if p.fold && !strings.ContainsRune("sShHdD", rune(p.src[start+1])) {
		return "", kind{}, p.errorf(start, "%s without regard to case is not supported", p.src[start:p.at])
	}
	s, err := p.set(set, start)
	return s, kind{}, err
}

// class reads a class whose [ has been read.
func (p *translator) class(start int) (runeSet, error) {
	if p.depth++; p.depth > maxGroups {
		return nil, p.errorf(start, "more than %d classes one within the other", maxGroups)
	}
	negated := p.take("^")
	var all, part runeSet // what the parts before && have in common, and this part
	parts, first := 0, true
	for ; ; first = false {
		switch {
		case p.at >= len(p.src):
			return nil, p.errorf(start, "a [ without its ]")
		case p.take("&&"):
			if parts++; parts == 1 {
				all = part
			} else {
				all = all.intersect(part)
			}
			part = nil
			continue
		case !first && p.take("]"):
			if parts > 0 {
				part = all.intersect(part)
			}
			if p.fold {
				if n := len(part); negated || n > 0 && part[n-1].hi >= utf8.RuneSelf {
					return nil, p.errorf(start, "%s without regard to case is not supported", p.src[start:p.at])
				}
				part = foldASCII(part)
			}
			if negated {
				part = part.complement()
			}
			p.depth--
			if part == nil {
				part = runeSet{}
			}
			return part, nil
		}
		set, err := p.item(first)
		if err != nil {
			return nil, err
		}
		part = union(part, set)
	}
}

// item reads one character, range or class within a class.
func (p *translator) item(first bool) (runeSet, error) {
	start := p.at
	lo, set, err := p.member()
	if err != nil {
		return nil, err
	}
	if set == nil && lo == '-' && p.at == start+1 && !first && !strings.HasPrefix(p.src[p.at:], "]") {
		return nil, p.errorf(start, "a - in the middle of a class that is not escaped")
	}
	rest := p.src[p.at:]
	if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
		if set == nil {
			set = runeSet{{lo, lo}}
		}
		return set, nil
	}
	p.at++
	hi, end, err := p.member()
	if err != nil {
		return nil, err
	}
	if set != nil || end != nil || hi < lo {
		return nil, p.errorf(start, "%s is no range", p.src[start:p.at])
	}
	return runeSet{{lo, hi}}, nil
}

// member reads one character or class within a class.
func (p *translator) member() (rune, runeSet, error) {
	start := p.at
	switch {
	case p.take(`\`):
		return p.classEscape(start, true)
	case p.take("[:"):
		name, _, ok := strings.Cut(p.src[p.at:], ":]")
		set, known := posix(name)
		if !ok || !known {
			return 0, nil, p.errorf(start, "the class [:%.20s is not supported", p.src[p.at:])
		}
		p.at += len(name) + 2
		return 0, set, nil
	case p.take("["):
		set, err := p.class(start)
		return 0, set, err
	}
	return p.char(), nil, nil
}

// classEscape reads what follows a backslash: a class, or else a character.
func (p *translator) classEscape(start int, inClass bool) (rune, runeSet, error) {
	if p.at >= len(p.src) {
		return 0, nil, p.errorf(start, `a \ at the end`)
	}
	switch r := p.char(); r {
	case 't':
		return '\t', nil, nil
	case 'n':
		return '\n', nil, nil
	case 'v':
		return '\v', nil, nil
	case 'f':
		return '\f', nil, nil
	case 'r':
		return '\r', nil, nil
	case 'a':
		return '\a', nil, nil
	case 'e':
		return 0x1b, nil, nil
	case 'x', 'u':
		r, ok := p.hex(r)
		if !ok {
			return 0, nil, p.errorf(start, "%.8s… is not supported", p.src[start:])
		}
		return r, nil, nil
	case 's', 'S', 'd', 'D', 'h', 'H', 'w', 'W':
		var set runeSet
		switch r | ' ' {
		case 's':
			set, _ = posix("space")
		case 'd':
			set, _ = posix("digit")
		case 'h':
			set, _ = posix("xdigit")
		case 'w':
			set = words(inClass)
		}
		if r < 'a' {
			set = set.complement()
		}
		return 0, set, nil
	case 'p', 'P':
		name, _, ok := strings.Cut(p.src[p.at:], "}")
		negated := r == 'P'
		if ok = ok && strings.HasPrefix(name, "{"); ok {
			p.at += len(name) + 1
			inner, not := strings.CutPrefix(name[1:], "^")
			negated = negated != not
			var set runeSet
			if set, ok = property(inner); ok {
				if negated {
					set = set.complement()
				}
				return 0, set, nil
			}
		}
		return 0, nil, p.errorf(start, "the property %s is not supported", strconv.Quote(p.src[start:p.at]))
	default:
		if r < utf8.RuneSelf && (r < ' ' || '0' <= r && r <= '9' || 'a' <= r|' ' && r|' ' <= 'z') {
			return 0, nil, p.errorf(start, `\%c is not supported`, r)
		}
		return r, nil, nil
	}
}

// hex reads the digits of \xHH below 80, \x{H…} and \uHHHH.
func (p *translator) hex(kind rune) (rune, bool) {
	rest := p.src[p.at:]
	digits, skip := 2, 0
	switch {
	case kind == 'u':
		digits = 4
	case strings.HasPrefix(rest, "{"):
		digits, skip = strings.IndexByte(rest, '}')-1, 1
	}
	if digits < 1 || digits > 8 || len(rest) < digits+2*skip {
		return 0, false
	}
	text := rest[skip : skip+digits]
	n, err := strconv.ParseUint(text, 16, 32)
	p.at += digits + 2*skip
	if err != nil || strings.ContainsAny(text, "+-_") || n > utf8.MaxRune || n >= utf8.RuneSelf && kind == 'x' && skip == 0 {
		return 0, false
	}
	return rune(n), true
}

// words is \w. Outside of classes, Oniguruma looks the characters below U+0100 up
// in a table of ISO 8859-1 (unicode.c, EncUNICODE_ISO_8859_1_CtypeTable), which has
// the superscript digits and fractions as well.
func words(inClass bool) runeSet {
	sets := categories()
	out := union(sets["L"], sets["M"], sets["Nl"], sets["Nd"], sets["Pc"], circled)
	if !inClass {
		out = union(out, runeSet{{0xb2, 0xb3}, {0xb9, 0xb9}, {0xbc, 0xbe}})
	}
	return out
}

// posix returns the class of a POSIX bracket.
func posix(name string) (runeSet, bool) {
	sets := categories()
	switch name {
	case "space":
		return union(sets["Z"], controlSpaces), true
	case "digit":
		return sets["Nd"], true
	case "punct":
		return union(sets["P"], sets["S"]), true
	case "xdigit":
		return runeSet{{'0', '9'}, {'A', 'F'}, {'a', 'f'}}, true
	}
	return nil, false
}

// longNames are the names of general categories (PropertyValueAliases.txt).
var longNames = map[string]string{
	"letter": "L", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt",
	"modifierletter": "Lm", "otherletter": "Lo", "mark": "M", "nonspacingmark": "Mn",
	"spacingmark": "Mc", "enclosingmark": "Me", "number": "N", "decimalnumber": "Nd",
	"letternumber": "Nl", "othernumber": "No", "punctuation": "P", "punct": "P",
	"connectorpunctuation": "Pc", "dashpunctuation": "Pd", "openpunctuation": "Ps",
	"closepunctuation": "Pe", "initialpunctuation": "Pi", "finalpunctuation": "Pf",
	"otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc",
	"modifiersymbol": "Sk", "othersymbol": "So", "separator": "Z", "spaceseparator": "Zs",
	"lineseparator": "Zl", "paragraphseparator": "Zp", "digit": "Nd",
}

// property returns the class of \p{name}; case, spaces, - and _ do not count.
func property(name string) (runeSet, bool) {
	name = strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(name))
	if name == "" {
		return nil, false
	}
	if long, ok := longNames[name]; ok {
		name = long
	} else {
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	if set, ok := categories()[name]; ok {
		return set, true
	}
	set, ok := scripts[strings.ToLower(name)]
	return set, ok
}
