package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// TestNFC: code points younger than Unicode 9, runs of more than 30 marks, and
// ordinary ones, as Hugging Face composes them.
func TestNFC(t *testing.T) {
	eachLine(t, "nfc.jsonl", func(raw []byte) {
		var c [2]string
		unmarshal(t, raw, &c)
		if got := nfc(c[0]); got != c[1] {
			t.Errorf("%+q: %+q\nwant %+q", c[0], got, c[1])
		}
		if got := nfc("x" + c[0] + "\n" + c[0]); got != nfc("x"+c[0])+"\n"+c[1] {
			t.Errorf("%+q in two lines: %+q", c[0], got)
		}
	})
}

// FuzzNFC: what goes to package norm is what compose makes of it too.
func FuzzNFC(f *testing.F) {
	f.Add("e\u0301\u0323 \u1100\u1161\u11a8 \u0344\u0f73 A\u030a\u2126 \ufb1d \u09c7\u09be \u0ddd\u0dca")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "e\u0301")
		got := nfc(s)
		if again := nfc(got); again != got {
			t.Fatalf("%+q: %+q, then %+q", s, got, again)
		}
		if c := compose(s); c != got {
			t.Fatalf("%+q: %+q, compose says %+q", s, got, c)
		}
		if ordinary(s) {
			if n := norm.NFC.String(s); n != got {
				t.Fatalf("%+q: %+q, package norm says %+q", s, got, n)
			}
		}
	})
}

// TestCompose does the same with texts full of what combines.
func TestCompose(t *testing.T) {
	var combining []rune
	for r := rune(0x80); r < 0x20000; r++ {
		if p := norm.NFC.PropertiesString(string(r)); (0xd800 > r || r > 0xdfff) && (p.CCC() != 0 || p.Decomposition() != nil || !p.BoundaryBefore()) && !younger.has(r) {
			combining = append(combining, r)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		s := []rune{'a' + rune(rnd.IntN(26))}
		for range rnd.IntN(6) {
			s = append(s, combining[rnd.IntN(len(combining))])
		}
		text := string(s)
		if got, want := compose(text), norm.NFC.String(text); got != want {
			t.Fatalf("%+q: %+q, package norm says %+q", text, got, want)
		}
	}
}
