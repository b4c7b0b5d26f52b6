package verify_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"quern/convert"
	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
	"quern/scheme"
	"quern/verify"
)

// A matrix whose pieces are 512 KiB of codes beside 1 MiB of weights. Its scales lie before
// it and are one piece.
const piecesRows, piecesCols, pieces = 5 * 256, 2048, 5

func inPieces(t *testing.T) (base, cand string) {
	t.Helper()
	base = checkpoint(t, nil, matrix(safetensors.BF16, piecesRows, piecesCols, 7))
	return base, quantized(t, base, convert.QuantizeOptions{})
}

// of counts the large reads below a folder.
type of struct {
	dir   string
	size  int
	count atomic.Int64
}

func (o *of) next(c faultfs.Call) int64 {
	if c.Kind != faultfs.Read || c.Len != o.size || filepath.Dir(c.Name) != o.dir {
		return 0
	}
	return o.count.Add(1)
}

// settled waits until there are no more goroutines than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// What cannot be read is said when it would have been looked at, and not before: all that
// lies before it was looked at, once, whichever side fails.
func TestFaultAhead(t *testing.T) {
	base, cand := inPieces(t)
	for _, side := range []struct {
		dir  string
		size int
	}{{base, 2 * piecesRows * piecesCols / pieces}, {cand, piecesRows * piecesCols / pieces}} {
		for k := int64(1); k <= pieces; k++ {
			reads := of{dir: side.dir, size: side.size}
			fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
				if reads.next(c) == k {
					return &faultfs.Fault{Err: syscall.EIO}
				}
				return nil
			}}
			var looked atomic.Int64
			before := runtime.NumGoroutine()
			_, err := verify.Compare(context.Background(), through(t, fsys, base), through(t, fsys, cand),
				verify.Options{Workers: 1, Progress: func(_, _ int64) { looked.Add(1) }})
			if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), side.dir) || !strings.Contains(err.Error(), dense) {
				t.Errorf("piece %d: %v", k, err)
			}
			if n := looked.Load() - 1; n != k-1 {
				t.Errorf("piece %d of %q: %d were looked at before", k, side.dir, n)
			}
			if n := fsys.OpenFiles(); n != 0 {
				t.Errorf("piece %d: %d files are open", k, n)
			}
			settled(t, before)
		}
	}
}

// The next piece is read while one is looked at, and the one behind it is not: there is
// no memory for it. With little memory none is. A run that is cancelled then ends with
// that piece.
func TestReadsAhead(t *testing.T) {
	base, cand := inPieces(t)
	for _, memory := range []int64{0, 1 << 30, 16 << 20} {
		want := int64(2)
		if memory == 16<<20 {
			want = 1
		}
		reads := of{dir: cand, size: piecesRows * piecesCols / pieces}
		seen := make(chan int64, pieces)
		fsys := &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
			if n := reads.next(c); n > 0 {
				seen <- n
			}
			return nil
		}}
		ctx, cancel := context.WithCancel(context.Background())
		var looked atomic.Int64
		before := runtime.NumGoroutine()
		_, err := verify.Compare(ctx, through(t, fsys, base), through(t, fsys, cand), verify.Options{Workers: 1, Memory: memory, Progress: func(_, _ int64) {
			if looked.Add(1) == 1 {
				return // the scales
			}
			defer cancel()
			for n := int64(0); n < want; {
				select {
				case n = <-seen:
				case <-time.After(10 * time.Second):
					t.Errorf("memory %d: piece %d is not read while the first is looked at", memory, n+1)
					return
				}
			}
			time.Sleep(20 * time.Millisecond) // time to read one too many
		}})
		if !errors.Is(err, context.Canceled) || looked.Load() != 2 {
			t.Errorf("memory %d: %v after %d pieces", memory, err, looked.Load()-1)
		}
		if n := reads.count.Load(); n != want {
			t.Errorf("memory %d: %d pieces were read, want %d", memory, n, want)
		}
		settled(t, before)
	}
}

// fitting notes files that are asked to leave the page cache alone, and large reads into
// memory that lies otherwise than the file.
type fitting struct {
	blockio.FS
	uncached, large, apart *atomic.Int64
}

type fittingFile struct {
	blockio.File
	fitting
}

func (f fitting) Open(name string) (blockio.File, error) {
	r, err := f.FS.Open(name)
	return fittingFile{r, f}, err
}

func (f fittingFile) Uncached() bool {
	f.uncached.Add(1)
	return f.File.Uncached()
}

func (f fittingFile) ReadAt(p []byte, at int64) (int, error) {
	if len(p) >= 256<<10 {
		f.large.Add(1)
		if (int64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))-at)%int64(blockio.Slack()) != 0 {
			f.apart.Add(1)
		}
	}
	return f.File.ReadAt(p, at)
}

// Large reads are such as go past the page cache: of both sides, whatever the tensor is.
func TestReadsFit(t *testing.T) {
	base, cand := inPieces(t)
	for _, c := range []struct{ base, cand string }{{base, cand}, {base, base}, {cand, cand}, {base, quantized(t, base, convert.QuantizeOptions{Scheme: scheme.MXFP8})}} {
		f := fitting{blockio.OS, new(atomic.Int64), new(atomic.Int64), new(atomic.Int64)}
		if _, err := verify.Compare(context.Background(), through(t, f, c.base), through(t, f, c.cand), verify.Options{Workers: 2}); err != nil {
			t.Fatal(err)
		}
		if f.uncached.Load() != 2 || f.large.Load() < 2 || f.apart.Load() > 0 {
			t.Errorf("%s: %d files leave the cache alone, %d of %d reads do not fit", c.cand, f.uncached.Load(), f.apart.Load(), f.large.Load())
		}
	}
}
