package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Values are nil, bool, int64, float64, string, *list, *dict, callable and undefined.
type (
	// undefined is what a name or field is that does not exist: its name.
	undefined string

	list struct {
		items []any
		tuple bool
	}

	// dict keeps its order.
	dict struct {
		keys  []any
		at    map[any]any
		space bool // a namespace: its fields can be set
	}

	callable func(s *state, args []any, named []named) any

	named struct {
		name  string
		value any
	}
)

func newDict() *dict { return &dict{at: map[any]any{}} }

func (d *dict) set(k, v any) {
	switch k.(type) {
	case nil, bool, int64, float64, string:
	default:
		fail("%s is no key", typeName(k))
	}
	if _, ok := d.at[k]; !ok {
		d.keys = append(d.keys, k)
	}
	d.at[k] = v
}

// valueOf makes a value of what Go programs give.
func valueOf(x any) any {
	switch x := x.(type) {
	case int:
		return int64(x)
	case []any:
		l := &list{}
		for _, v := range x {
			l.items = append(l.items, valueOf(v))
		}
		return l
	case [][2]any: // pairs, which keep their order
		d := newDict()
		for _, v := range x {
			d.set(v[0], valueOf(v[1]))
		}
		return d
	case Function:
		return callable(func(_ *state, args []any, named []named) any {
			if len(named) > 0 {
				fail("%s: no such argument", named[0].name)
			}
			v, err := x(args)
			if err != nil {
				panic(failure{err})
			}
			return valueOf(v)
		})
	}
	return x
}

func typeName(x any) string {
	switch x := x.(type) {
	case nil:
		return "None"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case *list:
		return "a list"
	case *dict:
		return "a mapping"
	case undefined:
		return strconv.Quote(string(x)) + ", which is undefined,"
	}
	return "a function"
}

func truth(x any) bool {
	switch x := x.(type) {
	case nil, undefined:
		return false
	case bool:
		return x
	case int64:
		return x != 0
	case float64:
		return x != 0
	case string:
		return x != ""
	case *list:
		return len(x.items) > 0
	case *dict:
		return x.space || len(x.keys) > 0
	}
	return true
}

// text is x as it is written out.
func text(x any) string {
	switch x := x.(type) {
	case undefined:
		return ""
	case string:
		return x
	}
	return repr(x, 0)
}

