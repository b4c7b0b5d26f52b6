package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

type filter func(s *state, x any, g *given) any

// filters are by name. Each takes its arguments and refuses others.
var filters map[string]filter

func init() { // select and map look filters and tests up by name
	filters = map[string]filter{
		"tojson": toJSON,
		"string": func(_ *state, x any, _ *given) any { return text(x) },
		"safe":   func(_ *state, x any, _ *given) any { return x }, // nothing is escaped
		"trim": func(_ *state, x any, g *given) any {
			return trimmed(text(x), g.arg("chars", nil), strings.TrimFunc, strings.Trim)
		},
		"upper":      func(_ *state, x any, _ *given) any { return strings.ToUpper(text(x)) },
		"lower":      func(_ *state, x any, _ *given) any { return strings.ToLower(text(x)) },
		"title":      func(_ *state, x any, _ *given) any { return titled(text(x)) },
		"capitalize": func(_ *state, x any, _ *given) any { return capitalized(text(x)) },
		"replace": func(_ *state, x any, g *given) any {
			return replaced(text(x), g.str("old", nil), g.str("new", nil), g.arg("count", int64(-1)))
		},
		"length": length, "count": length,
		"default": orElse, "d": orElse,
		"first": func(_ *state, x any, _ *given) any { return edge(x, 0) },
		"last":  func(_ *state, x any, _ *given) any { return edge(x, -1) },
		"list":  func(_ *state, x any, _ *given) any { return &list{items: slices.Clone(items(x))} },
		"reverse": func(_ *state, x any, _ *given) any {
			return slice(sliceable(x), nil, nil, int64(-1))
		},
		"join": func(_ *state, x any, g *given) any {
			sep, key := g.str("d", ""), g.arg("attribute", nil)
			var parts []string
			for _, v := range items(x) {
				if key != nil {
					v = field(v, key, true)
				}
				parts = append(parts, text(v))
			}
			return joined(parts, sep)
		},
		"items": func(_ *state, x any, _ *given) any {
			if _, ok := x.(undefined); ok {
				return &list{}
			}
			return pairs(mapping(x))
		},
		"dictsort": func(_ *state, x any, _ *given) any {
			l := pairs(mapping(x))
			slices.SortStableFunc(l.items, func(a, b any) int { return order(folded(a.(*list).items[0]), folded(b.(*list).items[0])) })
			return l
		},
		"sort": func(_ *state, x any, g *given) any {
			back, cased, key := truth(g.arg("reverse", false)), truth(g.arg("case_sensitive", false)), g.arg("attribute", nil)
			of := func(v any) any {
				if key != nil {
					v = field(v, key, true)
				}
				if cased {
					return v
				}
				return folded(v)
			}
			l := &list{items: slices.Clone(items(x))}
			slices.SortStableFunc(l.items, func(a, b any) int {
				if back {
					a, b = b, a
				}
				return order(of(a), of(b))
			})
			return l
		},
		"unique": func(s *state, x any, _ *given) any {
			l := &list{}
			for _, v := range items(x) {
				s.steps += len(l.items)
				s.step()
				if !slices.ContainsFunc(l.items, func(w any) bool { return equal(folded(v), folded(w)) }) {
					l.items = append(l.items, v)
				}
			}
			return l
		},
		"int": func(_ *state, x any, g *given) any {
			other := g.arg("default", int64(0))
			if f, ok := number(x); ok && math.Abs(f) < 1<<62 {
				return int64(f)
			}
			if s, ok := x.(string); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
					return n
				}
			}
			return other
		},
		"float": func(_ *state, x any, g *given) any {
			other := g.arg("default", 0.0)
			if f, ok := number(x); ok {
				return f
			}
			if f, err := strconv.ParseFloat(strings.TrimSpace(text(x)), 64); err == nil {
				return f
			}
			return other
		},
		"abs": func(_ *state, x any, _ *given) any {
			if order(x, int64(0)) < 0 {
				return calculate("-", int64(0), x)
			}
			return x
		},
		"max": func(_ *state, x any, _ *given) any { return extreme(x, 1) },
		"min": func(_ *state, x any, _ *given) any { return extreme(x, -1) },
		"sum": func(_ *state, x any, _ *given) any {
			var sum any = int64(0)
			for _, v := range items(x) {
				sum = calculate("+", sum, v)
			}
			return sum
		},
		"indent": func(_ *state, x any, g *given) any {
			width, first, blank := g.arg("width", int64(4)), truth(g.arg("first", false)), truth(g.arg("blank", false))
			with, ok := width.(string)
			if !ok {
				with = strings.Repeat(" ", int(min(max(integer(width), 0), 1000)))
			}
			lines := strings.Split(text(x), "\n")
			for i := range lines {
				if (i > 0 || first) && (blank || lines[i] != "") {
					lines[i] = with + lines[i]
				}
			}
			return joined(lines, "\n")
		},
		"map":        mapped,
		"select":     func(s *state, x any, g *given) any { return selected(s, x, g, true, false) },
		"reject":     func(s *state, x any, g *given) any { return selected(s, x, g, false, false) },
		"selectattr": func(s *state, x any, g *given) any { return selected(s, x, g, true, true) },
		"rejectattr": func(s *state, x any, g *given) any { return selected(s, x, g, false, true) },
	}
	for name, run := range filters {
		filters[name] = func(s *state, x any, g *given) any {
			out := run(s, x, g)
			g.done()
			return out
		}
	}
}

