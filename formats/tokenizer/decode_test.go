package tokenizer

import (
	"errors"
	"strings"
	"testing"

	"quern/internal/invalid"
)

// TestLossy: tables 3-8 to 3-11 of Unicode 16.0, section 3.9, and ends of text.
func TestLossy(t *testing.T) {
	for raw, want := range map[string]string{
		"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82A": "????????A",
		"\xed\xa0\x80\xed\xbf\xbf\xed\xafA": "????????A",
		"\xf4\x91\x92\x93\xffA\x80\xbfB":    "?????A??B",
		"\xe1\x80\xe2\xf0\x91\x92\xf1\xbfA": "????A",
		"a\xe4\xb8\xade\xe4\xb8":            "a中e?",
		"\xf0\x9f\x98":                      "?",
		"\xf0\x9f\x98\x80\xf0\x9f":          "😀?",
		"\xc3":                              "?",
		"\xc3\xc3\xa9":                      "?é",
		"":                                  "",
	} {
		want = strings.ReplaceAll(want, "?", "\ufffd")
		if got, n := lossy(nil, []byte(raw), true); string(got) != want || n != len(raw) {
			t.Errorf("%q: %q (%d)\nwant %q", raw, got, n, want)
		}
		// Cut anywhere: what is held back and what follows make the same text.
		for i := range raw {
			head, n := lossy(nil, []byte(raw[:i]), false)
			rest, _ := lossy(nil, []byte(raw[n:]), true)
			if got := string(head) + string(rest); got != want || i-n > 3 {
				t.Errorf("%q cut at %d: %q, %d bytes held back", raw, i, got, i-n)
			}
		}
	}
}

// TestLossyAtOnce: what cannot become a character is not held back.
func TestLossyAtOnce(t *testing.T) {
	for raw, held := range map[string]int{"a\xff": 0, "a\xc3\xc3": 1, "\xe4\xb8": 2, "\xf0\x9f\x98": 3, "\xf0\x9f\xff": 0, "\xed\xa0": 0, "\xed\x9f": 2, "\xc0": 0} {
		if _, n := lossy(nil, []byte(raw), false); len(raw)-n != held {
			t.Errorf("%q: %d bytes held back", raw, len(raw)-n)
		}
	}
}

func TestStream(t *testing.T) {
	tok := open(t, "gpt2")
	ids, err := tok.Encode("é中!")
	if err != nil {
		t.Fatal(err)
	}
	s := tok.Stream()
	for i, want := range []string{"", "é", "", "", "中", "!"} {
		if got := s.Add(ids[i]); got != want {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	if got := s.Flush(); got != "" {
		t.Errorf("%q at the end", got)
	}
	s.Add(ids[0])
	if got := s.Add(1<<20) + s.Add(-1) + s.Flush() + s.Flush(); got != "\ufffd" {
		t.Errorf("half a character is %q", got)
	}
}

func TestDecodeErrors(t *testing.T) {
	tok := open(t, "gpt2")
	for _, c := range []struct {
		ids  []int
		want string
	}{
		{[]int{5, 704}, "id 704 (the 2nd) is beyond the vocabulary of 704 tokens"},
		{[]int{-1}, "id -1 (the 1st) is beyond the vocabulary"},
	} {
		if s, err := tok.Decode(c.ids); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %q, %v", c.ids, s, err)
		}
	}
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 111: "111th", 102: "102nd"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	if b, ok := tok.Token(700); !ok || string(b) != "<think>" {
		t.Errorf("%q, %t", b, ok)
	}
	if b, ok := tok.Token(222); !ok || string(b) != " " {
		t.Errorf("%q, %t", b, ok)
	}
	for _, id := range []int{-1, 704, 1 << 30} {
		if b, ok := tok.Token(id); ok {
			t.Errorf("%d is %q", id, b)
		}
	}
}

// TestHoles: ids that no token has are no tokens.
func TestHoles(t *testing.T) {
	vocab := map[string]any{"zz": 1000}
	for b, r := range byteRunes {
		vocab[string(r)] = b
	}
	tok := mustParse(t, edited(t, "gpt2", map[string]any{"model.vocab": vocab, "model.merges": []any{}, "added_tokens": []any{}}))
	if tok.Size() != 1001 {
		t.Errorf("size %d", tok.Size())
	}
	if _, err := tok.Decode([]int{65, 256}); err == nil || !strings.Contains(err.Error(), "id 256 (the 2nd) is no token") {
		t.Error(err)
	}
	if s, err := tok.Decode([]int{65, 1000, 0xff}); err != nil || s != "Azz\ufffd" {
		t.Errorf("%q, %v", s, err)
	}
}
