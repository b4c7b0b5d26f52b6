package engine

import (
	"context"
	"sync"

	"quern/internal/blockio"
)

// buffers are equal pieces of memory that go round. The one that came back last goes out
// first: it still lies in the processor's cache, and memory that nobody needed is never
// touched, which on machines that get theirs page by page costs more than to fill it.
type buffers struct {
	there chan struct{} // as many as there are in free

	mu   sync.Mutex
	free [][]byte
}

// newBuffers makes n buffers that hold size bytes wherever they lie in a file
// (blockio.Fit).
func newBuffers(n, size int) *buffers {
	b := &buffers{there: make(chan struct{}, n)}
	for range n {
		b.give(blockio.Buffer(size + blockio.Slack()))
	}
	return b
}

// take waits until one is free.
func (b *buffers) take(ctx context.Context) ([]byte, error) {
	select {
	case <-b.there:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.free) - 1
	p := b.free[last]
	b.free = b.free[:last]
	return p, nil
}

// give puts a buffer back. It never waits: there is room for all.
func (b *buffers) give(p []byte) {
	b.mu.Lock()
	b.free = append(b.free, p)
	b.mu.Unlock()
	b.there <- struct{}{}
}
