package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"quern/internal/invalid"
)

func TestParse(t *testing.T) {
	const text = " {\"b\":[1,-0,2.50,1E+3,0.1e-7, true,false ,null],\r\n\t\"a\" : {\"\":\"\"},\"é\\n\\ud83d\\ude00\\/\\u00e9\":\"x\\\"\\\\\\b\\f\\r\\t\x7f\",\"e\":[[],{}]}\n"
	num := func(s string) Value { return Value{Kind: KindNumber, Text: s} }
	want := Object(
		Member{"b", Array(num("1"), num("-0"), num("2.50"), num("1E+3"), num("0.1e-7"), Bool(true), Bool(false), Value{})},
		Member{"a", Object(Member{"", String("")})},
		Member{"é\n😀/é", String("x\"\\\b\f\r\t\x7f")},
		Member{"e", Array(Array(), Object())},
	)
	got, err := Parse([]byte(text), Options{})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	const indented = `{
  "b": [
    1,
    -0,
    2.50,
    1E+3,
    0.1e-7,
    true,
    false,
    null
  ],
  "a": {
    "": ""
  },
  "é\n😀/é": "x\"\\\b\f\r\t` + "\x7f" + `",
  "e": [
    [],
    {}
  ]
}`
	if s := string(got.Indent("  ")); s != indented {
		t.Errorf("indented:\n%s", s)
	}
}

// TestIndentLikeJSON compares with encoding/json where the two write alike.
func TestIndentLikeJSON(t *testing.T) {
	x := map[string]any{"a": []any{}, "b": map[string]any{}, "c": []any{1, "s", nil, true, map[string]any{"d": []any{"ü"}}}, "z": -5}
	want, err := json.MarshalIndent(x, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	v, err := Parse(want, Options{})
	if err != nil || string(v.Indent("\t")) != string(want) {
		t.Errorf("%s, %v", v.Indent("\t"), err)
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for text, want := range map[string]string{
		"":                            "byte 0: expected a value, found the end of the text",
		"  ":                          "byte 2: expected a value",
		"{} x":                        `byte 3: expected the end of the text, found "x"`,
		"[1] [2]":                     "byte 4: expected the end of the text, found an array",
		"\xef\xbb\xbf{}":              "byte order mark",
		`{"a":1,"a":2}`:               `byte 7: duplicate key "a"`,
		`{"a":1,"\u0061":2}`:          `byte 7: duplicate key "a"`,
		`[{"x":{"a":1,"b":2,"a":1}}]`: `duplicate key "a"`,
		`{"a":1,}`:                    "byte 7: a comma before '}'",
		`[1,]`:                        "byte 3: a comma before ']'",
		`[,1]`:                        `byte 1: expected a value, found ","`,
		`[1 2]`:                       `byte 3: expected a comma or ']', found "2"`,
		`[1}`:                         `expected a comma or ']', found "}"`,
		`[`:                           "expected a value, found the end",
		`{`:                           "expected a key in double quotes, found the end",
		`{1:2}`:                       `expected a key in double quotes, found "1"`,
		`{"a" 1}`:                     `expected a colon after key "a", found "1"`,
		`{"a":}`:                      `expected a value, found "}"`,
		`{'a':1}`:                     "expected a key",
		`01`:                          `number "01" has a leading zero`,
		`-01`:                         "leading zero",
		`-`:                           `"-" is no JSON number`,
		`+1`:                          `expected a value, found "+1"`,
		`.5`:                          "expected a value",
		`1.`:                          `"1." is no JSON number`,
		`1.e3`:                        "no JSON number",
		`1e`:                          "no JSON number",
		`1e+`:                         "no JSON number",
		`0x10`:                        "no JSON number",
		`1_000`:                       "no JSON number",
		`NaN`:                         `expected a value, found "NaN"`,
		`-Infinity`:                   "no JSON number",
		`nul`:                         `"nul" is no JSON value`,
		`nullx`:                       "no JSON value",
		`True`:                        "expected a value",
		`tru`:                         "no JSON value",
		`falsey`:                      "no JSON value",
		`"a`:                          "byte 0: a string without an end",
		`"a\`:                         "a string without an end",
		`"a\"`:                        "a string without an end",
		"\"a\nb\"":                    "byte 2: control character 0x0a",
		"\"\\n\x00\"":                 "control character 0x00",
		`"\x"`:                        `unknown escape "\\x"`,
		`"\u12"`:                      "four hexadecimal digits",
		`"\u12g4"`:                    "four hexadecimal digits",
		`"\ud800"`:                    `unpaired surrogate \ud800`,
		`"\ud800x"`:                   "unpaired surrogate",
		`"\ud800\u0041"`:              "unpaired surrogate",
		`"\ud800\ud800"`:              "unpaired surrogate",
		`"\udc00\ud800"`:              "unpaired surrogate",
		"\"\xff\"":                    "byte 1: byte 0xff is not valid UTF-8",
		"\"\\n\xed\xa0\x80\"":         "byte 3: byte 0xed is not valid UTF-8",
		"{\"é\xc3\":1}":               "byte 4: byte 0xc3 is not valid UTF-8",
		deep:                          "byte 64: nested deeper than 64 levels",
		`{"a":` + deep[1:] + `}`:      "nested deeper",
		`// c` + "\n1":                "expected a value",
		"\v1":                         "expected a value",
	} {
		v, err := Parse([]byte(text), Options{})
		switch {
		case err == nil:
			t.Errorf("%q: accepted: %+v", text, v)
		case !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want):
			t.Errorf("%q: got %q, want %q", text, err, want)
		}
	}
}

func TestParseDepth(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for _, c := range []struct {
		depth, limit int
		ok           bool
	}{{64, 0, true}, {65, 0, false}, {1, 1, true}, {2, 1, false}, {10_000, 1 << 40, true}, {2_000_000, 1 << 40, false}} {
		if _, err := Parse(nest(c.depth), Options{MaxDepth: c.limit}); (err == nil) != c.ok {
			t.Errorf("%d levels of %d: %v", c.depth, c.limit, err)
		}
	}
}

func TestParseManyKeys(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(`,"k` + strings.Repeat("x", i) + `":0`)
	}
	good := "{" + b.String()[1:] + "}"
	if v, err := Parse([]byte(good), Options{}); err != nil || len(v.Members) != 1000 {
		t.Fatalf("%d members, %v", len(v.Members), err)
	}
	for _, again := range []string{"k", "kx", "k" + strings.Repeat("x", 16), "k" + strings.Repeat("x", 999)} {
		bad := good[:len(good)-1] + `,"` + again + `":0}`
		if _, err := Parse([]byte(bad), Options{}); err == nil || !strings.Contains(err.Error(), "duplicate key") {
			t.Errorf("%.20s: %v", again, err)
		}
	}
}

