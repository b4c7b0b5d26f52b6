package jinja

import (
	"slices"
	"strings"
	"unicode"
)

// method is x.name to be called, or nil. Methods that change a value are not known, as
// in the sandbox of transformers.
func method(x any, name string) any {
	bind := func(run func(g *given) any) any {
		return callable(func(s *state, args []any, with []named) any {
			g := &given{what: "the method " + name, list: args, named: with}
			s.step()
			out := run(g)
			g.done()
			return out
		})
	}
	switch x := x.(type) {
	case string:
		if run := ofStrings[name]; run != nil {
			return bind(func(g *given) any { return run(x, g) })
		}
	case *dict:
		switch name {
		case "items":
			return bind(func(*given) any { return pairs(x) })
		case "keys":
			return bind(func(*given) any { return &list{items: slices.Clone(x.keys)} })
		case "values":
			return bind(func(*given) any {
				l := &list{}
				for _, k := range x.keys {
					l.items = append(l.items, x.at[k])
				}
				return l
			})
		case "get":
			return bind(func(g *given) any {
				key, other := g.arg("key", nil), g.arg("default", nil)
				switch key.(type) {
				case *list, *dict, callable:
					fail("%s is no key", typeName(key))
				}
				if v, ok := x.at[key]; ok {
					return v
				}
				return other
			})
		}
	case *list:
		switch name {
		case "index":
			return bind(func(g *given) any {
				v := g.arg("value", nil)
				i := slices.IndexFunc(x.items, func(y any) bool { return equal(y, v) })
				if i < 0 {
					fail("%s is not in the list", repr(v, 0))
				}
				return int64(i)
			})
		case "count":
			return bind(func(g *given) any {
				v, n := g.arg("value", nil), int64(0)
				for _, y := range x.items {
					if equal(y, v) {
						n++
					}
				}
				return n
			})
		}
	}
	return nil
}

func pairs(d *dict) *list {
	l := &list{}
	for _, k := range d.keys {
		l.items = append(l.items, &list{items: []any{k, d.at[k]}, tuple: true})
	}
	return l
}

// ofStrings are the methods of strings.
var ofStrings = map[string]func(s string, g *given) any{
	"strip": func(s string, g *given) any { return trimmed(s, g.arg("chars", nil), strings.TrimFunc, strings.Trim) },
	"lstrip": func(s string, g *given) any {
		return trimmed(s, g.arg("chars", nil), strings.TrimLeftFunc, strings.TrimLeft)
	},
	"rstrip": func(s string, g *given) any {
		return trimmed(s, g.arg("chars", nil), strings.TrimRightFunc, strings.TrimRight)
	},
	"upper":        func(s string, _ *given) any { return strings.ToUpper(s) },
	"lower":        func(s string, _ *given) any { return strings.ToLower(s) },
	"title":        func(s string, _ *given) any { return titled(s) },
	"capitalize":   func(s string, _ *given) any { return capitalized(s) },
	"startswith":   func(s string, g *given) any { return anyOf(s, g.arg("prefix", nil), strings.HasPrefix) },
	"endswith":     func(s string, g *given) any { return anyOf(s, g.arg("suffix", nil), strings.HasSuffix) },
	"removeprefix": func(s string, g *given) any { return strings.TrimPrefix(s, g.str("prefix", nil)) },
	"removesuffix": func(s string, g *given) any { return strings.TrimSuffix(s, g.str("suffix", nil)) },
	"find":         func(s string, g *given) any { return place(s, strings.Index(s, g.str("sub", nil))) },
	"rfind":        func(s string, g *given) any { return place(s, strings.LastIndex(s, g.str("sub", nil))) },
	"count":        func(s string, g *given) any { return int64(strings.Count(s, g.str("sub", nil))) },
	"isdigit": func(s string, _ *given) any {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }) < 0
	},
	"isspace": func(s string, _ *given) any {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) }) < 0
	},
	"replace": func(s string, g *given) any {
		return replaced(s, g.str("old", nil), g.str("new", nil), g.arg("count", int64(-1)))
	},
	"format": formatted,
	"split": func(s string, g *given) any {
		sep, most := g.arg("sep", nil), integer(g.arg("maxsplit", int64(-1)))
		var parts []string
		switch sep := sep.(type) {
		case nil:
			if most >= 0 {
				fail("split at white space with a bound is not known")
			}
			parts = strings.Fields(s)
		case string:
			if sep == "" {
				fail("split at an empty string")
			}
			n := -1
			if most >= 0 {
				n = int(min(most, maxSteps)) + 1
			}
			parts = strings.SplitN(s, sep, n)
		default:
			fail("split at %s", typeName(sep))
		}
		return strung(parts)
	},
	"rsplit": func(s string, g *given) any {
		sep, most := g.str("sep", nil), integer(g.arg("maxsplit", int64(-1)))
		if sep == "" {
			fail("split at an empty string")
		}
		var parts []string
		for ; most != 0; most-- {
			i := strings.LastIndex(s, sep)
			if i < 0 {
				break
			}
			parts, s = append(parts, s[i+len(sep):]), s[:i]
		}
		parts = append(parts, s)
		slices.Reverse(parts)
		return strung(parts)
	},
	"splitlines": func(s string, _ *given) any {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
		if s = strings.TrimSuffix(s, "\n"); s == "" {
			return &list{}
		}
		return strung(strings.Split(s, "\n"))
	},
	"join": func(s string, g *given) any {
		var parts []string
		for _, x := range items(g.arg("iterable", nil)) {
			p, ok := x.(string)
			if !ok {
				fail("join of %s", typeName(x))
			}
			parts = append(parts, p)
		}
		return joined(parts, s)
	},
}

