package strictjson

import (
	"fmt"
	"strconv"
)

// Difference is a place where two values are not the same.
type Difference struct {
	Path string // "rope_scaling.factor", "model.merges[3]"; "" at the top
	A, B *Value // nil where it is missing
}

// Diff lists where two values differ, in the order of a, then of what only b has. The
// order of members means nothing, that of elements does; numbers are equal if their
// values are; a null is not the same as no member. Members whose key skip says true to
// are left out at every depth; it may be nil. At most limit differences are listed.
func Diff(a, b *Value, skip func(key string) bool, limit int) []Difference {
	d := differ{skip: skip, limit: limit}
	d.values("", a, b)
	return d.out
}

type differ struct {
	skip  func(key string) bool
	limit int
	out   []Difference
}

func (d *differ) note(path string, a, b *Value) {
	if len(d.out) < d.limit {
		d.out = append(d.out, Difference{path, a, b})
	}
}

func (d *differ) values(path string, a, b *Value) {
	if len(d.out) >= d.limit {
		return
	}
	if a.Kind != b.Kind {
		d.note(path, a, b)
		return
	}
	switch a.Kind {
	case KindObject:
		d.members(path, a, b)
	case KindArray:
		for i := range max(len(a.Elems), len(b.Elems)) {
			at := path + "[" + strconv.Itoa(i) + "]"
			switch {
			case i >= len(a.Elems):
				d.note(at, nil, &b.Elems[i])
			case i >= len(b.Elems):
				d.note(at, &a.Elems[i], nil)
			default:
				d.values(at, &a.Elems[i], &b.Elems[i])
			}
		}
	default:
		if a.Text != b.Text && !sameNumber(a, b) {
			d.note(path, a, b)
		}
	}
}

func (d *differ) members(path string, a, b *Value) {
	if path != "" {
		path += "."
	}
	theirs := make(map[string]*Value, len(b.Members)) // vocabularies have 100,000s
	for i := range b.Members {
		theirs[b.Members[i].Key] = &b.Members[i].Value
	}
	for i := range a.Members {
		m := &a.Members[i]
		other := theirs[m.Key]
		delete(theirs, m.Key)
		switch {
		case d.skip != nil && d.skip(m.Key):
		case other == nil:
			d.note(path+m.Key, &m.Value, nil)
		default:
			d.values(path+m.Key, &m.Value, other)
		}
	}
	for i := range b.Members {
		m := &b.Members[i]
		if theirs[m.Key] != nil && (d.skip == nil || !d.skip(m.Key)) {
			d.note(path+m.Key, nil, &m.Value)
		}
	}
}

// sameNumber reports whether two numbers that are written differently are equal.
func sameNumber(a, b *Value) bool {
	x, ok := a.Float64()
	y, also := b.Float64()
	if !ok || !also || x != y {
		return false
	}
	_, i := a.Int64()
	_, k := b.Int64()
	return !i || !k // integers written differently are different, also beyond float64
}

// Brief is v in a few words, for messages.
func (v *Value) Brief() string {
	const most = 40
	switch {
	case v == nil:
		return "missing"
	case v.Kind == KindObject, v.Kind == KindArray:
		return fmt.Sprintf("%s of %d", v.Kind, len(v.Members)+len(v.Elems))
	case v.Kind == KindNull:
		return "null"
	case v.Kind != KindString:
		return v.Text
	}
	s := strconv.Quote(v.Text)
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}
