package engine

import (
	"fmt"
	"sync"

	"quern/store"
)

// window follows the writers: it starts write-back of every range at once, so
// that the sync at a shard's end finds little left to do, and, for jobs that
// are large against memory, waits for ranges that lie windowBytes behind and
// forgets their pages. That bounds what is dirty and leaves the page cache to
// the rest of the machine.
type window struct {
	events chan event
	done   sync.WaitGroup
}

// event is a range that was written, or, with drained set, the wish that no
// range of the shard stays behind.
type event struct {
	file      store.Part
	offset, n int64
	drained   chan error
}

const windowBytes = 256 << 20

// newWindow makes a window; unless follow is set it only starts write-back.
func newWindow(follow bool) *window {
	w := &window{}
	if follow {
		w.events = make(chan event, 16)
		w.done.Go(w.follow)
	}
	return w
}

// wrote announces a range. It waits when the disk falls behind.
func (w *window) wrote(f store.Part, offset, n int64) error {
	if err := f.Flush(offset, n); err != nil {
		return fmt.Errorf("writing %q: %w", f, err)
	}
	if w.events != nil {
		w.events <- event{file: f, offset: offset, n: n}
	}
	return nil
}

// drain returns when the window is done with f, which may then be closed. Its error
// says that something written to f was lost: the system has told the window, and will
// not tell the Sync that follows.
func (w *window) drain(f store.Part) error {
	if w.events == nil {
		return nil
	}
	e := event{file: f, drained: make(chan error, 1)}
	w.events <- e
	if err := <-e.drained; err != nil {
		return fmt.Errorf("writing %q: %w", f, err)
	}
	return nil
}

// close ends the window; every announced range has been settled.
func (w *window) close() {
	if w.events != nil {
		close(w.events)
		w.done.Wait()
	}
}

func (w *window) follow() {
	var queue []event
	var held int64
	lost := map[store.Part]error{} // the first error of each file
	settle := func() {
		q := queue[0]
		queue = queue[1:]
		if err := q.file.Settle(q.offset, q.n); err != nil && lost[q.file] == nil {
			lost[q.file] = err
		}
		q.file.Drop(q.offset, q.n)
		held -= q.n
	}
	for e := range w.events {
		if e.drained == nil {
			queue, held = append(queue, e), held+e.n
			for held > windowBytes {
				settle()
			}
			continue
		}
		for len(queue) > 0 && holds(queue, e.file) {
			settle()
		}
		e.drained <- lost[e.file]
		delete(lost, e.file)
	}
	for len(queue) > 0 {
		settle()
	}
}

func holds(queue []event, f store.Part) bool {
	for _, q := range queue {
		if q.file == f {
			return true
		}
	}
	return false
}
