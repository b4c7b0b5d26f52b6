package tokenizer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2/v2"

	"quern/internal/invalid"
)

// TestTranslate: some patterns as they come out. What they mean is held by
// TestPieces.
func TestTranslate(t *testing.T) {
	for pattern, want := range map[string]string{
		`a b`:            `a\u0020b`,
		`(a|b)`:          `(?:a|b)`,
		`(?:ab)+?`:       `(?:(?:ab)+?)`,
		`a++b*+c?+`:      `(?>a+)(?>b*)(?>c?)`,
		`a{2}?`:          `(?:(?:a{2})?)`,
		`a{2,3}?`:        `(?:a{2,3}?)`,
		`a{2,3}+`:        `(?:(?:a{2,3})+)`,
		`a{,3}`:          `(?:a{0,3})`,
		`a{3,}`:          `(?:a{3,})`,
		`[a-cb-f]`:       `[a-f]`,
		`[^a-c]`:         `[\u0000-` + "`" + `d-` + "\U0010ffff" + `]`,
		`[]^-]`:          `[\u002D\u005D-\u005E]`,
		`[a-z&&[^b-y]]`:  `[az]`,
		`[^a-z&&[^b-y]]`: `[\u0000-` + "`" + `b-y{-` + "\U0010ffff" + `]`,
		`[a-c&&x]`:       `(?!)`,
		`[[:xdigit:]]`:   `[0-9A-Fa-f]`,
		`\h`:             `[0-9A-Fa-f]`,
		`(?i:k9S)x`:      `(?:[Kk\u212A][9][Ss\u017F])x`,
		`a(?i)b|c`:       `a(?:[Bb]|[Cc])`,
		`(?i:a(?-i:b))c`: `(?:[Aa](?:b))c`,
		`\x41\x{1F600}`:  "A\U0001f600",
		`\u00e9\é\-`:     `\u00E9\u00E9\u002D`,
		`\R?`:            "",
		`$`:              `(?=\n|\z)`,
		`{`:              "",
		`}]`:             `\u007D\u005D`,
		`\v`:             `\u000B`,
		`(?=a)(?!b)`:     `(?=a)(?!b)`,
		`(?<=a)(?<!b)`:   `(?<=a)(?<!b)`,
		`(?>a)`:          `(?>a)`,
	} {
		got, err := translate(pattern)
		want = strings.ReplaceAll(strings.ReplaceAll(want, "`", `\u0060`), "{-", `\u007B-`)
		if want == "" {
			if err == nil {
				t.Errorf("%s: %s", pattern, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v\nwant %s", pattern, got, err, want)
			continue
		}
		if _, err := regexp2.Compile(got); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		`(a)\1`:                        `\1 is not supported`,
		`\k<n>`:                        `\k is not supported`,
		`\K`:                           `\K is not supported`,
		`\G`:                           `\G is not supported`,
		`\R`:                           `\R is not supported`,
		`\X`:                           `\X is not supported`,
		`\pL`:                          `the property "\\p" is not supported`,
		`\p{Greek}`:                    `the property "\\p{Greek}" is not supported`,
		`\p{`:                          `the property`,
		`\p{}`:                         `the property`,
		`\p{^}`:                        `the property`,
		`[[:alpha:]]`:                  `the class [:alpha`,
		`(?<n>a)`:                      `the group (?<n> is not supported`,
		`(?P<n>a)`:                     `the group (?P<n is not supported`,
		`(?#c)`:                        `the group (?#c) is not supported`,
		`(?x:a)`:                       `the group (?x:a is not supported`,
		`(?m:.)`:                       `is not supported`,
		`(?~a)`:                        `is not supported`,
		`(?(1)a|b)`:                    `is not supported`,
		`(?{x})`:                       `is not supported`,
		`(*FAIL)`:                      `callouts are not supported`,
		`(a`:                           `a ( without its )`,
		`(?`:                           `is not supported`,
		`a)`:                           `a ) without its (`,
		`[a`:                           `a [ without its ]`,
		`[]`:                           `a [ without its ]`,
		`[`:                            `a [ without its ]`,
		`[z-a]`:                        `z-a is no range`,
		`[a-\d]`:                       `is no range`,
		`[\w-x]`:                       `is no range`,
		`[a-c-e]`:                      `a - in the middle of a class`,
		`[a-[b]]`:                      `is no range`,
		`*a`:                           `* without what it repeats`,
		`a|+`:                          `+ without what it repeats`,
		`a{`:                           `a { that is not escaped`,
		`{2}`:                          `a { that is not escaped`,
		`a{x}`:                         `the repetition {x} is not supported`,
		`a{3,2}`:                       `the repetition {3,2}`,
		`a{,}`:                         `the repetition {,}`,
		`a{100001}`:                    `the repetition`,
		`a{99999999999}`:               `the repetition`,
		`a{-1}`:                        `the repetition`,
		`$*`:                           `an anchor cannot be repeated`,
		`\b+`:                          `an anchor cannot be repeated`,
		`(?i:é)`:                       `'é' without regard to case`,
		`(?i:\p{L})`:                   `\p{L} without regard to case`,
		`(?i:[^a])`:                    `[^a] without regard to case`,
		`(?i:[à])`:                     `[à] without regard to case`,
		`(?i:ss)`:                      `"ss" without regard to case`,
		`(?i:aFI)`:                     `"fi" without regard to case`,
		`\x80`:                         `is not supported`,
		`\x{110000}`:                   `is not supported`,
		`\x{}`:                         `is not supported`,
		`\u12`:                         `is not supported`,
		`\x{+1}`:                       `is not supported`,
		`\`:                            `a \ at the end`,
		`[\`:                           `a \ at the end`,
		`\q`:                           `\q is not supported`,
		`\08`:                          `\0 is not supported`,
		strings.Repeat("(", 101):       `more than 100 groups`,
		strings.Repeat("[", 101):       `more than 100 classes`,
		strings.Repeat("a", 16<<10+1):  `16385 bytes, more than 16384`,
		strings.Repeat(`\p{L}`, 3000):  `too many large character classes`,
		strings.Repeat(`(?i)a|`, 2500): ``, // nested to the right, but not too deep
	} {
		got, err := translate(pattern)
		if want == "" {
			if err != nil {
				t.Errorf("%.60s: %v", pattern, err)
			}
			continue
		}
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %.60s, %v\nwant %s", pattern, got, err, want)
		}
	}
}

// TestPatternLimits: a pattern that explodes is stopped, by time or by memory, with
// an error that does not quote the text.
func TestPatternLimits(t *testing.T) {
	run := func(pattern, text string, limit, allowed time.Duration) {
		t.Helper()
		x, err := compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		x.re.MatchTimeout = limit
		_, err = x.find(&encoder{allowed: allowed}, text, nil)
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "on this text") || len(err.Error()) > 200 {
			t.Errorf("%s: %.300v", pattern, err)
		}
	}
	run(`(?:a|aa)+$`, strings.Repeat("a", 200)+"b", 50*time.Millisecond, time.Hour)
	run(`a`, strings.Repeat("ab", 1<<16), time.Hour, 0)
	run(`(?:ab|c(?!d))*x`, strings.Repeat("abc", 2<<20), time.Hour, time.Hour)
}

// FuzzTranslate: what is translated compiles or is refused, in bounded time, and
// never panics.
func FuzzTranslate(f *testing.F) {
	for _, p := range published {
		f.Add(p)
	}
	for _, p := range []string{`(?i:a|[b-d]){2,3}?`, `[^\p{Han}&&[a-z]]++`, `(?<=\b)(?!$)^\Z`, `\x{41}\u0042[\]\-]`} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if len(pattern) > 60 {
			return
		}
		x, err := compile(pattern)
		if err != nil {
			if !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
			return
		}
		x.re.MatchTimeout = time.Second
		text := "The quick (a) 12\n\tfoo-bar é中\u0301 x{2}"
		found, err := x.find(&encoder{allowed: time.Second}, text, nil)
		last := 0
		for _, m := range found {
			if m.start < last || m.end < m.start || m.end > len(text) {
				t.Fatalf("%q: %v", pattern, found)
			}
			last = m.end
		}
		if err != nil && !errors.Is(err, invalid.Input) {
			t.Fatal(err)
		}
	})
}
