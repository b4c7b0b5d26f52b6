package remote

import (
	"container/list"
	"context"
	"sync"
	"time"

	"quern/store"
)

const (
	block    = 8 << 20   // a range of a transfer
	least    = 128 << 10 // the least that is asked for
	direct   = 1 << 20   // from where on a read goes straight to where it is wanted
	inFlight = 16        // requests at once, of all objects
	stagger  = 8         // ranges that grow to a whole one at the front of a file
)

// DefaultBudget is what a Reader keeps unless told otherwise: eight ranges, which
// fills a link of 1 GB/s with a round trip of 50 ms.
const DefaultBudget = 8 * block

// A Reader is what all remote objects of a process share. It is safe for concurrent
// use.
type Reader struct {
	Brief   Patience      // of an answer that someone waits for
	Patient Patience      // of the transfer of a range
	Idle    time.Duration // without a byte after which a connection counts as dropped

	slots chan struct{} // requests in flight
	mu    sync.Mutex
	total int64
	used  int64
	idle  *list.List // of *span that are read and may go, the oldest first
}

// NewReader makes a Reader that keeps and has in flight at most so many bytes; 0 is
// DefaultBudget. What a read asks for itself does not count.
func NewReader(budget int64) *Reader {
	if budget <= 0 {
		budget = DefaultBudget
	}
	return &Reader{
		Brief: brief, Patient: patient, Idle: 30 * time.Second,
		slots: make(chan struct{}, inFlight), total: budget, idle: list.New(),
	}
}

// acquire takes n bytes of the budget. Spans that have been read from make room; those
// that wait to be read do not.
func (r *Reader) acquire(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.used+n > r.total {
		oldest := r.idle.Front()
		if oldest == nil {
			return false
		}
		s := r.idle.Remove(oldest).(*span)
		s.idle = nil
		s.forget() // its object drops it when it next looks
		r.used -= s.charge
		s.charge = 0
	}
	r.used += n
	return true
}

// release gives back what a span holds.
func (r *Reader) release(s *span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= s.charge
	s.charge = 0
	if s.idle != nil {
		r.idle.Remove(s.idle)
		s.idle = nil
	}
}

// touch says that a span was read from just now.
func (r *Reader) touch(s *span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case s.charge == 0: // released or forgotten meanwhile
	case s.idle != nil:
		r.idle.MoveToBack(s.idle)
	default:
		s.idle = r.idle.PushBack(s)
	}
}

// slot waits for leave to make a request.
func (r *Reader) slot(ctx context.Context) (done func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A File is what is known of a file before it is read.
type File struct {
	Name   string // as people know it, without secrets
	Size   int64  // bytes
	Stamp  store.Stamp
	Digest Digest        // of the content, where the store tells
	Idle   time.Duration // instead of the reader's; 0 is that
}

// Open makes an object of a file. The reads of the object end when ctx does.
func (r *Reader) Open(ctx context.Context, f File, from Source) *Object {
	if f.Idle == 0 {
		f.Idle = r.Idle
	}
	o := &Object{reader: r, file: f, source: from, sum: f.Digest.begin(f.Size)}
	o.ctx, o.cancel = context.WithCancelCause(ctx)
	return o
}
