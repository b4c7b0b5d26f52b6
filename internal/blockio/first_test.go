package blockio_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// The first of two equal files stays, a different one is refused, and no partial name is
// left; also where there are no links, and where someone has swept the partial name.
func TestPublishFirst(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	part := func(fsys blockio.FS, id, text string) blockio.File {
		t.Helper()
		f, err := fsys.Create(name + "." + id + blockio.Partial)
		if err == nil {
			err = blockio.WriteFull(f, []byte(text), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	holds := func(want string) {
		t.Helper()
		raw, err := os.ReadFile(name)
		list, _ := os.ReadDir(dir)
		if err != nil || string(raw) != want || len(list) != 1 {
			t.Fatalf("%q %v, %d files", raw, err, len(list))
		}
	}
	linkless := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Link {
			return &faultfs.Fault{Err: syscall.EPERM}
		}
		return nil
	}}
	for _, fsys := range []blockio.FS{blockio.OS, linkless} {
		_ = os.Remove(name)
		a, b, c, d := part(fsys, "a", "abc"), part(fsys, "b", "abc"), part(fsys, "c", "abd"), part(fsys, "d", "ab")
		if err := blockio.PublishFirst(fsys, a, name); err != nil {
			t.Fatal(err)
		}
		was, _ := os.Stat(name)
		if err := os.Remove(b.Name()); err != nil {
			t.Fatal(err)
		}
		if err := blockio.PublishFirst(fsys, b, name); err != nil {
			t.Fatal(err)
		}
		for _, f := range []blockio.File{c, d} {
			if err := blockio.PublishFirst(fsys, f, name); !errors.Is(err, blockio.ErrDiffers) || !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
		}
		holds("abc")
		if is, _ := os.Stat(name); !os.SameFile(was, is) {
			t.Error("the first did not stay")
		}
	}
	for _, k := range []faultfs.Kind{faultfs.Sync, faultfs.SyncDir} {
		_ = os.Remove(name)
		fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == k {
				return &faultfs.Fault{Err: syscall.EIO}
			}
			return nil
		}}
		if err := blockio.PublishFirst(fsys, part(fsys, "a", "abc"), name); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", k, err)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", k, n)
		}
	}
}
