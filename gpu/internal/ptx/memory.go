package ptx

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync"
)

// Memory is a card's global memory: allocations with room between them.
type Memory struct {
	mu     sync.RWMutex
	blocks []block // by address
	next   uint64
}

type block struct {
	at    uint64
	bytes []byte
}

// Alloc takes n bytes, with 0xAA in them.
func (m *Memory) Alloc(n int) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == 0 {
		m.next = 0x7f0000000000
	}
	at := m.next
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xaa
	}
	m.blocks = append(m.blocks, block{at, b})
	m.next += uint64(n)/4096*4096 + 3*4096
	return at
}

// Free gives back what Alloc returned, and reports whether it was there.
func (m *Memory) Free(at uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, b := range m.blocks {
		if b.at == at {
			m.blocks = append(m.blocks[:i], m.blocks[i+1:]...)
			return true
		}
	}
	return false
}

// Bytes returns n bytes at an address, nil if they are not all in one allocation.
func (m *Memory) Bytes(at uint64, n int) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := sort.Search(len(m.blocks), func(i int) bool { return m.blocks[i].at > at }) - 1
	if i < 0 {
		return nil
	}
	off := at - m.blocks[i].at
	if b := m.blocks[i].bytes; off <= uint64(len(b)) && uint64(n) <= uint64(len(b))-off {
		return b[off:][:n]
	}
	return nil
}

// shared is a group's shared memory and who touched it since the last barrier.
type shared struct {
	bytes []byte
	words []touch
	epoch int32 // barriers so far, from 1
}

type touch struct {
	written, read  int32 // epoch of the last time, 0 for never
	writer, reader int16 // thread; −1 for several
	atomic         bool  // the last write was one
}

func (s *shared) reset(n int) {
	if len(s.bytes) != n {
		s.bytes, s.words = make([]byte, n), make([]touch, (n+3)/4)
	}
	clear(s.words)
	s.epoch = 1
}

// access notes that a thread touches n bytes at an address.
func (s *shared) access(at uint64, n int, thread int32, write, atomic bool) error {
	if at > uint64(len(s.bytes)) || uint64(n) > uint64(len(s.bytes))-at {
		return fmt.Errorf("shared memory: %d bytes at %d of %d", n, at, len(s.bytes))
	}
	for w := at / 4; w < (at+uint64(n)+3)/4; w++ {
		t := &s.words[w]
		id := int16(thread)
		switch {
		case t.written == 0 && !write:
			return fmt.Errorf("shared memory: thread %d reads %d, which nobody has written", thread, w*4)
		case t.written == s.epoch && t.writer != id && !(atomic && t.atomic):
			return fmt.Errorf("shared memory: threads %d and %d touch %d with no barrier between", t.writer, thread, w*4)
		case write && !atomic && t.read == s.epoch && t.reader != id:
			return fmt.Errorf("shared memory: thread %d writes %d, which %d read with no barrier between", thread, w*4, t.reader)
		}
		if write {
			t.written, t.writer, t.atomic = s.epoch, id, atomic
		} else {
			if t.read == s.epoch && t.reader != id {
				id = -1
			}
			t.read, t.reader = s.epoch, id
		}
	}
	return nil
}

func load(p []byte) uint64 {
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p))
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	}
	return binary.LittleEndian.Uint64(p)
}

func store(p []byte, x uint64) {
	switch len(p) {
	case 1:
		p[0] = byte(x)
	case 2:
		binary.LittleEndian.PutUint16(p, uint16(x))
	case 4:
		binary.LittleEndian.PutUint32(p, uint32(x))
	default:
		binary.LittleEndian.PutUint64(p, x)
	}
}
