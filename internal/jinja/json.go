package jinja

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// toJSON is json.dumps as transformers calls it: nothing is escaped for HTML, and
// characters beyond ASCII stay unless it is told otherwise.
func toJSON(_ *state, x any, g *given) any {
	w := &jsonWriter{colon: ": ", comma: ", "}
	// transformers' own has ensure_ascii before indent, Jinja's has indent alone.
	if len(g.list) > 0 {
		fail("%s takes its arguments by name", g.what)
	}
	w.ascii = truth(g.arg("ensure_ascii", false))
	if n := g.arg("indent", nil); n != nil {
		w.indent, w.comma = strings.Repeat(" ", int(min(max(integer(n), 0), 100))), ","
		w.lines = true
	}
	if sep := g.arg("separators", nil); sep != nil {
		l := items(sep)
		if len(l) != 2 {
			fail("%s: separators are two", g.what)
		}
		w.comma, w.colon = text(l[0]), text(l[1])
	}
	w.sorted = truth(g.arg("sort_keys", false))
	w.value(x, 0)
	return w.String()
}

type jsonWriter struct {
	strings.Builder
	comma, colon, indent string
	lines, ascii, sorted bool
}

func (w *jsonWriter) value(x any, depth int) {
	if depth > maxDepth || w.Len() > maxOutput {
		fail("tojson: the value is too large")
	}
	switch x := x.(type) {
	case nil:
		w.WriteString("null")
	case bool:
		fmt.Fprint(w, x)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			fail("tojson of %v", x)
		}
		w.WriteString(repr(x, 0))
	case int64:
		w.WriteString(repr(x, 0))
	case string:
		w.quote(x)
	case *list:
		w.group("[", "]", len(x.items), depth, func(i int) { w.value(x.items[i], depth+1) })
	case *dict:
		keys := x.keys
		if w.sorted {
			keys = slices.Clone(keys)
			slices.SortStableFunc(keys, order)
		}
		w.group("{", "}", len(keys), depth, func(i int) {
			k, ok := keys[i].(string)
			if !ok {
				fail("tojson of a mapping with the key %s", repr(keys[i], 0))
			}
			w.quote(k)
			w.WriteString(w.colon)
			w.value(x.at[k], depth+1)
		})
	default:
		fail("tojson of %s", typeName(x))
	}
}

func (w *jsonWriter) group(open, end string, n, depth int, item func(i int)) {
	w.WriteString(open)
	for i := range n {
		if i > 0 {
			w.WriteString(w.comma)
		}
		w.line(depth + 1)
		item(i)
	}
	if n > 0 {
		w.line(depth)
	}
	w.WriteString(end)
}

func (w *jsonWriter) line(depth int) {
	if w.lines {
		w.WriteString("\n" + strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) quote(s string) {
	w.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r < ' ' && strings.ContainsRune("\n\r\t\b\f", r):
			w.WriteString(map[rune]string{'\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}[r])
		case r < ' ', w.ascii && r >= 0x7f && r < 0x10000:
			fmt.Fprintf(w, `\u%04x`, r)
		case w.ascii && r >= 0x10000:
			r -= 0x10000
			fmt.Fprintf(w, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
}
