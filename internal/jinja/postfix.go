package jinja

import (
	"slices"
	"strconv"
)

// postfix reads fields, subscripts and calls.
func (p *parser) postfix(e expr) expr {
	for {
		base, line := e, p.line
		switch {
		case p.skip('o', "."):
			t := p.next()
			var key any = t.text
			if t.kind == 'i' {
				n, _ := strconv.ParseInt(t.text, 10, 64)
				key = n
			} else if t.kind != 'n' {
				fail("line %d: %q is no field", p.line, t.text)
			}
			e = located(line, func(s *state, f *frame) any { return field(base(s, f), key, false) })
		case p.skip('o', "["):
			e = located(line, p.subscript(base))
		case p.skip('o', "("):
			args := p.args()
			e = located(line, func(s *state, f *frame) any {
				s.step()
				call, ok := base(s, f).(callable)
				if !ok {
					fail("%s cannot be called", typeName(base(s, f)))
				}
				list, named := args(s, f)
				return call(s, list, named)
			})
		default:
			return e
		}
	}
}

func (p *parser) subscript(base expr) expr {
	var bounds [3]expr
	n := 0
	for ; n < 3; n++ {
		if !p.is('o', ":", "]") {
			bounds[n] = p.expr()
		}
		if !p.skip('o', ":") {
			break
		}
	}
	p.want('o', "]")
	if n == 0 {
		if bounds[0] == nil {
			fail("line %d: a subscript is empty", p.line)
		}
		return func(s *state, f *frame) any { return field(base(s, f), bounds[0](s, f), true) }
	}
	return func(s *state, f *frame) any {
		var at [3]any
		for i, b := range bounds {
			if b != nil {
				at[i] = b(s, f)
			}
		}
		x := base(s, f)
		s.steps += len(items(x))
		return slice(x, at[0], at[1], at[2])
	}
}

// arguments are those of a call.
type arguments func(s *state, f *frame) ([]any, []named)

// args reads arguments behind a parenthesis.
func (p *parser) args() arguments {
	var list, values []expr
	var names []string
	for !p.skip('o', ")") {
		if p.peek().kind == 'n' && p.tokens[1].kind == 'o' && p.tokens[1].text == "=" {
			names = append(names, p.next().text)
			p.next()
			values = append(values, p.expr())
		} else {
			list = append(list, p.expr())
		}
		if !p.is('o', ")") {
			p.want('o', ",")
		}
	}
	return func(s *state, f *frame) (out []any, with []named) {
		for _, e := range list {
			out = append(out, e(s, f))
		}
		for i, e := range values {
			with = append(with, named{names[i], e(s, f)})
		}
		return out, with
	}
}

// filter reads what stands behind a bar.
func (p *parser) filter(x expr) expr {
	name, line := p.name(), p.line
	run := filters[name]
	if run == nil { // an error only where it is run, as in Jinja
		run = func(*state, any, *given) any { fail("the filter %q is not known", name); return nil }
	}
	args := arguments(func(*state, *frame) ([]any, []named) { return nil, nil })
	if p.skip('o', "(") {
		args = p.args()
	}
	return located(line, func(s *state, f *frame) any {
		s.step()
		in := x(s, f)
		list, named := args(s, f)
		return run(s, in, &given{what: "the filter " + name, list: list, named: named})
	})
}

// test reads what stands behind "is".
func (p *parser) test(x expr) expr {
	negated := p.skip('n', "not")
	name, line := p.name(), p.line
	run := tests[name]
	if run == nil {
		run = func(any, *given) bool { fail("the test %q is not known", name); return false }
	}
	args := arguments(func(*state, *frame) ([]any, []named) { return nil, nil })
	switch t := p.peek(); {
	case p.skip('o', "("):
		args = p.args()
	case t.kind == 's' || t.kind == 'i' || t.kind == 'f' || p.is('o', "[", "{"),
		t.kind == 'n' && !slices.Contains([]string{"else", "or", "and", "if", "is", "in", "not"}, t.text):
		e := p.postfix(p.primary())
		args = func(s *state, f *frame) ([]any, []named) { return []any{e(s, f)}, nil }
	}
	return located(line, func(s *state, f *frame) any {
		in := x(s, f)
		list, named := args(s, f)
		return run(in, &given{what: "the test " + name, list: list, named: named}) != negated
	})
}
