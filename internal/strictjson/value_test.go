package strictjson

import (
	"reflect"
	"testing"
)

func TestEdit(t *testing.T) {
	v, err := Parse([]byte(`{"z":1.50,"q":{"old":true},"a":"é<"}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	v.Set("q", Object(Member{"bits", Int(8)}, Member{"size", Array(Int(128), Int(-1))}))
	v.Set("new", String("a\x00\xff\u2028"))
	v.Get("q").Set("bits", Bool(false))
	if !v.Delete("a") || v.Delete("a") || v.Delete("Z") {
		t.Error("Delete reports the wrong thing")
	}
	const want = `{
 "z": 1.50,
 "q": {
  "bits": false,
  "size": [
   128,
   -1
  ]
 },
 "new": "a\u0000` + "\ufffd\u2028" + `"
}`
	if got := string(v.Indent(" ")); got != want {
		t.Errorf("got %s", got)
	}
	for _, k := range []string{"z", "q", "new"} {
		v.Delete(k)
	}
	if !reflect.DeepEqual(v, Object()) {
		t.Errorf("emptied: %+v", v)
	}
	n := Value{}
	n.Set("k", Int(1))
	if n.Get("k") == nil || n.Kind != KindObject {
		t.Errorf("null with a key: %+v", n)
	}
}

func TestAccessors(t *testing.T) {
	v, err := Parse([]byte(`{"i":10,"n":-9223372036854775808,"big":9223372036854775808,"f":1e3,"p":1.0,"huge":1e999,"s":"x","b":true,"z":null}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int64{"i": 10, "n": -1 << 63} {
		if i, ok := v.Get(key).Int64(); !ok || i != want {
			t.Errorf("%s: %d, %v", key, i, ok)
		}
	}
	for _, key := range []string{"big", "f", "p", "s", "b", "z", "absent", "I"} {
		if i, ok := v.Get(key).Int64(); ok {
			t.Errorf("%s is taken for the integer %d", key, i)
		}
	}
	if f, ok := v.Get("f").Float64(); !ok || f != 1000 {
		t.Errorf("f: %v, %v", f, ok)
	}
	if f, ok := v.Get("huge").Float64(); ok {
		t.Errorf("huge: %v", f)
	}
	if s, ok := v.Get("s").Str(); !ok || s != "x" {
		t.Errorf("s: %q, %v", s, ok)
	}
	if b, ok := v.Get("b").Bool(); !ok || !b {
		t.Errorf("b: %v, %v", b, ok)
	}
	if _, ok := v.Get("s").Bool(); ok {
		t.Error("a string is taken for a boolean")
	}
	if _, ok := v.Get("i").Str(); ok {
		t.Error("a number is taken for a string")
	}
	// nil goes through everything.
	var none *Value
	none.Set("k", Int(1))
	_, i := none.Get("k").Int64()
	_, f := none.Float64()
	_, s := none.Str()
	_, b := none.Bool()
	if i || f || s || b || none.Delete("k") {
		t.Error("nil is taken for a value")
	}
}

func TestScanner(t *testing.T) {
	s := NewScanner([]byte(` {"a" : [ 1, 18446744073709551615 ] , "b\n":{}, "c":[{"x":[null]}], "d":"e\t" } `), Options{})
	if err := s.ObjectStart(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	var numbers []uint64
	for {
		key, ok, err := s.Key()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		keys = append(keys, string(key))
		switch keys[len(keys)-1] {
		case "a":
			err = s.ArrayStart()
			for more := err == nil; more; {
				if more, err = s.Next(); more {
					var n uint64
					n, err = s.Uint64()
					numbers = append(numbers, n)
				}
				if err != nil {
					break
				}
			}
		case "d":
			var b []byte
			if b, err = s.Str(); string(b) != "e\t" {
				t.Errorf("d is %q", b)
			}
		default:
			err = s.Skip()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(keys, []string{"a", "b\n", "c", "d"}) || !reflect.DeepEqual(numbers, []uint64{1, 1<<64 - 1}) {
		t.Errorf("%q %d", keys, numbers)
	}
	if _, _, err := s.Key(); err == nil {
		t.Error("Key after the end")
	}
	if err := NewScanner([]byte(`{"a":{"k":1,"k":1}}`), Options{}).Skip(); err == nil {
		t.Error("Skip passes a duplicate key")
	}
}

func TestScannerUint64(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "7 ": true, "18446744073709551615": true, "18446744073709551616": false, "99999999999999999999": false,
		"": false, "-1": false, "00": false, "1.0": false, "1e0": false, `"1"`: false, "1x": false,
	} {
		if n, err := NewScanner([]byte(text), Options{}).Uint64(); (err == nil) != ok {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}
