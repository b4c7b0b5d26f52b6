package tokenizer

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/internal/tinyseek"
)

// corpus is text to measure with: the texts of the embedded model, and the Go source
// of this package many times over.
func corpus(tb testing.TB) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for _, name := range []string{"calibration.txt", "verify.txt"} {
		raw, err := fs.ReadFile(tinyseek.Files(), name)
		if err != nil {
			tb.Fatal(err)
		}
		out[name] = string(raw)
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		tb.Fatal("no source here", err)
	}
	var b strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		b.Write(raw)
	}
	out["source"] = strings.Repeat(b.String(), 1+(4<<20)/b.Len())
	return out
}

func tinyseekTokenizer(tb testing.TB) *Tokenizer {
	tb.Helper()
	dir := tb.TempDir()
	for _, name := range []string{FileName, ConfigName} {
		raw, err := fs.ReadFile(tinyseek.Files(), name)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	tok, err := Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

func BenchmarkEncode(b *testing.B) {
	texts := corpus(b)
	toks := map[string]*Tokenizer{"tinyseek": tinyseekTokenizer(b)}
	for _, form := range slices.Concat(forms, otherForms) {
		toks[form] = open(b, form)
	}
	for name, tok := range toks {
		for what, text := range texts {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if _, err := tok.Encode(text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSplit is the pre-tokenizer alone: matchers written by hand, and regexp2
// on the translated patterns, which is what patterns that are not known take.
func BenchmarkSplit(b *testing.B) {
	text := corpus(b)["source"][:1<<20]
	for name, p := range publishedStages(b) {
		for how, s := range map[string]stage{"hand": p.fast, "regexp2": p.slow} {
			b.Run(name+"/"+how, func(b *testing.B) {
				e := &encoder{t: &Tokenizer{stages: []stage{s, drop{}}}}
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					e.allowed, e.spent = encodeTime, 0
					if err := e.piece(0, text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// drop is a stage at which pieces end.
type drop struct{}

func (drop) split(*encoder, int, string) error { return nil }

// BenchmarkOpen reads the tokenizer of the embedded model.
func BenchmarkOpen(b *testing.B) {
	raw, err := fs.ReadFile(tinyseek.Files(), FileName)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
