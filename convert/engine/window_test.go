package engine

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"quern/store"
)

var errLost = errors.New("lost")

// advised is a file that records advice.
type advised struct {
	store.Part
	mu                       sync.Mutex
	flushed, settled, gone   int64
	most                     int64 // flushed and not settled
	closed, settledTooLate   bool
	settledBefore, droppedIn []int64
	lost                     int64 // the offset whose write-back fails; 0: none
}

func (f *advised) Flush(_, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushed += n
	f.most = max(f.most, f.flushed-f.settled)
	return nil
}

func (f *advised) Settle(off, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled += n
	f.settledBefore = append(f.settledBefore, off)
	f.settledTooLate = f.settledTooLate || f.closed
	if f.lost != 0 && off == f.lost {
		return errLost
	}
	return nil
}

func (f *advised) Drop(off, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone += n
	f.droppedIn = append(f.droppedIn, off)
}

func (f *advised) String() string { return "advised" }

func announce(t *testing.T, w *window, f store.Part, offset, n int64) {
	t.Helper()
	if err := w.wrote(f, offset, n); err != nil {
		t.Error(err)
	}
}

// A range whose write-back failed is told when the file is drained, and to nobody
// else: other files are whole, and the next to be drained begins anew.
func TestWindowTellsLosses(t *testing.T) {
	w := newWindow(true)
	a, b := &advised{lost: 3 << 20}, &advised{}
	for i := range int64(5) {
		announce(t, w, a, i<<20, 1<<20)
		announce(t, w, b, i<<20, 1<<20)
	}
	if err := w.drain(b); err != nil {
		t.Error(err)
	}
	if err := w.drain(a); !errors.Is(err, errLost) || !strings.Contains(err.Error(), "advised") {
		t.Error(err)
	}
	w.close()
}

// Ranges are settled and dropped in their order, what lies behind is bounded,
// and after drain no range of the file is left, so that it can be closed.
func TestWindow(t *testing.T) {
	const chunk, chunks = 4 << 20, 200
	w := newWindow(true)
	a, b := &advised{}, &advised{}
	for i := range int64(chunks) {
		announce(t, w, a, i*chunk, chunk)
		announce(t, w, b, i*chunk, chunk)
	}
	if err := w.drain(a); err != nil {
		t.Error(err)
	}
	a.mu.Lock()
	a.closed = true
	if a.settled != chunks*chunk || a.gone != a.settled || a.flushed != a.settled {
		t.Errorf("drained with %d settled, %d dropped of %d", a.settled, a.gone, a.flushed)
	}
	a.mu.Unlock()
	for i := range int64(3) {
		announce(t, w, b, (chunks+i)*chunk, chunk)
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
	announce(t, w, f, 0, 7)
	if err := w.drain(f); err != nil {
		t.Error(err)
	}
	w.close()
	if f.flushed != 7 || f.settled != 0 || f.gone != 0 {
		t.Errorf("%+v", f)
	}
}
