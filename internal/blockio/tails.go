package blockio

import "sync"

// tails are blocks of which a read past the page cache had no use for the whole: the next
// one, which begins in the same block, takes the rest from here. Tensors lie side by side
// and seldom at borders of blocks, and a disk takes so much in one request and no more
// (4 MiB, often): without the block that both share, what fits one request is one.
type tails struct {
	mu   sync.Mutex
	kept []*tail // the oldest first
}

type tail struct {
	off   int64         // of the block
	done  chan struct{} // closed when block is there
	block []byte        // nil: it could not be read
}

// mostTails is how many are kept; those nobody asked for go first.
const mostTails = 64

// leave announces the block at off. The caller has to close done.
func (t *tails) leave(off int64) *tail {
	x := &tail{off: off, done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept = append(t.kept, x); len(t.kept) > mostTails {
		t.kept = t.kept[1:]
	}
	return x
}

// take returns the block at off, for the only time; nil if nobody reads it. Whoever takes it
// has to wait for done.
func (t *tails) take(off int64) *tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, x := range t.kept {
		if x.off == off {
			t.kept = append(t.kept[:i:i], t.kept[i+1:]...)
			return x
		}
	}
	return nil
}
