package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fileCalls are the functions that reach files by their paths.
var fileCalls = map[string]map[string]bool{
	"os": set("Open", "OpenFile", "OpenRoot", "OpenInRoot", "Create", "CreateTemp", "ReadFile", "WriteFile", "ReadDir", "DirFS", "Stat", "Lstat", "Readlink",
		"Rename", "Remove", "RemoveAll", "Mkdir", "MkdirAll", "MkdirTemp", "Truncate", "Symlink", "Link", "Chmod", "Chtimes", "CopyFS"),
	"path/filepath":          set("Walk", "WalkDir", "Glob", "EvalSymlinks"),
	"quern/internal/blockio": set("OS"),
	"io/ioutil":              set("ReadFile", "ReadAll", "ReadDir", "WriteFile", "TempFile", "TempDir"),
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// reachesFiles says who else may, and why: no file of a checkpoint is reached so. A
// path that ends with a slash stands for what lies below it.
var reachesFiles = map[string]string{
	"store/":                            "the store of this machine",
	"internal/blockio/":                 "the calls that it makes",
	"internal/outfile/":                 "whether the user's own output file may be written",
	"runner/golden/":                    "goldens of tests",
	"internal/release/":                 "builds archives of quern itself",
	"internal/tinyseek/tinyseek.go":     "puts the embedded model into a new folder",
	"formats/synth/":                    "makes checkpoints to test and measure with",
	"gpu/":                              "looks for drivers, and says which processor this is",
	"runner/rows.go":                    "a nameless file of activations",
	"corpus/ids.go":                     "the user's list of token ids, which may be a pipe",
	"verify/evaluation/reference.go":    "a temporary folder for outputs",
	"convert/engine/available_linux.go": "/proc/meminfo",
	"calibrate/run.go":                  "the calibration file's own working files",
	"verify/evaluation/routes.go":       "a nameless file of choices of experts",
	"verify/record/state.go":            "what cut verifications have left in the user's cache folder",
	"cmd/quern/run.go":                  "/proc/meminfo",
	"cmd/quern/completion.go":           "man pages and completions",
	"cmd/quern/pipeline.go":             "a temporary folder for the embedded model",
	"cmd/quern/place.go":                "the folder that maps are written to",
	"cmd/quern/verify.go":               "whether a path is a file of outputs",
	"cmd/quern/verify_models.go":        "the user's texts and token ids",
}

// Files of checkpoints are reached through package store alone: it is where hubs and
// buckets come in, and where faults are injected.
func TestFilesBehindTheStore(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "../.." && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		rel, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		calls, err := callsOf(path)
		if err != nil || len(calls) == 0 {
			return err
		}
		for at := range reachesFiles {
			if name == at || strings.HasSuffix(at, "/") && strings.HasPrefix(name, at) {
				used[at] = true
				return nil
			}
		}
		t.Errorf("%s reaches files by itself (%s): read and write through package store; if it is no file of a checkpoint, say in reachesFiles what it is", name, strings.Join(calls, ", "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for at := range reachesFiles {
		if !used[at] {
			t.Errorf("%s reaches no files any more: take it off the list", at)
		}
	}
}

// callsOf lists what a source file uses of fileCalls.
func callsOf(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := map[string]map[string]bool{} // by the name of the import
	for _, i := range file.Imports {
		from, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		name := from[strings.LastIndexByte(from, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		if calls := fileCalls[from]; calls != nil {
			names[name] = calls
		}
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && names[x.Name][s.Sel.Name] {
			found = append(found, x.Name+"."+s.Sel.Name)
		}
		return true
	})
	return found, nil
}
