package gpu_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/gpu/internal/fakecuda"
)

// What the driver's compiler says arrives, though memory is collected meanwhile: the
// stack of the goroutine that waits shrinks then, and a log that lies on it is written
// where another stack may be by now.
func TestBuildLogSurvivesCollection(t *testing.T) {
	d := fakecuda.New(fakecuda.Twins())
	d.Reject = "ptxas fatal: " + strings.Repeat("not this one ", 500)
	found, err := d.API().Devices()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		deep(4000) // a stack that is much too large afterwards
		result <- dev.Build(false)
	}()
	if err := <-result; err == nil || !strings.Contains(err.Error(), d.Reject) {
		t.Errorf("error %.200q…", err.Error())
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
}

// deep takes n frames of the stack.
func deep(n int) byte {
	var a [256]byte
	a[n%256] = byte(n)
	if n > 0 {
		a[0] = deep(n - 1)
	}
	return a[n%256] + a[0]
}

// No address goes to a library as a number: what is one escapes neither to the heap
// nor stays where it is for the compiler, which sees pointers only.
func TestAddressesAreNoNumbers(t *testing.T) {
	for _, dir := range []string{"cuda", "opencl", "internal/nvrtc", "internal/dynlib", "driver"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, path, src, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok && len(c.Args) == 1 && isName(c.Fun, "uintptr") && takesPointer(c.Args[0]) {
					t.Errorf("%s: an address becomes a number", set.Position(c.Pos()))
				}
				return true
			})
		}
	}
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// takesPointer reports whether an expression converts to unsafe.Pointer somewhere.
func takesPointer(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, "unsafe") && s.Sel.Name == "Pointer" {
			found = true
		}
		return true
	})
	return found
}
