package blockio

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func create(t *testing.T, name string) File {
	t.Helper()
	f, err := OS.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestReserveClaimsSpaceAndZeroes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f := create(t, name)
	if err := f.Reserve(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := WriteFull(f, []byte("end"), 1<<20-3); err != nil {
		t.Fatal(err)
	}
	if err := f.Reserve(1 << 19); err != nil { // a smaller plan over the same file
		t.Fatal(err)
	}
	raw, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(raw, make([]byte, 1<<19)) {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if err := f.Reserve(0); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

// A reservation that the disk cannot hold must fail at once and plainly.
func TestReserveTooMuch(t *testing.T) {
	dir := t.TempDir()
	free, err := OS.Free(dir)
	if err != nil || free < 0 {
		t.Skip("the space left is unknown")
	}
	f := create(t, filepath.Join(dir, "f"))
	err = f.Reserve(free + 1<<40)
	if err == nil {
		t.Skip("a file system without reservations")
	}
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EFBIG) {
		t.Errorf("%v", err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	a, b := create(t, name), create(t, name)
	if err := a.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := b.Lock(); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	a.Close()
	if err := b.Lock(); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

func TestAppendKeeps(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two"} {
		f, err := OS.Append(name)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := f.Stat()
		if err := WriteFull(f, []byte(text), st.Size()); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if raw, _ := os.ReadFile(name); string(raw) != "onetwo" {
		t.Errorf("%q", raw)
	}
}

// Callers name operation and file themselves, so errors must not do it again.
func TestErrorsAreBare(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone", "f")
	file := filepath.Join(dir, "file")
	create(t, file)
	_, open := OS.Open(gone)
	_, made := OS.Create(gone)
	_, appended := OS.Append(gone)
	_, free := OS.Free(gone)
	f, err := OS.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, write := f.WriteAt([]byte("x"), 0)
	for what, err := range map[string]error{
		"open": open, "create": made, "append": appended, "free": free, "write": write, "truncate": f.Truncate(1),
		"rename": OS.Rename(gone, file), "remove": OS.Remove(gone), "mkdir": OS.MkdirAll(filepath.Join(file, "sub")), "syncdir": OS.SyncDir(gone),
	} {
		switch {
		case err == nil:
			t.Errorf("%s: no error", what)
		case strings.Contains(err.Error(), dir):
			t.Errorf("%s: %v names the path", what, err)
		}
	}
	if !errors.Is(open, fs.ErrNotExist) || !errors.Is(OS.Remove(gone), fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", open)
	}
}

func TestAdviceIsHarmless(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f := create(t, name)
	want := bytes.Repeat([]byte("quern"), 10000)
	if err := WriteFull(f, want, 0); err != nil {
		t.Fatal(err)
	}
	f.Sequential()
	if err := errors.Join(f.Flush(0, 100), f.Settle(1, int64(len(want)))); err != nil {
		t.Error(err)
	}
	f.Drop(0, int64(len(want))+5)
	got := make([]byte, len(want))
	if err := ReadFull(f, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the bytes changed: %v", err)
	}
}

// A reader or writer in tests: it moves n bytes and returns err.
type partly struct {
	n   int
	err error
}

func (p partly) ReadAt([]byte, int64) (int, error)  { return p.n, p.err }
func (p partly) WriteAt([]byte, int64) (int, error) { return p.n, p.err }

func TestReadFullAndWriteFull(t *testing.T) {
	disk := errors.New("disk")
	buf := make([]byte, 4)
	for _, c := range []struct {
		give        partly
		read, write error
	}{
		{partly{4, nil}, nil, nil},
		{partly{4, io.EOF}, nil, io.EOF}, // a reader may say so at the end; a writer has no business to
		{partly{3, nil}, io.ErrUnexpectedEOF, io.ErrShortWrite},
		{partly{3, io.EOF}, io.ErrUnexpectedEOF, io.EOF},
		{partly{0, nil}, io.ErrUnexpectedEOF, io.ErrShortWrite},
		{partly{3, disk}, disk, disk},
		{partly{0, disk}, disk, disk},
	} {
		if err := ReadFull(c.give, buf, 0); err != c.read {
			t.Errorf("reading %+v: %v, want %v", c.give, err, c.read)
		}
		if err := WriteFull(c.give, buf, 0); err != c.write {
			t.Errorf("writing %+v: %v, want %v", c.give, err, c.write)
		}
	}
}
