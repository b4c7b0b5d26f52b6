package jinja

import (
	"strings"
	"time"
)

// tests are by name.
var tests = map[string]func(x any, g *given) bool{
	"defined":   func(x any, g *given) bool { g.done(); _, no := x.(undefined); return !no },
	"undefined": func(x any, g *given) bool { g.done(); _, yes := x.(undefined); return yes },
	"none":      func(x any, g *given) bool { g.done(); return x == nil },
	"true":      func(x any, g *given) bool { g.done(); return x == true },
	"false":     func(x any, g *given) bool { g.done(); return x == false },
	"boolean":   func(x any, g *given) bool { g.done(); _, ok := x.(bool); return ok },
	"string":    func(x any, g *given) bool { g.done(); _, ok := x.(string); return ok },
	"mapping":   func(x any, g *given) bool { g.done(); _, ok := x.(*dict); return ok },
	"integer":   func(x any, g *given) bool { g.done(); _, ok := x.(int64); return ok },
	"float":     func(x any, g *given) bool { g.done(); _, ok := x.(float64); return ok },
	"callable":  func(x any, g *given) bool { g.done(); _, ok := x.(callable); return ok },
	"number":    func(x any, g *given) bool { g.done(); _, ok := number(x); return ok },
	"odd":       func(x any, g *given) bool { g.done(); return integer(x)&1 == 1 },
	"even":      func(x any, g *given) bool { g.done(); return integer(x)&1 == 0 },
	"iterable":  func(x any, g *given) bool { g.done(); return iterable(x, true) },
	"sequence":  func(x any, g *given) bool { g.done(); return iterable(x, true) },
	"in":        func(x any, g *given) bool { in := g.arg("seq", nil); g.done(); return contains(in, x) },
	"divisibleby": func(x any, g *given) bool {
		by := g.arg("num", nil)
		g.done()
		return integer(calculate("%", integer(x), integer(by))) == 0
	},
}

func init() {
	for _, names := range [][]string{{"==", "eq", "equalto"}, {"!=", "ne"}, {"<", "lt", "lessthan"}, {"<=", "le"}, {">", "gt", "greaterthan"}, {">=", "ge"}} {
		run := comparisons[names[0]]
		for _, n := range names {
			tests[n] = func(x any, g *given) bool { y := g.arg("other", nil); g.done(); return run(x, y) }
		}
	}
}

func iterable(x any, undefinedToo bool) bool {
	switch x.(type) {
	case *list, *dict, string:
		return true
	case undefined:
		return undefinedToo
	}
	return false
}

// globals are the functions that templates have.
var globals = map[string]any{
	"range": callable(func(s *state, args []any, with []named) any {
		if len(with) > 0 || len(args) < 1 || len(args) > 3 {
			fail("range takes one to three numbers")
		}
		from, to, by := int64(0), integer(args[0]), int64(1)
		if len(args) > 1 {
			from, to = to, integer(args[1])
		}
		if len(args) > 2 {
			by = integer(args[2])
		}
		if by == 0 {
			fail("range has the step 0")
		}
		const far = 1 << 40
		from, to, by = min(max(from, -far), far), min(max(to, -far), far), min(max(by, -far), far)
		l := &list{}
		for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
			if s.step(); len(l.items) == maxRange {
				fail("range has more than %d numbers", maxRange)
			}
			l.items = append(l.items, i)
		}
		return l
	}),
	"namespace": callable(func(_ *state, args []any, with []named) any { return dictionary(args, with, true) }),
	"dict":      callable(func(_ *state, args []any, with []named) any { return dictionary(args, with, false) }),
}

func dictionary(args []any, with []named, space bool) any {
	d := newDict()
	d.space = space
	for _, x := range args {
		from := mapping(x)
		for _, k := range from.keys {
			d.set(k, from.at[k])
		}
	}
	for _, n := range with {
		d.set(n.name, n.value)
	}
	return d
}

// directives are those of strftime that chat templates use, as Go writes them.
var directives = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'B': "January", 'b': "Jan", 'A': "Monday", 'a': "Mon", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'y': "06", 'j': "002",
}

// Strftime writes a time by a format of C's strftime.
func Strftime(t time.Time, format string) (out string, err error) {
	defer caught(&err)
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout := directives[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == '-' && i+1 < len(format) && directives[format[i+1]] != "": // without zeros
			i++
			s := strings.TrimLeft(t.Format(directives[format[i]]), "0")
			if s == "" {
				s = "0"
			}
			b.WriteString(s)
		case layout == "":
			fail("strftime's %%%c is not known", format[i])
		default:
			b.WriteString(t.Format(layout))
		}
	}
	return b.String(), nil
}
