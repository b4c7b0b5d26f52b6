package hf_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quern/formats/hf"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
	"quern/store"
)

// Every call that opening a checkpoint makes fails once: the error names the file and
// blames the machine, and nothing stays open.
func TestEveryCallFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, hf.QuantizationNames[0]), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	clean := &faultfs.FS{}
	c, err := hf.OpenIn(t.Context(), store.Local(clean, dir), "")
	if err != nil {
		t.Fatal(err)
	}
	if n := clean.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	calls := clean.Calls()
	if len(calls) < 30 {
		t.Errorf("%d calls", len(calls))
	}
	for _, bad := range calls {
		fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == bad.Kind && c.Name == bad.Name && c.N == bad.N {
				return &faultfs.Fault{Err: syscall.EIO}
			}
			return nil
		}}
		what := string(bad.Kind) + " of " + filepath.Base(bad.Name)
		got, err := hf.OpenIn(t.Context(), store.Local(fsys, dir), "")
		switch {
		case err == nil && (bad.Kind == faultfs.Close || len(got.Warnings) > len(c.Warnings)):
			// Of a description beside the config a remark.
		case !errors.Is(err, syscall.EIO) || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), filepath.Base(bad.Name)):
			t.Errorf("%s %d: %v", what, bad.N, err)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", what, n)
		}
	}
}
