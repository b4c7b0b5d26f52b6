package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// How numbers are written is known in one place: outside of the formats, scheme and
// the arithmetic nothing looks at a dtype to find out whether a tensor has codes, or
// what its scales are. Containers may name the dtypes that they write.
func TestDTypesOfCodes(t *testing.T) {
	root := filepath.Join("..", "..")
	allowed := []string{"formats", "scheme", "fp8", "group", "packed", "gemm", "gpu"}
	forbidden := []string{"F4", "F6E2M3", "F6E3M2", "F8E5M2", "F8E4M3", "F8E8M0", "F8E4M3FNUZ", "F8E5M2FNUZ"}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) || slices.Contains(allowed, filepath.ToSlash(rel)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(forbidden, s.Sel.Name) {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "safetensors" {
				t.Errorf("%s: safetensors.%s: ask the scheme (scheme.Coded, plan.Tensor.Coded)", set.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files, %v", files, err)
	}
}
