package blockio

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// places are folders whose file systems differ: one with a disk, one without.
func places(t *testing.T) map[string]string {
	dirs := map[string]string{"temporary": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "quern"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs["memory"] = dir
	}
	return dirs
}

// A file that several goroutines fill with pieces of all sizes, large ones from memory
// that lies as direct calls want it and not, holds what was written, and comes back in
// other pieces.
func TestDirect(t *testing.T) {
	for place, dir := range places(t) {
		t.Run(place, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			want := make([]byte, 9*large+4321)
			for i := range want {
				want[i] = byte(r.Uint32())
			}
			f, err := OS.Create(filepath.Join(dir, "f"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Reserve(int64(len(want))); err != nil {
				t.Fatal(err)
			}
			if err := WriteFull(f, want[:77], 0); err != nil {
				t.Fatal(err)
			}
			f.Uncached()
			each(r, 77, len(want), func(off, n int, b []byte) {
				copy(b, want[off:off+n])
				if err := WriteFull(f, b, int64(off)); err != nil {
					t.Error(err)
				}
			})
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			again, err := OS.Open(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			again.Drop(0, int64(len(want)))
			again.Uncached()
			t.Log("past the page cache:", again.(*osFile).direct.Load() != nil)
			for _, g := range []File{f, again} {
				for range 3 {
					each(r, 0, len(want), func(off, n int, b []byte) {
						if err := ReadFull(g, b, int64(off)); err != nil || !bytes.Equal(b, want[off:off+n]) {
							t.Errorf("%d bytes at %d: other ones came back: %v", n, off, err)
						}
					})
				}
				off := len(want) - large - 5
				b, _ := Fit(make([]byte, 3*large), int64(off), 2*large)
				if n, err := g.ReadAt(b, int64(off)); n != large+5 || err != io.EOF || !bytes.Equal(b[:n], want[off:]) {
					t.Errorf("over the end: %d bytes, %v", n, err)
				}
				if n, err := g.ReadAt(b, 20*large); n != 0 || err != io.EOF {
					t.Errorf("behind the end: %d bytes, %v", n, err)
				}
			}
		})
	}
}

// each cuts a range into pieces and does them in any order, four at a time; b has a
// piece's length and lies, mostly, as its place does.
func each(r *rand.Rand, from, to int, do func(off, n int, b []byte)) {
	type piece struct{ off, n, skip int }
	var list []piece
	for off := from; off < to; {
		n := min([]int{large, large + 1 + int(r.Uint32()%9000), 1 + int(r.Uint32()%5000), 2*large + 4096}[r.Uint32()%4], to-off)
		list = append(list, piece{off, n, int(r.Uint32()%4) / 3})
		off += n
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	work := make(chan piece)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for p := range work {
				b, _ := Fit(make([]byte, p.n+2*Slack()), int64(p.off+p.skip), int64(p.n))
				do(p.off, p.n, b)
			}
		})
	}
	for _, p := range list {
		work <- p
	}
	close(work)
	all.Wait()
}

// What a direct read takes is what the page cache holds and has not yet written.
func TestDirectSeesDirtyPages(t *testing.T) {
	f := create(t, filepath.Join(t.TempDir(), "f"))
	want := bytes.Repeat([]byte("quern"), large)
	if err := WriteFull(f, want, 0); err != nil {
		t.Fatal(err)
	}
	f.Uncached()
	copy(want[1000:], "later")
	if err := WriteFull(f, want[1000:1005], 1000); err != nil {
		t.Fatal(err)
	}
	got, _ := Fit(make([]byte, len(want)+Slack()), 0, int64(len(want)))
	if err := ReadFull(f, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes came back: %v", err)
	}
}

func TestFit(t *testing.T) {
	b := Buffer(3*hugePage + Slack())
	for _, off := range []int64{0, 1, border - 1, border, 12345678901} {
		p, rest := Fit(b, off, 3*hugePage)
		if len(p) != 3*hugePage || cap(p) != len(p) || !Fits(p, off) || len(rest) >= Slack()+1 {
			t.Errorf("offset %d: %d bytes, %d behind them", off, len(p), len(rest))
		}
	}
	if len(Buffer(100)) != 100 {
		t.Error("small")
	}
}

// Tensors lie side by side. Readers that take one each, at once and in turn, share the
// blocks at their borders, and each gets its own bytes; a file that somebody writes to
// through the same handle is read as it is.
func TestNeighboursShareBlocks(t *testing.T) {
	for place, dir := range places(t) {
		t.Run(place, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			want := make([]byte, 12*large+999)
			for i := range want {
				want[i] = byte(r.Uint32())
			}
			name := filepath.Join(dir, "f")
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, readers := range []int{1, 4} {
				f, err := OS.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				f.(*osFile).Sync() // pages that are not on the disk stay
				f.Drop(0, int64(len(want)))
				f.Uncached()
				var cuts []int
				for off := 3; off < len(want); off += large + r.IntN(large/2) {
					cuts = append(cuts, off)
				}
				cuts = append(cuts, len(want))
				next := make(chan int)
				var wg sync.WaitGroup
				for range readers {
					wg.Go(func() {
						for i := range next {
							off, n := cuts[i], cuts[i+1]-cuts[i]
							b, _ := Fit(make([]byte, n+Slack()), int64(off), int64(n))
							if err := ReadFull(f, b, int64(off)); err != nil || !bytes.Equal(b, want[off:off+n]) {
								t.Errorf("%d bytes at %d: other ones came back: %v", n, off, err)
							}
						}
					})
				}
				for range 2 { // the second time nothing of the first is left to share
					for i := range len(cuts) - 1 {
						next <- i
					}
				}
				close(next)
				wg.Wait()
				if o := f.(*osFile); o.direct.Load() != nil && readers == 1 && len(o.tails.kept) > 2 {
					t.Errorf("%d blocks are kept for neighbours that have been read", len(o.tails.kept))
				}
			}
		})
	}
}

// A short file leaves no block for the next reader, who looks for himself.
func TestNeighbourOfNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, 3*large), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := OS.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Uncached()
	if err := os.Truncate(name, large+50); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, off := range []int64{77, large + 77} {
			b, _ := Fit(make([]byte, large+Slack()), off, large)
			if err := ReadFull(f, b, off); err != io.ErrUnexpectedEOF {
				t.Errorf("at %d: %v", off, err)
			}
		}
	}
}
