package strictjson

import (
	"fmt"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want []string
	}{
		{`{"a":1,"b":{"c":[1,2]}}`, `{"b":{"c":[1.0,2e0]},"a":1}`, nil},
		{`{"eps":1e-6}`, `{"eps":0.000001}`, nil},
		{`{"eps":1e-6}`, `{"eps":1e-5}`, []string{"eps 1e-6 1e-5"}},
		{`{"a":null}`, `{}`, []string{"a null missing"}},
		{`{}`, `{"a":[1]}`, []string{"a missing an array of 1"}},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, []string{"a[0] 1 2", "a[1] 2 1"}},
		{`{"a":[1,2]}`, `{"a":[1]}`, []string{"a[1] 2 missing"}},
		{`{"a":1}`, `{"a":"1"}`, []string{`a 1 "1"`}},
		{`{"a":true}`, `{"a":1}`, []string{"a true 1"}},
		{`9007199254740992`, `9007199254740993`, []string{" 9007199254740992 9007199254740993"}},
		{`{"r":{"x":1},"dtype":1,"q":{"dtype":2}}`, `{"r":{"x":2},"q":{"dtype":3}}`, []string{"r.x 1 2"}},
	} {
		a, err := Parse([]byte(c.a), Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse([]byte(c.b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range Diff(&a, &b, func(key string) bool { return key == "dtype" }, 9) {
			got = append(got, fmt.Sprint(d.Path, " ", d.A.Brief(), " ", d.B.Brief()))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, %s: %q, want %q", c.a, c.b, got, c.want)
		}
		if n := len(Diff(&a, &b, nil, 1)); n > 1 {
			t.Errorf("%s, %s: %d differences, want at most 1", c.a, c.b, n)
		}
	}
}