// FuzzParse: what is accepted is JSON to encoding/json as well and means the same,
// and it comes back from its own writer.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-0.5e3,"x\u00e9\ud83d\ude00\n",true,false,null,{}],"b":{"":[]}}`, `01`, `"\ud800"`, "\"\xff\"",
		`{"a":1,"a":1}`, `[[[]]]`, `1e999`, ` [ ] `, `{"k":"v",}`, `"\u0000"`, `nullnull`, `-`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data, Options{})
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatal("encoding/json refuses it")
		}
		for _, indent := range []string{"", "  "} {
			again, err := Parse(v.Indent(indent), Options{})
			if err != nil || !reflect.DeepEqual(again, v) {
				t.Fatalf("%+v comes back as %+v, %v", v, again, err)
			}
		}
		var std any
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(&std); err != nil || !reflect.DeepEqual(decoded(v), std) {
			t.Fatalf("%+v is %v to encoding/json, %v", v, std, err)
		}
	})
}

// decoded is a value as encoding/json decodes it.
func decoded(v Value) any {
	switch v.Kind {
	case KindBool:
		return v.Text == "true"
	case KindNumber:
		return json.Number(v.Text)
	case KindString:
		return v.Text
	case KindArray:
		a := make([]any, len(v.Elems))
		for i := range a {
			a[i] = decoded(v.Elems[i])
		}
		return a
	case KindObject:
		m := make(map[string]any, len(v.Members))
		for _, k := range v.Members {
			m[k.Key] = decoded(k.Value)
		}
		return m
	}
	return nil
}
