package jinja

import (
	"slices"
	"strconv"
)

type (
	expr      func(s *state, f *frame) any
	statement func(s *state, f *frame) signal

	// signal is how a statement ends.
	signal int
)

const (
	goOn signal = iota
	breaks
	continues
)

// parser makes a program of parts.
type parser struct {
	parts  []part
	at     int
	tokens []token // of the tag that is read
	line   int
	depth  int
}

func (p *parser) begin(x *part) { p.tokens, p.line = x.tokens, x.line }

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

// is reports whether an operator or a word is next.
func (p *parser) is(kind byte, texts ...string) bool {
	t := p.peek()
	return t.kind == kind && slices.Contains(texts, t.text)
}

func (p *parser) skip(kind byte, text string) bool {
	if p.is(kind, text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) want(kind byte, text string) {
	if !p.skip(kind, text) {
		fail("line %d: %s stands where %q should", p.line, p.shown(), text)
	}
}

func (p *parser) shown() string {
	if p.peek().kind == 0 {
		return "the end of the tag"
	}
	return strconv.Quote(p.peek().text)
}

func (p *parser) name() string {
	t := p.next()
	if t.kind != 'n' {
		fail("line %d: %q is no name", p.line, t.text)
	}
	return t.text
}

func (p *parser) end() {
	if p.peek().kind != 0 {
		fail("line %d: %s is not known here", p.line, p.shown())
	}
}

// nested bounds how deep things stand in each other.
func (p *parser) nested() func() {
	if p.depth++; p.depth > maxDepth {
		fail("line %d: more than %d things in each other", p.line, maxDepth)
	}
	return func() { p.depth-- }
}

// block reads up to a tag that begins with one of ends, which stays.
func (p *parser) block(ends ...string) (out []statement) {
	defer p.nested()()
	for p.at < len(p.parts) {
		x := &p.parts[p.at]
		switch x.kind {
		case 't':
			words := x.text
			out = append(out, func(s *state, _ *frame) signal { s.write(words); return goOn })
		case '{':
			p.begin(x)
			e := p.list()
			p.end()
			line := x.line
			out = append(out, func(s *state, f *frame) signal { s.write(text(located(line, e)(s, f))); return goOn })
		default:
			word := x.tokens[0].text
			if slices.Contains(ends, word) {
				return out
			}
			make := statements[word]
			if make == nil {
				if len(ends) == 0 && (len(word) > 3 && word[:3] == "end" || word == "else" || word == "elif") {
					return out
				}
				fail("line %d: the statement %q is not known", x.line, word)
			}
			p.begin(x)
			p.next()
			p.at++
			out = append(out, make(p))
			continue
		}
		p.at++
	}
	if len(ends) > 0 {
		fail("line %d: %q is missing", p.line, ends[0])
	}
	return out
}

// close leaves the tag that ends a block.
func (p *parser) close() {
	p.begin(&p.parts[p.at])
	p.next()
	p.at++
}

// list is an expression, or several with commas between them: a tuple.
func (p *parser) list() expr {
	first := p.expr()
	if !p.is('o', ",") {
		return first
	}
	all := []expr{first}
	for p.skip('o', ",") {
		if p.peek().kind == 0 || p.is('o', ")", "=") {
			break
		}
		all = append(all, p.expr())
	}
	return tuple(all, true)
}

func tuple(all []expr, isTuple bool) expr {
	return func(s *state, f *frame) any {
		l := &list{tuple: isTuple}
		for _, e := range all {
			l.items = append(l.items, e(s, f))
		}
		return l
	}
}

// expr is a condition: a if b else c.
func (p *parser) expr() expr {
	defer p.nested()()
	e := p.or()
	for p.skip('n', "if") {
		yes, cond := e, p.or()
		no := expr(func(*state, *frame) any { return undefined("a condition without else") })
		if p.skip('n', "else") {
			no = p.expr()
		}
		e = func(s *state, f *frame) any {
			if truth(cond(s, f)) {
				return yes(s, f)
			}
			return no(s, f)
		}
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for p.skip('n', "or") {
		a, b := e, p.and()
		e = func(s *state, f *frame) any {
			if x := a(s, f); truth(x) {
				return x
			}
			return b(s, f)
		}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.skip('n', "and") {
		a, b := e, p.not()
		e = func(s *state, f *frame) any {
			if x := a(s, f); !truth(x) {
				return x
			}
			return b(s, f)
		}
	}
	return e
}

func (p *parser) not() expr {
	defer p.nested()()
	if p.skip('n', "not") {
		e := p.not()
		return func(s *state, f *frame) any { return !truth(e(s, f)) }
	}
	return p.compare()
}

// comparisons are by operator.
var comparisons = map[string]func(a, b any) bool{
	"==":     equal,
	"!=":     func(a, b any) bool { return !equal(a, b) },
	"<":      func(a, b any) bool { return order(a, b) < 0 },
	"<=":     func(a, b any) bool { return order(a, b) <= 0 },
	">":      func(a, b any) bool { return order(a, b) > 0 },
	">=":     func(a, b any) bool { return order(a, b) >= 0 },
	"in":     func(a, b any) bool { return contains(b, a) },
	"not in": func(a, b any) bool { return !contains(b, a) },
}

func (p *parser) compare() expr {
	first := p.math(0)
	var ops []func(a, b any) bool
	var rest []expr
	for {
		op := ""
		switch {
		case p.is('o', "==", "!=", "<", "<=", ">", ">="), p.is('n', "in"):
			op = p.next().text
		case p.is('n', "not") && p.tokens[1].kind == 'n' && p.tokens[1].text == "in":
			p.next()
			p.next()
			op = "not in"
		}
		if op == "" {
			break
		}
		ops, rest = append(ops, comparisons[op]), append(rest, p.math(0))
	}
	if ops == nil {
		return first
	}
	return func(s *state, f *frame) any {
		a := first(s, f)
		for i, op := range ops {
			b := rest[i](s, f)
			if !op(a, b) {
				return false
			}
			a = b
		}
		return true
	}
}

// levels are the operators of arithmetic, those that bind least first.
var levels = [][]string{{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}

func (p *parser) math(level int) expr {
	if level == len(levels) {
		return p.unary(true)
	}
	e := p.math(level + 1)
	for p.is('o', levels[level]...) {
		op, a, line := p.next().text, e, p.line
		b := p.math(level + 1)
		e = located(line, func(s *state, f *frame) any { return calculate(op, a(s, f), b(s, f)) })
	}
	return e
}

func (p *parser) unary(filters bool) expr {
	defer p.nested()()
	var e expr
	switch {
	case p.skip('o', "-"):
		x := p.unary(false)
		e = func(s *state, f *frame) any { return calculate("-", int64(0), x(s, f)) }
	case p.skip('o', "+"):
		e = p.unary(false)
	default:
		e = p.postfix(p.primary())
	}
	for filters {
		switch {
		case p.skip('o', "|"):
			e = p.filter(e)
		case p.skip('n', "is"):
			e = p.test(e)
		default:
			return e
		}
	}
	return e
}

// constants are words that stand for values.
var constants = map[string]any{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

func (p *parser) primary() expr {
	constant := func(x any) expr { return func(*state, *frame) any { return x } }
	t := p.next()
	switch t.kind {
	case 'n':
		if x, ok := constants[t.text]; ok {
			return constant(x)
		}
		if slices.Contains([]string{"if", "else", "and", "or", "not", "in", "is", "for"}, t.text) {
			fail("line %d: %q stands where a value should", p.line, t.text)
		}
		return func(_ *state, f *frame) any { return f.get(t.text) }
	case 's':
		words := t.text
		for p.peek().kind == 's' {
			words += p.next().text
		}
		return constant(words)
	case 'i':
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			fail("line %d: %s is too large", p.line, t.text)
		}
		return constant(n)
	case 'f':
		x, _ := strconv.ParseFloat(t.text, 64)
		return constant(x)
	}
	switch t.text {
	case "(":
		if p.skip('o', ")") {
			return tuple(nil, true)
		}
		e := p.list()
		p.want('o', ")")
		return e
	case "[":
		var all []expr
		for !p.skip('o', "]") {
			all = append(all, p.expr())
			if !p.is('o', "]") {
				p.want('o', ",")
			}
		}
		return tuple(all, false)
	case "{":
		var keys, values []expr
		for !p.skip('o', "}") {
			keys = append(keys, p.expr())
			p.want('o', ":")
			values = append(values, p.expr())
			if !p.is('o', "}") {
				p.want('o', ",")
			}
		}
		return func(s *state, f *frame) any {
			d := newDict()
			for i := range keys {
				d.set(keys[i](s, f), values[i](s, f))
			}
			return d
		}
	}
	if t.kind == 0 {
		fail("line %d: a value is missing", p.line)
	}
	fail("line %d: %q stands where a value should", p.line, t.text)
	return nil
}
