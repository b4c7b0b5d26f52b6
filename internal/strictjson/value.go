package strictjson

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Kind is the type of a JSON value. Its zero value is [KindNull].
type Kind uint8

// The kinds of JSON values.
const (
	KindNull Kind = iota
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// String names the kind with its article, as messages need it: "an object".
func (k Kind) String() string {
	switch k {
	case KindNull:
		return "null"
	case KindBool:
		return "a boolean"
	case KindNumber:
		return "a number"
	case KindString:
		return "a string"
	case KindArray:
		return "an array"
	case KindObject:
		return "an object"
	}
	return "an unknown kind"
}

// Value is a JSON value. The zero value is null.
type Value struct {
	Kind Kind
	// Text is the decoded string, or the number, true or false as it was written.
	Text string
	// Elems are the elements of an array; nil when it is empty.
	Elems []Value
	// Members are the members of an object in their order; nil when it is empty.
	Members []Member
}

// Member is a key of an object and its value.
type Member struct {
	Key   string
	Value Value
}

// String returns a string value. Bytes of s that are not UTF-8 are written as
// U+FFFD.
func String(s string) Value { return Value{Kind: KindString, Text: s} }

// Int returns a number value.
func Int(i int64) Value { return Value{Kind: KindNumber, Text: strconv.FormatInt(i, 10)} }

// Bool returns a boolean value.
func Bool(b bool) Value { return Value{Kind: KindBool, Text: strconv.FormatBool(b)} }

// Array returns an array of the elements given.
func Array(elems ...Value) Value { return Value{Kind: KindArray, Elems: elems} }

// Object returns an object of the members given. Their keys must differ: this is
// not checked, and an object with a key twice is one that [Parse] refuses.
func Object(members ...Member) Value { return Value{Kind: KindObject, Members: members} }

// Get returns the value of a key (matched byte for byte), or nil when v is nil,
// is no object, or lacks the key. The pointer is into v: it lets the value be
// changed in place, and it is stale after Set or Delete on v.
func (v *Value) Get(key string) *Value {
	if i := v.index(key); i >= 0 {
		return &v.Members[i].Value
	}
	return nil
}

// Set replaces the value of a key in its place, or appends the key. A v that is
// no object becomes one; a nil v is left alone.
func (v *Value) Set(key string, x Value) {
	if v == nil {
		return
	}
	if i := v.index(key); i >= 0 {
		v.Members[i].Value = x
		return
	}
	if v.Kind != KindObject {
		*v = Value{Kind: KindObject}
	}
	v.Members = append(v.Members, Member{Key: key, Value: x})
}

// Delete removes a key and reports whether it was there. The others keep their
// order.
func (v *Value) Delete(key string) bool {
	i := v.index(key)
	if i < 0 {
		return false
	}
	v.Members = slices.Delete(v.Members, i, i+1)
	if len(v.Members) == 0 {
		v.Members = nil // as Parse gives it
	}
	return true
}

func (v *Value) index(key string) int {
	if v == nil || v.Kind != KindObject {
		return -1
	}
	for i := range v.Members {
		if v.Members[i].Key == key {
			return i
		}
	}
	return -1
}

// Int64 returns the number when it is written as a plain integer and fits.
// "10" is one; "1e1" and "10.0" are not, so that a count is never rounded.
func (v *Value) Int64() (int64, bool) {
	if v == nil || v.Kind != KindNumber {
		return 0, false
	}
	i, err := strconv.ParseInt(v.Text, 10, 64)
	return i, err == nil
}

// Whole returns the number when its value is exactly an integer, however it is
// written: "131072.0" and "1e3" are, which Python writers leave. Beyond 2^53 only
// plain integers are.
func (v *Value) Whole() (int64, bool) {
	if i, ok := v.Int64(); ok {
		return i, true
	}
	f, ok := v.Float64()
	if !ok || math.IsNaN(f) || math.Abs(f) >= 1<<53 || len(v.Text) > shown {
		return 0, false
	}
	if math.Abs(f) < 1 { // only zero is whole, and 1e-999 is not zero
		digits, _, _ := strings.Cut(strings.ToLower(v.Text), "e")
		return 0, !strings.ContainsAny(digits, "123456789")
	}
	r, ok := new(big.Rat).SetString(v.Text) // exact; the exponent is small
	if !ok || !r.IsInt() {
		return 0, false
	}
	return r.Num().Int64(), true
}

// Float64 returns the number rounded to float64; false when v is no number or
// beyond the range of float64. It may be infinite or NaN where
// [Options.NonFinite] let the text say so.
func (v *Value) Float64() (float64, bool) {
	if v == nil || v.Kind != KindNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.Text, 64)
	return f, err == nil
}

// Bool returns the boolean; ok is false when v is none.
func (v *Value) Bool() (val, ok bool) {
	if v == nil || v.Kind != KindBool {
		return false, false
	}
	return v.Text == "true", true
}

// Str returns the string; false when v is none.
func (v *Value) Str() (string, bool) {
	if v == nil || v.Kind != KindString {
		return "", false
	}
	return v.Text, true
}
