package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"quern/internal/strictjson"
)

// published are the patterns with a matcher of their own.
var published = map[string]string{
	"gpt2": patternGPT2, "llama3": patternLlama3, "qwen2": patternQwen2, "numbers": patternNumbers, "qwen35": patternQwen35,
	"o200k": patternO200k, "kimi": patternKimi, "digits3": patternDigits3, "cjk": patternCJK, "deepseek": patternDeepSeek,
}

type pairOfStages struct{ fast, slow stage }

func publishedStages(tb testing.TB) map[string]pairOfStages {
	tb.Helper()
	out := map[string]pairOfStages{}
	for name, p := range published {
		x, err := compile(p)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		out[name] = pairOfStages{newIsolate(known(p)), splitter{x, isolated, false}}
	}
	return out
}

func (p pairOfStages) compare(t *testing.T, name, text string) {
	t.Helper()
	if fast, slow := pieces(t, p.fast, text), pieces(t, p.slow, text); !slices.Equal(fast, slow) {
		t.Fatalf("%s: %+q is split to %+q\nregexp2: %+q", name, text, fast, slow)
	}
}

// letters are what texts are made of: for each general category its first and last
// code points and some between, and what the patterns name.
func letters() []string {
	out := strings.Split("'s|'S|'ſ|'t|'T|'re|'rE|'RE|'ve|'VE|'m|'M|'ll|'Ll|'lL|'d|'D|'x|''|'|'r|'l|'v| |  |   |\r|\n|\r\n|\t|\u00a0|\u2028|\u0085|a|b|A|B|aB|Ab|é|É|ǅ|ʰ|ª|中|々|〇|⺀|\U00016ff0|ー|あ|ア|龥|龦|㐀|\u3040|\u30ff|\u3100|1|12|123|1234|½|Ⅷ|٣|!|?|/|//|-|_|(|$|+|^|<|…|«|€|\u0301|\u0903|\u20dd|\u200d|\ufeff|\u0378|\ue000|\x00|\x7f|😀", "|")
	for name, set := range categories() {
		if name == "C" || name == "Cs" {
			continue
		}
		for _, i := range []int{0, len(set) / 3, len(set) / 2, len(set) - 1} {
			for _, r := range []rune{set[i].lo, set[i].hi} {
				if utf8.ValidRune(r) {
					out = append(out, string(r))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestKnown: the hand-written matchers split as regexp2 does on the translated
// patterns: all pairs of letters, and random texts of them.
func TestKnown(t *testing.T) {
	stages := publishedStages(t)
	all := letters()
	var few []string
	for i, s := range all {
		if i%4 == 0 || s[0] < 0x80 && !testing.Short() {
			few = append(few, s)
		}
	}
	rounds := 2000
	if testing.Short() {
		rounds = 100
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, p := range stages {
		for _, a := range few {
			var b strings.Builder
			for _, c := range few { // each pair once, and what may stand between two
				b.WriteString(a + c + []string{"", " ", "\n", "x"}[rnd.IntN(4)])
			}
			p.compare(t, name, b.String())
		}
		for range rounds {
			var b strings.Builder
			for range 1 + rnd.IntN(12) {
				s := all[rnd.IntN(len(all))]
				if rnd.IntN(8) == 0 {
					s = strings.Repeat(s, 1+rnd.IntN(6))
				}
				b.WriteString(s)
			}
			p.compare(t, name, b.String())
		}
	}
}

func FuzzKnown(f *testing.F) {
	stages := publishedStages(f)
	for _, form := range forms[:1] {
		for _, g := range goldens(f, form) {
			f.Add(g.Text)
		}
	}
	f.Add("d'ſ 'LL’re\u0301 \u0301A\u0301 ABCdÉǅʰ中\u0301's 1²Ⅷ٣½ \r\n \u2028\t x  !\n/\n龥ー\u3099")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "\u0378")
		for name, p := range stages {
			p.compare(t, name, text)
		}
	})
}

// TestSpaces: a long run of spaces takes time in proportion to its length.
func TestSpaces(t *testing.T) {
	text := strings.Repeat(" \t", 1<<20) + "x"
	for name, p := range published {
		if got := pieces(t, newIsolate(known(p)), text); len(got) > 3 || strings.Join(got, "") != text {
			t.Errorf("%s: %d pieces", name, len(got))
		}
	}
}

// TestDigits: the digits of Unicode 17 count, as in Rust's standard library, but not
// for patterns.
func TestDigits(t *testing.T) {
	const text = "a12½\U00011de0\U00016ff4Ⅷ一٣"
	digits := func(one bool) stage {
		s, err := readDigits(&strictjson.Value{Kind: strictjson.KindObject, Members: []strictjson.Member{{Key: "individual_digits", Value: strictjson.Bool(one)}}})
		if err != nil {
			t.Fatal(err)
		}
		return s[0]
	}
	for want, s := range map[string]stage{
		"a|1|2|½|\U00011de0|\U00016ff4|Ⅷ|一|٣":   digits(true),
		"a|12½\U00011de0\U00016ff4Ⅷ|一|٣":        digits(false),
		"a|12½|\U00011de0\U00016ff4|Ⅷ|一|٣":      newIsolate(known(patternDigits3)),
		"a|12½|\U00011de0\U00016ff4|Ⅷ|一|٣ twin": publishedStages(t)["digits3"].slow,
	} {
		if got := strings.Join(pieces(t, s, text), "|"); got != strings.TrimSuffix(want, " twin") {
			t.Errorf("%+q, want %+q", got, want)
		}
	}
}
