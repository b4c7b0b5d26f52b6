package strictjson

import (
	"errors"
	"testing"

	"quern/internal/invalid"
)

// What Python's json module writes for floats that JSON lacks is read where that is
// allowed, and written as it stood.
func TestNonFinite(t *testing.T) {
	const text = `{"a": [0.0, Infinity, -Infinity], "b": NaN}`
	if _, err := Parse([]byte(text), Options{}); !errors.Is(err, invalid.Input) {
		t.Errorf("without the option: %v", err)
	}
	v, err := Parse([]byte(text), Options{NonFinite: true})
	if err != nil {
		t.Fatal(err)
	}
	const want = "{\n \"a\": [\n  0.0,\n  Infinity,\n  -Infinity\n ],\n \"b\": NaN\n}"
	if got := string(v.Indent(" ")); got != want {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{`Inf`, `nan`, `+Infinity`, `Infinity1`, `-NaN`, `{"a": NaNs}`, `Infinit`} {
		if _, err := Parse([]byte(bad), Options{NonFinite: true}); !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWhole(t *testing.T) {
	for text, want := range map[string]int64{
		"10": 10, "131072.0": 131072, "1e1": 10, "-1.0": -1, "0.0": 0, "-0": 0, "0e9": 0, "12.50e1": 125, "9223372036854775807": 9223372036854775807, "1000e-2": 10,
	} {
		v := Value{Kind: KindNumber, Text: text}
		if got, ok := v.Whole(); !ok || got != want {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"0.5", "1e-999999999", "1e400", "9007199254740993.0", "4503599627370497.0000000001", "NaN", "Infinity", "-Infinity", "9223372036854775808"} {
		v := Value{Kind: KindNumber, Text: text}
		if got, ok := v.Whole(); ok {
			t.Errorf("%s: %d", text, got)
		}
	}
}
