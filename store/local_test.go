package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/store"
)

// put writes files below a folder.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A location is a folder, or a file of one, by a path or as file://.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"sub/w.safetensors": "abc"})
	sub := filepath.Join(dir, "sub")
	for _, c := range []struct{ location, folder, name string }{
		{sub, sub, ""},
		{"file://" + sub, sub, ""},
		{"FILE://" + sub, sub, ""},
		{filepath.Join(sub, "w.safetensors"), sub, "w.safetensors"},
		{"file://" + filepath.Join(sub, "w.safetensors"), sub, "w.safetensors"},
	} {
		f, name, err := store.Open(t.Context(), c.location)
		if err != nil || f.String() != c.folder || name != c.name {
			t.Errorf("%s: %v %q %v", c.location, f, name, err)
			continue
		}
		raw, err := store.ReadFile(t.Context(), f, "w.safetensors", 3)
		if err != nil || string(raw) != "abc" {
			t.Errorf("%s: %q %v", c.location, raw, err)
		}
	}
	for location, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or folder",
		"gopher://x/y":             "gopher:// is not known: give a path, or a location that begins with file://",
	} {
		if _, _, err := store.Open(t.Context(), location); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", location, err)
		}
	}
	if _, err := store.OpenSink("gopher://x"); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
	for location, want := range map[string]string{sub: "not a regular file", filepath.Join(dir, "none"): "there is no such file"} {
		if _, err := store.OpenFile(t.Context(), location); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// A listing has the files of sub-folders, says what is no file and where links lead,
// and leaves out what begins with a dot.
func TestList(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "models")
	put(t, dir, map[string]string{
		"models/b": "12", "models/a/z": "", "models/a-b": "1", "models/.git/x": "", "models/a/.x": "", "secret": "s",
	})
	if err := os.Symlink(filepath.Join("..", "secret"), filepath.Join(folder, "link")); err != nil {
		t.Skip("no links here:", err)
	}
	if err := os.Symlink("a", filepath.Join(folder, "folder")); err != nil {
		t.Fatal(err)
	}
	list, err := store.Local(nil, folder).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
		st, err := os.Stat(filepath.Join(folder, filepath.FromSlash(e.Name)))
		if err != nil || e.Size != st.Size() || e.Stamp != store.StampOf(st) || e.Mode != st.Mode().Type() {
			t.Errorf("%+v, %v", e, err)
		}
		if out := strings.HasSuffix(e.Outside, "secret"); out != (e.Name == "link") {
			t.Errorf("%s leads to %q", e.Name, e.Outside)
		}
	}
	if want := []string{"a-b", "a/z", "b", "folder", "link"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if err := os.Symlink("nowhere", filepath.Join(folder, "a", "gone")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Local(nil, folder).List(t.Context()); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), `"a/gone" is a link that leads nowhere`) {
		t.Error(err)
	}
	if _, err := store.Local(nil, filepath.Join(dir, "none")).List(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Local(nil, folder).List(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Names stay in their folder, and what is no file is refused before it is opened.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"in/x": "", "secret": "s"})
	f := store.Local(nil, filepath.Join(dir, "in"))
	for _, name := range []string{"../secret", filepath.Join(dir, "secret"), "", "x/../../secret"} {
		if _, err := f.Open(t.Context(), name); !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, invalid.Input) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := f.Open(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "in", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(t.Context(), "sub"); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "in", "loop")); err == nil {
		if _, err := f.Open(t.Context(), "loop"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

// What is written to while it is open shows, as far as size and time tell; what
// becomes of its name does not matter.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"f": "abc"})
	path := filepath.Join(dir, "f")
	o, err := store.Local(nil, dir).Open(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, same bool) {
		t.Helper()
		err := o.Check()
		if (err == nil) != same || !same && (!errors.Is(err, store.ErrChanged) || !errors.Is(err, invalid.Input)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("as it was", true)
	if o.Size() != 3 || o.Stamp() != store.StampOf(st) || o.String() != path {
		t.Errorf("%s: %d bytes, %s", o, o.Size(), o.Stamp())
	}
	if err := os.Chtimes(path, time.Time{}, st.ModTime().Add(time.Microsecond)); err != nil {
		t.Fatal(err)
	}
	check("touched", false)
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, st.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("cut", false)
	if _, err := store.ReadAll(o); !errors.Is(err, store.ErrChanged) {
		t.Errorf("read when it was cut: %v", err)
	}
	_ = o.Close()
	if err := o.Check(); err == nil || errors.Is(err, store.ErrChanged) {
		t.Errorf("a closed file: %v", err)
	}
}

// Every call that opening, reading and listing make fails once: the error names what
// it was, and nothing stays open.
func TestReadingFails(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"models/f": "abc", "secret": ""})
	if err := os.Symlink("../secret", filepath.Join(dir, "models", "link")); err != nil {
		t.Skip("no links here:", err)
	}
	look := func(fsys blockio.FS) error {
		f := store.Local(fsys, filepath.Join(dir, "models"))
		if _, err := f.List(t.Context()); err != nil {
			return err
		}
		o, err := f.Open(t.Context(), "f")
		if err != nil {
			return err
		}
		_, err = store.ReadAll(o)
		if err == nil {
			err = o.Check()
		}
		_ = o.Close()
		return err
	}
	every(t, look, func(c faultfs.Call) bool { return c.Kind == faultfs.Close })
}

// every runs a piece of work once for each call it makes, which fails, but for those
// on which nothing depends.
func every(t *testing.T, work func(blockio.FS) error, harmless func(faultfs.Call) bool) {
	t.Helper()
	clean := &faultfs.FS{NoSync: true}
	if err := work(clean); err != nil {
		t.Fatal(err)
	}
	for _, bad := range clean.Calls() {
		fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == bad.Kind && c.Name == bad.Name && c.N == bad.N {
				return &faultfs.Fault{Err: syscall.EIO}
			}
			return nil
		}}
		err := work(fsys)
		switch {
		case err == nil && harmless(bad):
		case !errors.Is(err, syscall.EIO) || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), filepath.Base(bad.Name)):
			t.Errorf("%s %d of %s: %v", bad.Kind, bad.N, bad.Name, err)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s %d of %s: %d files are open", bad.Kind, bad.N, bad.Name, n)
		}
	}
}
