package blockio

import (
	"bytes"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// Whatever the system can do, bytes are the same: pieces on both sides of the
// threshold, at odd offsets, and the end of the file.
func TestUncached(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := OS.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := make([]byte, 3*large+12345)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	if err := f.Reserve(int64(len(want))); err != nil {
		t.Fatal(err)
	}
	t.Log("the system can:", f.Uncached())
	for off := 0; off < len(want); {
		n := min([]int{large + 7, 11, large, 4096}[off%4], len(want)-off)
		if err := WriteFull(f, want[off:off+n], int64(off)); err != nil {
			t.Fatal(err)
		}
		off += n
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	again, err := OS.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Uncached()
	for _, g := range []File{f, again} {
		got := make([]byte, len(want))
		if err := ReadFull(g, got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("other bytes came back: %v", err)
		}
		if n, err := g.ReadAt(make([]byte, large), int64(len(want)-100)); n != 100 || err != io.EOF {
			t.Errorf("at the end: %d bytes, %v; want 100 and EOF", n, err)
		}
		if err := ReadFull(g, make([]byte, 2*large), int64(len(want)-large)); err != io.ErrUnexpectedEOF {
			t.Errorf("beyond the end: %v", err)
		}
	}
	if _, err := again.WriteAt(want, 0); err == nil {
		t.Error("a file that was opened for reading takes writes")
	}
}