func strung(parts []string) *list {
	l := &list{}
	for _, p := range parts {
		l.items = append(l.items, p)
	}
	return l
}

func joined(parts []string, sep string) string {
	n := len(sep) * len(parts)
	for _, p := range parts {
		n += len(p)
	}
	if n > maxOutput {
		fail("a string would be longer than %d bytes", maxOutput)
	}
	return strings.Join(parts, sep)
}

func trimmed(s string, chars any, white func(string, func(rune) bool) string, set func(string, string) string) string {
	switch chars := chars.(type) {
	case nil:
		return white(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }) // as Python
	case string:
		return set(s, chars)
	}
	fail("strip of %s", typeName(chars))
	return ""
}

func anyOf(s string, x any, has func(string, string) bool) bool {
	if t, ok := x.(*list); ok && t.tuple {
		return slices.ContainsFunc(t.items, func(y any) bool { return anyOf(s, y, has) })
	}
	sub, ok := x.(string)
	if !ok {
		fail("%s is no string", typeName(x))
	}
	return has(s, sub)
}

// place is an index in characters.
func place(s string, at int) int64 {
	if at < 0 {
		return -1
	}
	return int64(len([]rune(s[:at])))
}

func replaced(s, old, by string, count any) string {
	n := -1
	if c := integer(count); c >= 0 {
		n = int(min(c, maxSteps))
	}
	if found := strings.Count(s, old); len(s)+found*max(len(by)-len(old), 0) > maxOutput {
		fail("a string would be longer than %d bytes", maxOutput)
	}
	return strings.Replace(s, old, by, n)
}

func capitalized(s string) string {
	r := []rune(strings.ToLower(s))
	if len(r) > 0 {
		r[0] = unicode.ToTitle(r[0])
	}
	return string(r)
}

func titled(s string) string {
	in := false
	return strings.Map(func(r rune) rune {
		was := in
		if in = unicode.IsLetter(r); in && !was {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, s)
}

// formatted is str.format, of fields without conversions or widths.
func formatted(s string, g *given) any {
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		if s = s[i:]; len(s) > 1 && s[1] == s[0] {
			b.WriteByte(s[0])
			s = s[2:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if s[0] == '}' || end < 0 {
			fail("format: a brace stands alone")
		}
		key := s[1:end]
		if strings.ContainsAny(key, "{:!.[0123456789") {
			fail("format: the field {%s} is not known", key)
		}
		x := g.arg(key, undefined(key))
		if _, ok := x.(undefined); ok {
			fail("format: the field {%s} has no value", key)
		}
		b.WriteString(text(x))
		s = s[end+1:]
	}
	return bounded(b.String(), s)
}
