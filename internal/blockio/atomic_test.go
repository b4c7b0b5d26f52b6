package blockio_test

import (
	"bytes"
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

func TestCopyFile(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2<<20 + 7} {
		want := bytes.Repeat([]byte{1, 2, 3}, n)[:n]
		if err := os.WriteFile(from, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := blockio.CopyFile(blockio.OS, to, from, int64(n)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
}

// A source of another size than the plan knows has changed since.
func TestCopyFileNoticesChange(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{4, 6} {
		err := blockio.CopyFile(blockio.OS, to, from, size)
		if !errors.Is(err, blockio.ErrChanged) || !strings.Contains(err.Error(), from) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	// Cut between the look at its size and the reading.
	fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Create {
			_ = os.Truncate(from, 2)
		}
		return nil
	}}
	if err := blockio.CopyFile(fsys, to, from, 5); !errors.Is(err, blockio.ErrChanged) {
		t.Errorf("cut while it is copied: %v", err)
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Error("the copy has its final name")
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
}

// Whatever call fails, the error names the file, the final name stays what it
// was, and nothing stays open.
func TestFailuresLeaveTheOldFile(t *testing.T) {
	for what, write := range map[string]func(fsys blockio.FS, name, from string) error{
		"WriteFile": func(fsys blockio.FS, name, _ string) error { return blockio.WriteFile(fsys, name, []byte("new")) },
		"CopyFile":  func(fsys blockio.FS, name, from string) error { return blockio.CopyFile(fsys, name, from, 3) },
	} {
		clean := &faultfs.FS{}
		dir := t.TempDir()
		from := filepath.Join(dir, "from")
		if err := os.WriteFile(from, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := write(clean, filepath.Join(dir, "f"), from); err != nil {
			t.Fatal(err)
		}
		for _, bad := range clean.Calls() {
			for _, err := range []error{syscall.EIO, syscall.ENOSPC, nil} {
				if err == nil && bad.Kind != faultfs.Write && bad.Kind != faultfs.Read {
					continue
				}
				if bad.Kind == faultfs.Close && bad.Name == from {
					continue // nothing depends on it
				}
				name := filepath.Join(dir, "f")
				if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
					if c.Kind == bad.Kind && c.Name == bad.Name && c.N == bad.N {
						return &faultfs.Fault{Err: err}
					}
					return nil
				}}
				got := write(fsys, name, from)
				want := err
				switch {
				case err == nil && bad.Kind == faultfs.Write:
					want = io.ErrShortWrite
				case err == nil:
					want = blockio.ErrChanged
				}
				if !errors.Is(got, want) || !strings.Contains(got.Error(), filepath.Base(bad.Name)) {
					t.Errorf("%s, %s of %s: %v, want %v", what, bad.Kind, filepath.Base(bad.Name), got, want)
				}
				raw, _ := os.ReadFile(name)
				if text := string(raw); text != "old" && (bad.Kind != faultfs.SyncDir || text != "new") {
					t.Errorf("%s, %s: the file holds %q", what, bad.Kind, text)
				}
				if n := fsys.OpenFiles(); n != 0 {
					t.Errorf("%s, %s: %d files are open", what, bad.Kind, n)
				}
				if _, err := os.Stat(name + blockio.Partial); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s, %s: the partial file is left", what, bad.Kind)
				}
			}
		}
	}
}
