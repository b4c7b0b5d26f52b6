package store_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/store"
)

// content reads a file, "" if it is not there.
func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(raw)
}

// A part has its name when it is committed, and leaves nothing when it is not.
func TestParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	s := store.LocalSink(nil, dir)
	if _, err := s.Names(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if n, err := s.Free(); err != nil || n == 0 {
		t.Errorf("%d free, %v", n, err)
	}
	for _, want := range []bool{true, false} {
		if made, err := s.Make(); err != nil || made != want {
			t.Error(made, err)
		}
	}
	p, err := s.Create(t.Context(), "sub/f")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reserve(3); err != nil {
		t.Fatal(err)
	}
	store.Uncached(p)
	if _, err := p.WriteAt([]byte("abc"), 0); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{p.Flush(0, 3), p.Settle(0, 3)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.Drop(0, 3)
	if b := make([]byte, 2); blockio.ReadFull(p, b, 1) != nil || string(b) != "bc" {
		t.Errorf("%q", b)
	}
	if got := s.Left("sub/f"); got != 3 || content(t, filepath.Join(dir, "sub", "f")) != "" {
		t.Errorf("%d bytes under the partial name", got)
	}
	if err := p.Commit(); err != nil || content(t, filepath.Join(dir, "sub", "f")) != "abc" || s.Left("sub/f") != 0 {
		t.Error(err)
	}
	if p, err = s.Create(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	p.Discard()
	put(t, dir, map[string]string{"h.partial": "12"})
	if s.Left("h") != 2 || s.Sweep("h") != nil || s.Left("h") != 0 || s.Sweep("h") != nil {
		t.Error("what an earlier run has left is still there")
	}
	if names, err := s.Names(); err != nil || !slices.Equal(names, []string{"sub"}) {
		t.Error(names, err)
	}
	if e, err := s.Look("sub/f"); err != nil || e.Size != 3 || e.Mode != 0 {
		t.Error(e, err)
	}
	s.Unmake() // not empty
	for range 2 {
		if err := s.Remove("sub/f"); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Look("sub/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range []string{"../x", "/x"} {
		_, err1 := s.Create(t.Context(), name)
		_, err2 := s.Look(name)
		_, err3 := s.Log(name)
		for _, err := range []error{err1, err2, err3, s.Remove(name)} {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	put(t, dir, map[string]string{"file": ""})
	if _, err := store.LocalSink(nil, filepath.Join(dir, "file")).Names(); !errors.Is(err, store.ErrNotFolder) {
		t.Error(err)
	}
}

// Files are copied to the byte, and one that is not as large as it was said to be is
// refused.
func TestCopy(t *testing.T) {
	dir := t.TempDir()
	from := store.Local(nil, filepath.Join(dir, "from"))
	to := store.LocalSink(nil, filepath.Join(dir, "to"))
	if _, err := to.Make(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 2<<20 + 7} {
		want := string(bytes.Repeat([]byte{1, 2, 3}, n)[:n])
		put(t, dir, map[string]string{"from/sub/f": want})
		if err := store.Copy(t.Context(), to, from, "sub/f", int64(n)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, filepath.Join(dir, "to", "sub", "f")); got != want {
			t.Errorf("%d bytes: got %d", n, len(got))
		}
	}
	put(t, dir, map[string]string{"from/g": "12345"})
	for _, size := range []int64{4, 6} {
		if err := store.Copy(t.Context(), to, from, "g", size); !errors.Is(err, store.ErrChanged) || !errors.Is(err, invalid.Input) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	// Cut between the look at its size and the reading.
	fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Create {
			_ = os.Truncate(filepath.Join(dir, "from", "g"), 2)
		}
		return nil
	}}
	err := store.Copy(t.Context(), store.LocalSink(fsys, filepath.Join(dir, "to")), store.Local(fsys, filepath.Join(dir, "from")), "g", 5)
	if !errors.Is(err, store.ErrChanged) || fsys.OpenFiles() != 0 || content(t, filepath.Join(dir, "to", "g")) != "" {
		t.Errorf("cut while it is copied: %v, %d files are open", err, fsys.OpenFiles())
	}
}

// Every call that writing makes fails once: the error names the file, what had the
// name before keeps it, and no partial file is left.
func TestWritingFails(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"from/f": "new"})
	for what, write := range map[string]func(to store.Sink, from store.Folder) error{
		"write": func(to store.Sink, _ store.Folder) error {
			return store.WriteFile(t.Context(), to, "f", []byte("new"))
		},
		"copy": func(to store.Sink, from store.Folder) error { return store.Copy(t.Context(), to, from, "f", 3) },
	} {
		work := func(fsys blockio.FS) error {
			put(t, dir, map[string]string{"to/f": "old"})
			err := write(store.LocalSink(fsys, filepath.Join(dir, "to")), store.Local(fsys, filepath.Join(dir, "from")))
			text := content(t, filepath.Join(dir, "to", "f"))
			if err == nil && text != "new" || err != nil && text != "old" && !strings.Contains(err.Error(), "syncing folder") {
				t.Errorf("%s: %v, and the file holds %q", what, err, text)
			}
			if _, err := os.Stat(filepath.Join(dir, "to", "f.partial")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the partial file is left", what)
			}
			return err
		}
		every(t, work, func(c faultfs.Call) bool { return c.Kind == faultfs.Close && !strings.HasSuffix(c.Name, ".partial") })
	}
	for _, short := range []faultfs.Kind{faultfs.Write, faultfs.Read} {
		fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == short {
				return &faultfs.Fault{}
			}
			return nil
		}}
		err := store.Copy(t.Context(), store.LocalSink(fsys, filepath.Join(dir, "to")), store.Local(fsys, filepath.Join(dir, "from")), "f", 3)
		if want := map[faultfs.Kind]error{faultfs.Write: io.ErrShortWrite, faultfs.Read: store.ErrChanged}[short]; !errors.Is(err, want) {
			t.Errorf("a short %s: %v", short, err)
		}
	}
}

