package remote

import (
	"container/list"
	"context"
	"sync"
	"time"

	"quern/store"
)

const (
	block    = 8 << 20   // a range of a transfer, where the budget holds eight
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
	step  int64 // a range
	used  int64
	idle  *list.List // of *span that are read and may go, the oldest first
	spare [][]byte   // memory of ranges that were read, for the next: with used no more than total
}

// NewReader makes a Reader that keeps and has in flight at most so many bytes; 0 is
// DefaultBudget. What a read asks for itself does not count.
func NewReader(budget int64) *Reader {
	if budget <= 0 {
		budget = DefaultBudget
	}
	r := &Reader{
		Brief: brief, Patient: patient, Idle: 30 * time.Second,
		slots: make(chan struct{}, inFlight), idle: list.New(),
	}
	r.Limit(budget)
	return r
}

// Limit sets the budget, before anything is read: it is a part of what a command may
// take. Ranges are an eighth of it, so that there are always some in flight.
func (r *Reader) Limit(budget int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total, r.step = budget, min(max(budget/8, least), block)
}

// ranges are the size of a range, and how many of them the budget holds.
func (r *Reader) ranges() (step, count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step, r.total / r.step
}

// acquire takes n bytes of the budget, and memory for them. Spans that have been read
// from make room; those that wait to be read do not. nil says that there is none.
func (r *Reader) acquire(n int64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.used+n > r.total {
		oldest := r.idle.Front()
		if oldest == nil {
			return nil
		}
		s := r.idle.Remove(oldest).(*span)
		s.idle = nil
		r.keep(s.forget()) // its object drops it when it next looks
		r.used -= s.charge
		s.charge = 0
	}
	r.used += n
	var p []byte
	if k := len(r.spare) - 1; k >= 0 && n > r.step/2 && n <= r.step {
		p, r.spare = r.spare[k][:n], r.spare[:k]
	}
	for len(r.spare) > 0 && r.used+int64(len(r.spare))*r.step > r.total {
		r.spare = r.spare[:len(r.spare)-1]
	}
	if p == nil {
		p = make([]byte, n)
	}
	return p
}

// keep takes the memory of a range that is no longer wanted. r.mu is held.
func (r *Reader) keep(p []byte) {
	if int64(cap(p)) == r.step {
		r.spare = append(r.spare, p)
	}
}

// release gives back what a span holds.
func (r *Reader) release(s *span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(s.forget())
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
