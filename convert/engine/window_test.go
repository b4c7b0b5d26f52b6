package engine

import (
	"sync"
	"testing"

	"quern/internal/blockio"
)

// advised is a file that records advice.
type advised struct {
	blockio.File
	mu                       sync.Mutex
	flushed, settled, gone   int64
	most                     int64 // flushed and not settled
	closed, settledTooLate   bool
	settledBefore, droppedIn []int64
}

func (f *advised) Flush(_, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushed += n
	f.most = max(f.most, f.flushed-f.settled)
}

func (f *advised) Settle(off, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled += n
	f.settledBefore = append(f.settledBefore, off)
	f.settledTooLate = f.settledTooLate || f.closed
}

func (f *advised) Drop(off, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone += n
	f.droppedIn = append(f.droppedIn, off)
}

// Ranges are settled and dropped in their order, what lies behind is bounded,
// and after drain no range of the file is left, so that it can be closed.
func TestWindow(t *testing.T) {
	const chunk, chunks = 4 << 20, 200
	w := newWindow(true)
	a, b := &advised{}, &advised{}
	for i := range int64(chunks) {
		w.wrote(a, i*chunk, chunk)
		w.wrote(b, i*chunk, chunk)
	}
	w.drain(a)
	a.mu.Lock()
	a.closed = true
	if a.settled != chunks*chunk || a.gone != a.settled || a.flushed != a.settled {
		t.Errorf("drained with %d settled, %d dropped of %d", a.settled, a.gone, a.flushed)
	}
	a.mu.Unlock()
	for i := range int64(3) {
		w.wrote(b, (chunks+i)*chunk, chunk)
	}
	w.close()
	if b.settled != (chunks+3)*chunk || a.settledTooLate {
		t.Errorf("closed with %d settled, late %v", b.settled, a.settledTooLate)
	}
	// Both files share the window; a few ranges more wait in the channel.
	if most := a.most + b.most; most > windowBytes+40*chunk {
		t.Errorf("%d bytes were behind", most)
	}
	for i := 1; i < len(a.settledBefore); i++ {
		if a.settledBefore[i] <= a.settledBefore[i-1] || a.droppedIn[i] <= a.droppedIn[i-1] {
			t.Fatal("out of order")
		}
	}
}

// Small jobs only start write-back.
func TestNoWindow(t *testing.T) {
	w, f := newWindow(false), &advised{}
	w.wrote(f, 0, 7)
	w.drain(f)
	w.close()
	if f.flushed != 7 || f.settled != 0 || f.gone != 0 {
		t.Errorf("%+v", f)
	}
}