// A log keeps what counts, is written over behind it, and is one run's alone.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	s := store.LocalSink(nil, dir)
	put(t, dir, map[string]string{"log": "one\ntwo\ntor"})
	l, err := s.Log("log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Log("log"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	raw := make([]byte, l.Size())
	if err := blockio.ReadFull(l, raw, 0); err != nil || string(raw) != "one\ntwo\ntor" {
		t.Errorf("%q, %v", raw, err)
	}
	l.Keep(8)
	for _, step := range []error{l.Append([]byte("x\n")), l.Sync(), l.Cut()} {
		if step != nil {
			t.Fatal(step)
		}
	}
	if got := content(t, filepath.Join(dir, "log")); got != "one\ntwo\nx\n" || l.End() != 10 {
		t.Errorf("%q, to %d", got, l.End())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = s.Log("log"); err != nil || l.Size() != 10 || l.End() != 0 {
		t.Fatal(l, err)
	}
	if err := l.Retire(); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Names(); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
	work := func(fsys blockio.FS) error {
		l, err := store.LocalSink(fsys, dir).Log("log")
		if err != nil {
			return err
		}
		for _, step := range []func() error{func() error { return l.Append([]byte("x")) }, l.Sync, l.Cut} {
			if err := step(); err != nil {
				_ = l.Close()
				return err
			}
		}
		return l.Retire()
	}
	every(t, work, func(faultfs.Call) bool { return false })
}

// Folders are told apart by what they are.
func TestRelation(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a/b/f": "", "c/f": ""})
	alias := filepath.Join(dir, "alias")
	if err := os.Symlink("a", alias); err != nil {
		t.Skip("no links here:", err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		out, in string
		want    store.Relation
	}{
		{at("a"), at("a"), store.Same},
		{alias, at("a"), store.Same},
		{at("a/b/.."), alias, store.Same},
		{at("a/new"), alias, store.Nested},
		{at("alias/b/new/deep"), at("a"), store.Nested},
		{at("a"), at("alias/b"), store.Nested},
		{at("c"), at("a"), store.Apart},
		{at("new"), at("a"), store.Apart},
		{at("ab"), at("a"), store.Apart},
	} {
		if got, err := store.LocalSink(nil, c.out).Relation(store.Local(nil, c.in)); got != c.want || err != nil {
			t.Errorf("%s to %s: %d, %v; want %d", c.out, c.in, got, err, c.want)
		}
	}
}
