package jinja

import (
	"fmt"
	"regexp"
)

// located puts the line before errors of e.
func located(line int, e expr) expr {
	return func(s *state, f *frame) any {
		defer func() {
			if r := recover(); r != nil {
				if x, ok := r.(failure); ok && !hasLine.MatchString(x.Error()) {
					r = failure{fmt.Errorf("line %d: %w", line, x.error)}
				}
				panic(r)
			}
		}()
		return e(s, f)
	}
}

var hasLine = regexp.MustCompile(`^line \d+: `)

// statements make programs of tags, by their first word; the parser is behind it.
var statements map[string]func(p *parser) statement

func init() { // they hold blocks, which hold statements
	statements = map[string]func(p *parser) statement{
		"if": (*parser).ifs, "for": (*parser).loop, "set": (*parser).set, "macro": (*parser).macro,
		"break":    func(p *parser) statement { return p.signals(breaks) },
		"continue": func(p *parser) statement { return p.signals(continues) },
		// Marks what a model wrote, for training; transformers writes its body.
		"generation": func(p *parser) statement {
			p.end()
			body := p.block("endgeneration")
			p.close()
			p.end()
			return func(s *state, f *frame) signal { return s.run(body, f) }
		},
	}
}

func (p *parser) signals(x signal) statement {
	p.end()
	return func(*state, *frame) signal { return x }
}

// run runs a block until one of its statements leaves it.
func (s *state) run(body []statement, f *frame) signal {
	for _, x := range body {
		s.step()
		if sig := x(s, f); sig != goOn {
			return sig
		}
	}
	return goOn
}

func (p *parser) ifs() statement {
	type branch struct {
		cond expr
		body []statement
	}
	var all []branch
	cond := p.list()
	for {
		p.end()
		all = append(all, branch{cond, p.block("endif", "else", "elif")})
		p.begin(&p.parts[p.at])
		word := p.next().text
		p.at++
		cond = nil
		if word == "elif" {
			cond = p.list()
		}
		if word == "endif" {
			p.end()
			break
		}
	}
	return func(s *state, f *frame) signal {
		for _, b := range all {
			if b.cond == nil || truth(b.cond(s, f)) {
				return s.run(b.body, f)
			}
		}
		return goOn
	}
}

// targets are the names that a value is given, or its parts.
func (p *parser) targets() []string {
	inside := p.skip('o', "(")
	names := []string{p.name()}
	for p.skip('o', ",") {
		names = append(names, p.name())
	}
	if inside {
		p.want('o', ")")
	}
	return names
}

func assign(f *frame, names []string, x any) {
	if len(names) == 1 {
		f.vars[names[0]] = x
		return
	}
	parts := items(x)
	if len(parts) != len(names) {
		fail("%d values for %d names", len(parts), len(names))
	}
	for i, n := range names {
		f.vars[n] = parts[i]
	}
}

func (p *parser) loop() statement {
	line := p.line
	names := p.targets()
	p.want('n', "in")
	over := p.or() // a condition here is the loop's
	if p.is('o', ",") {
		fail("line %d: a loop goes over one value", p.line)
	}
	var cond expr
	if p.skip('n', "if") {
		cond = p.expr()
	}
	p.end()
	body := p.block("endfor", "else")
	var other []statement
	p.begin(&p.parts[p.at])
	word := p.next().text
	p.end()
	p.at++
	if word == "else" {
		other = p.block("endfor")
		p.close()
		p.end()
	}
	list := located(line, func(s *state, f *frame) any {
		all := &dict{keys: items(over(s, f))}
		if cond == nil {
			return all
		}
		kept := &dict{}
		for _, x := range all.keys {
			s.step()
			in := f.inner()
			assign(in, names, x)
			if truth(cond(s, in)) {
				kept.keys = append(kept.keys, x)
			}
		}
		return kept
	})
	return func(s *state, f *frame) signal {
		all := list(s, f).(*dict).keys
		if len(all) == 0 {
			return s.run(other, f)
		}
		for i := range all {
			s.step()
			in := f.inner()
			assign(in, names, all[i])
			in.vars["loop"] = loopOf(all, i)
			if s.run(body, in) == breaks {
				break
			}
		}
		return goOn
	}
}

// loopOf is what a loop knows of itself.
func loopOf(all []any, i int) *dict {
	n := len(all)
	d := newDict()
	d.set("index", int64(i+1))
	d.set("index0", int64(i))
	d.set("revindex", int64(n-i))
	d.set("revindex0", int64(n-i-1))
	d.set("first", i == 0)
	d.set("last", i == n-1)
	d.set("length", int64(n))
	if i > 0 {
		d.set("previtem", all[i-1])
	}
	if i+1 < n {
		d.set("nextitem", all[i+1])
	}
	return d
}

func (p *parser) set() statement {
	if p.peek().kind == 'n' && p.tokens[1].kind == 'o' && p.tokens[1].text == "." {
		space := p.name()
		p.next()
		key := p.name()
		p.want('o', "=")
		e := p.list()
		p.end()
		return func(s *state, f *frame) signal {
			d, ok := f.get(space).(*dict)
			if !ok || !d.space {
				fail("%q is no namespace, so its field %q cannot be set", space, key)
			}
			d.set(key, e(s, f))
			return goOn
		}
	}
	names := p.targets()
	if p.skip('o', "=") {
		e := p.list()
		p.end()
		return func(s *state, f *frame) signal { assign(f, names, e(s, f)); return goOn }
	}
	p.end()
	body := p.block("endset")
	p.close()
	p.end()
	return func(s *state, f *frame) signal {
		assign(f, names, s.capture(func() { s.run(body, f.inner()) }))
		return goOn
	}
}

// capture is what f writes.
func (s *state) capture(f func()) string {
	before := s.out
	s.out = output{}
	f()
	words := s.out.String()
	s.out = before
	return words
}

func (p *parser) macro() statement {
	name := p.name()
	p.want('o', "(")
	var names []string
	var defaults []expr
	for !p.skip('o', ")") {
		names = append(names, p.name())
		var e expr
		if p.skip('o', "=") {
			e = p.expr()
		}
		defaults = append(defaults, e)
		if !p.is('o', ")") {
			p.want('o', ",")
		}
	}
	p.end()
	body := p.block("endmacro")
	p.close()
	p.end()
	return func(_ *state, f *frame) signal {
		f.vars[name] = callable(func(s *state, args []any, with []named) (out any) {
			if len(args) > len(names) {
				fail("macro %q takes %d arguments, not %d", name, len(names), len(args))
			}
			in := f.inner()
			for i, x := range args {
				in.vars[names[i]] = x
			}
			for _, x := range with {
				known := false
				for i, n := range names {
					known = known || n == x.name && i >= len(args)
				}
				if !known {
					fail("macro %q has no argument %q to be given", name, x.name)
				}
				in.vars[x.name] = x.value
			}
			for i, n := range names {
				if _, ok := in.vars[n]; ok {
					continue
				}
				in.vars[n] = undefined(n)
				if defaults[i] != nil {
					in.vars[n] = defaults[i](s, in)
				}
			}
			s.deeper(func() { out = s.capture(func() { s.run(body, in) }) })
			return out
		})
		return goOn
	}
}