func sliceable(x any) any {
	if _, ok := x.(string); ok {
		return x
	}
	return &list{items: items(x)}
}

func mapping(x any) *dict {
	d, ok := x.(*dict)
	if !ok {
		fail("%s is no mapping", typeName(x))
	}
	return d
}

func folded(x any) any {
	if s, ok := x.(string); ok {
		return strings.ToLower(s)
	}
	return x
}

func length(_ *state, x any, _ *given) any {
	if s, ok := x.(string); ok {
		return int64(utf8.RuneCountInString(s))
	}
	return int64(len(items(x)))
}

func orElse(_ *state, x any, g *given) any {
	other, falsy := g.arg("default_value", ""), truth(g.arg("boolean", false))
	if _, ok := x.(undefined); ok || falsy && !truth(x) {
		return other
	}
	return x
}

func edge(x any, at int) any {
	all := items(x)
	if len(all) == 0 {
		return undefined("an item of what is empty")
	}
	return all[(at+len(all))%len(all)]
}

func extreme(x any, sign int) any {
	all := items(x)
	if len(all) == 0 {
		return undefined("the extreme of what is empty")
	}
	out := all[0]
	for _, v := range all[1:] {
		if order(v, out)*sign > 0 {
			out = v
		}
	}
	return out
}

func mapped(s *state, x any, g *given) any {
	key, other := g.arg("attribute", nil), any(undefined("an attribute"))
	byName := len(g.list) > 0
	if !byName {
		other = g.arg("default", other)
	}
	l := &list{}
	if !truth(x) { // None too
		g.used = len(g.list)
		return l
	}
	for _, v := range items(x) {
		s.step()
		if byName { // of a filter
			name, _ := key.(string)
			run := filters[name]
			if run == nil {
				fail("the filter %q is not known", name)
			}
			in := &given{what: "the filter " + name, list: g.list[1:]}
			l.items = append(l.items, run(s, v, in))
			continue
		}
		v = field(v, key, true)
		if _, ok := v.(undefined); ok {
			v = other
		}
		l.items = append(l.items, v)
	}
	if byName {
		g.used = len(g.list)
	}
	return l
}

func selected(s *state, x any, g *given, want, attribute bool) any {
	var key any
	if attribute {
		key = g.arg("attribute", nil)
	}
	name, _ := g.arg("test", "").(string)
	rest := g.list[g.used:]
	g.used = len(g.list)
	run := tests[name]
	if name == "" {
		run = func(x any, _ *given) bool { return truth(x) }
	}
	if run == nil {
		fail("the test %q is not known", name)
	}
	l := &list{}
	if !truth(x) { // None too
		return l
	}
	for _, v := range items(x) {
		s.step()
		at := v
		if attribute {
			at = field(v, key, true)
		}
		if run(at, &given{what: "the test " + name, list: rest}) == want {
			l.items = append(l.items, v)
		}
	}
	return l
}
