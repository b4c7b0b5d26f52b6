package blockio_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
)

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"first", "", "second"} { // also over an earlier one
		if err := blockio.WriteFile(blockio.OS, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(name); err != nil || string(raw) != text {
			t.Errorf("%q, %v", raw, err)
		}
	}
	if _, err := os.Stat(name + blockio.Partial); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partial file is left: %v", err)
	}
}

// Whatever call fails, the error names the file, the final name stays what it
// was, and nothing stays open.
func TestFailuresLeaveTheOldFile(t *testing.T) {
	clean := &faultfs.FS{}
	name := filepath.Join(t.TempDir(), "f")
	if err := blockio.WriteFile(clean, name, []byte("new")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range clean.Calls() {
		for _, err := range []error{syscall.EIO, syscall.ENOSPC, nil} {
			if err == nil && bad.Kind != faultfs.Write {
				continue
			}
			if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
				if c.Kind == bad.Kind && c.Name == bad.Name && c.N == bad.N {
					return &faultfs.Fault{Err: err}
				}
				return nil
			}}
			got := blockio.WriteFile(fsys, name, []byte("new"))
			want := err
			if err == nil {
				want = io.ErrShortWrite
			}
			if !errors.Is(got, want) || !strings.Contains(got.Error(), filepath.Base(bad.Name)) {
				t.Errorf("%s of %s: %v, want %v", bad.Kind, filepath.Base(bad.Name), got, want)
			}
			raw, _ := os.ReadFile(name)
			if text := string(raw); text != "old" && (bad.Kind != faultfs.SyncDir || text != "new") {
				t.Errorf("%s: the file holds %q", bad.Kind, text)
			}
			if n := fsys.OpenFiles(); n != 0 {
				t.Errorf("%s: %d files are open", bad.Kind, n)
			}
			if _, err := os.Stat(name + blockio.Partial); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: the partial file is left", bad.Kind)
			}
		}
	}
}
