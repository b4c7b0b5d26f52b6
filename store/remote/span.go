package remote

import (
	"container/list"
	"context"
	"sync"
)

// A span is a part of a file that is kept, or on its way.
type span struct {
	off, n int64
	ready  chan struct{} // closed when data or err is there
	cancel context.CancelFunc
	ahead  bool // of a file that is read from front to back; under Object.mu

	mu   sync.Mutex
	data []byte // nil when forgotten
	err  error
	read int64 // bytes that were read of it

	charge int64         // bytes of the budget that it holds; under Reader.mu
	idle   *list.Element // its place among those that may go; under Reader.mu
}

func (s *span) end() int64 { return s.off + s.n }

func (s *span) holds(pos int64) bool { return s.off <= pos && pos < s.end() }

// forget gives up the data of a span and returns its memory, which nobody looks at any
// more: who reads or hashes it holds s.mu.
func (s *span) forget() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.data
	s.data = nil
	return p
}

// set is what came of fetching.
func (s *span) set(data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data, s.err = data, err; err != nil {
		s.data = nil
	}
}

// add hashes a span as sum.add does. ok is false when it was given up.
func (s *span) add(to *sum) (next int64, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		return 0, false, nil
	}
	next, err = to.add(s.data, s.off)
	return next, true, err
}

// copy copies what a span has at pos. It reports false when the span was given up.
func (s *span) copy(p []byte, pos int64) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.data == nil {
		return 0, s.err != nil, s.err
	}
	n := copy(p, s.data[pos-s.off:])
	s.read += int64(n)
	return n, true, nil
}

// spent reports whether every byte of a span was read, so that nothing is lost with it.
func (s *span) spent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read >= s.n
}

// touched reports whether anything was read of a span.
func (s *span) touched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read > 0
}

// over reports whether a span failed or was given up.
func (s *span) over() bool {
	select {
	case <-s.ready:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.data == nil
	default:
		return false
	}
}
