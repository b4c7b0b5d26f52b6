package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// root is the module's folder.
const root = "../.."

// goFiles are the Go files of the module, by path from root; testdata is none of it.
func goFiles(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "dist"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		visit(filepath.ToSlash(rel), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Which processor this is, is found in one place.
func TestProcessorIsDetectedOnce(t *testing.T) {
	word := regexp.MustCompile(`"QUERN_CPU"|cpu\.X86\b|\bcpuid\(`)
	goFiles(t, func(path string, text []byte) {
		if !strings.HasPrefix(path, "internal/cpu/") && !strings.HasSuffix(path, "_test.go") && word.Match(text) {
			t.Errorf("%s: %s", path, word.Find(text))
		}
	})
}

// To run a model is not to verify it: those commands import nothing of verify.
func TestFilesOfCommands(t *testing.T) {
	for _, name := range []string{"run.go", "calibrate.go", "tokenize.go", "place.go", "shard.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(path, "quern/verify") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// A file of more than 500 lines says why.
func TestFilesAreShort(t *testing.T) {
	generated := regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	goFiles(t, func(path string, text []byte) {
		n := bytes.Count(text, []byte("\n"))
		if n > 500 && !bytes.Contains(text, []byte("\n// Longer than 500 lines: ")) && !generated.Match(text) {
			t.Errorf(`%s has %d lines and does not say why ("// Longer than 500 lines: …")`, path, n)
		}
	})
}