// repr is x as Python shows it.
func repr(x any, depth int) string {
	if depth > maxDepth {
		fail("values lie more than %d deep", maxDepth)
	}
	switch x := x.(type) {
	case nil:
		return "None"
	case bool:
		if x {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		s := strconv.FormatFloat(x, 'g', -1, 64)
		if x == math.Trunc(x) && math.Abs(x) < 1e16 {
			s = strconv.FormatFloat(x, 'f', 1, 64)
		}
		return s
	case string:
		if strings.Contains(x, "'") && !strings.Contains(x, `"`) {
			return `"` + escapes.Replace(x) + `"`
		}
		return "'" + strings.ReplaceAll(escapes.Replace(x), "'", `\'`) + "'"
	case *list:
		var b []string
		for _, v := range x.items {
			b = append(b, repr(v, depth+1))
		}
		switch s := strings.Join(b, ", "); {
		case x.tuple && len(b) == 1:
			return "(" + s + ",)"
		case x.tuple:
			return "(" + s + ")"
		default:
			return "[" + s + "]"
		}
	case *dict:
		var b []string
		for _, k := range x.keys {
			b = append(b, repr(k, depth+1)+": "+repr(x.at[k], depth+1))
		}
		return "{" + strings.Join(b, ", ") + "}"
	}
	fail("%s cannot be written", typeName(x))
	return ""
}

var escapes = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// items are what a loop goes over.
func items(x any) []any {
	switch x := x.(type) {
	case undefined:
		return nil
	case *list:
		return x.items
	case *dict:
		return x.keys
	case string:
		out := make([]any, 0, utf8.RuneCountInString(x))
		for _, r := range x {
			out = append(out, string(r))
		}
		return out
	}
	fail("%s cannot be gone through", typeName(x))
	return nil
}

func number(x any) (float64, bool) {
	switch x := x.(type) {
	case int64:
		return float64(x), true
	case float64:
		return x, true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case *list:
		b, ok := b.(*list)
		if !ok || len(a.items) != len(b.items) {
			return false
		}
		for i := range a.items {
			if !equal(a.items[i], b.items[i]) {
				return false
			}
		}
		return true
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for k, v := range a.at {
			if w, ok := b.at[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case undefined:
		_, ok := b.(undefined)
		return ok
	case callable:
		return false
	case nil:
		return b == nil
	}
	s, ok := a.(string)
	u, also := b.(string)
	return ok && also && s == u
}

// order is -1, 0 or 1.
func order(a, b any) int {
	x, ok := number(a)
	y, also := number(b)
	if ok && also {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	s, ok := a.(string)
	u, also := b.(string)
	if !ok || !also {
		fail("%s and %s have no order", typeName(a), typeName(b))
	}
	return strings.Compare(s, u)
}

func contains(in, x any) bool {
	if s, ok := in.(string); ok {
		sub, ok := x.(string)
		if !ok {
			fail("%s cannot be in a string", typeName(x))
		}
		return strings.Contains(s, sub)
	}
	for _, v := range items(in) {
		if equal(v, x) {
			return true
		}
	}
	return false
}

// field is x.name, or x[name] with first what is in it.
func field(x any, key any, itemFirst bool) any {
	if u, ok := x.(undefined); ok {
		fail("%q is undefined", string(u))
	}
	nameOf, isName := key.(string)
	if isName && !itemFirst {
		if m := method(x, nameOf); m != nil {
			return m
		}
	}
	switch x := x.(type) {
	case *dict:
		switch key.(type) {
		case nil, bool, int64, float64, string:
			if v, ok := x.at[key]; ok {
				return v
			}
		}
	case *list:
		if i, ok := key.(int64); ok {
			if i < 0 {
				i += int64(len(x.items))
			}
			if i >= 0 && i < int64(len(x.items)) {
				return x.items[i]
			}
		}
	case string:
		if i, ok := key.(int64); ok {
			r := []rune(x)
			if i < 0 {
				i += int64(len(r))
			}
			if i >= 0 && i < int64(len(r)) {
				return string(r[i])
			}
		}
	}
	if isName && itemFirst {
		if m := method(x, nameOf); m != nil {
			return m
		}
	}
	return undefined(fmt.Sprint(key))
}

// slice is x[from:to:step].
func slice(x any, from, to, step any) any {
	var all []any
	if l, ok := x.(*list); ok {
		all = l.items
	} else if s, ok := x.(string); ok {
		all = items(s)
	} else {
		fail("%s has no slices", typeName(x))
	}
	n := int64(len(all))
	by := int64(1)
	if step != nil {
		by = integer(step)
	}
	if by == 0 {
		fail("a slice has the step 0")
	}
	by = min(max(by, -n-1), n+1) // adding it twice stays a number
	bound := func(v any, none, least, most int64) int64 {
		if v == nil {
			return none
		}
		i := integer(v)
		if i < 0 {
			i += n
		}
		return min(max(i, least), most)
	}
	var out []any
	if by > 0 {
		for i, end := bound(from, 0, 0, n), bound(to, n, 0, n); i < end; i += by {
			out = append(out, all[i])
		}
	} else {
		for i, end := bound(from, n-1, -1, n-1), bound(to, -1, -1, n-1); i > end; i += by {
			out = append(out, all[i])
		}
	}
	if _, ok := x.(string); !ok {
		return &list{items: out}
	}
	var b strings.Builder
	for _, c := range out {
		b.WriteString(c.(string))
	}
	return b.String()
}

func integer(x any) int64 {
	switch x := x.(type) {
	case int64:
		return x
	case bool:
		if x {
			return 1
		}
		return 0
	}
	fail("%s is no whole number", typeName(x))
	return 0
}
