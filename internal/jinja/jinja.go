// Package jinja renders the templates that tokenizers bring for chats: a strict subset of
// Jinja (https://jinja.palletsprojects.com/en/stable/templates/) as transformers sets it
// up (trim_blocks, lstrip_blocks, loop controls, a sandbox in which nothing is changed).
// What is not known here, a statement, filter, test or method, is an error and never
// skipped, and a template can take neither files nor time nor memory without bound.
//
// The libraries that there are for Go do not read conditional expressions in
// parentheses, which a fifth of the templates of released models have.
package jinja

import (
	"fmt"
)

// Bounds of a template: those of released models use less than a hundredth.
const (
	maxSource = 4 << 20
	maxOutput = 64 << 20 // bytes
	maxSteps  = 1_000_000
	maxDepth  = 200 // of expressions and macros within each other
	maxRange  = 100_000
)

// Template is a template that was read. It is not for several goroutines at once.
type Template struct{ body []statement }

// failure is an error on its way up.
type failure struct{ error }

func fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}

// Parse reads a template. Errors name the line.
func Parse(source string) (t *Template, err error) {
	defer caught(&err)
	if len(source) > maxSource {
		fail("the template has %d bytes, more than %d", len(source), maxSource)
	}
	p := &parser{parts: cut(source)}
	t = &Template{body: p.block()}
	if p.at < len(p.parts) {
		p.begin(&p.parts[p.at])
		fail("line %d: %q has no beginning", p.parts[p.at].line, p.peek().text)
	}
	return t, nil
}

// Render writes the template with variables: nil, bool, int, string, []any,
// map[string]any or [Function].
func (t *Template) Render(variables map[string]any) (out string, err error) {
	defer caught(&err)
	s := &state{}
	root := &frame{vars: map[string]any{}}
	for name, f := range globals {
		root.vars[name] = f
	}
	for name, x := range variables {
		root.vars[name] = valueOf(x)
	}
	s.run(t.body, root)
	return s.out.String(), nil
}

// Function is something that templates call. Its errors end the rendering.
type Function func(args []any) (any, error)

// state is a rendering under way.
type state struct {
	out   output
	steps int
	depth int
}

func (s *state) step() {
	if s.steps++; s.steps > maxSteps {
		fail("the template takes more than %d steps", maxSteps)
	}
}

func (s *state) write(text string) {
	if s.out.Len()+len(text) > maxOutput {
		fail("the template writes more than %d bytes", maxOutput)
	}
	s.out.WriteString(text)
}

// deeper bounds what stands in itself.
func (s *state) deeper(f func()) {
	if s.depth++; s.depth > maxDepth {
		fail("macros call each other more than %d deep", maxDepth)
	}
	f()
	s.depth--
}

// frame has the variables of a loop, a macro or the template.
type frame struct {
	vars map[string]any
	up   *frame
}

func (f *frame) get(name string) any {
	for g := f; g != nil; g = g.up {
		if v, ok := g.vars[name]; ok {
			return v
		}
	}
	return undefined(name)
}

func (f *frame) inner() *frame { return &frame{vars: map[string]any{}, up: f} }

// output is what was written, in pieces.
type output struct {
	pieces []byte
}

func (o *output) Len() int { return len(o.pieces) }

func (o *output) WriteString(text string) { o.pieces = append(o.pieces, text...) }

func (o *output) String() string { return string(o.pieces) }
