package blockio

import (
	"cmp"
	"slices"
	"sync"
)

// ends are small pieces that were written to a file and have not reached the system: the
// ends of large ones, which do not fill a block, and what is small by itself. Where large
// pieces go past the page cache, each small one that goes through it waits for them, and
// they for it (ext4 has one lock for both); gathered, there are a few calls in all.
type ends struct {
	mu     sync.Mutex
	kept   []byte // the pieces, as they came
	pieces []piece
	merged []byte // those that meet, while they are written
}

// piece is a part of what is kept.
type piece struct {
	off int64 // in the file
	at  int   // in kept
	n   int
}

func (e piece) end() int64 { return e.off + int64(e.n) }

const (
	// mostEnds is how much is gathered.
	mostEnds = 1 << 20
	// small is up to which size.
	small = 64 << 10
)

// add keeps a copy of p, of at most small bytes, once all that there is no more room for has
// been handed on to write.
func (e *ends) add(p []byte, off int64, write func([]byte, int64) (int, error)) error {
	if len(p) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept)+len(p) > mostEnds {
		if err := e.flush(write); err != nil {
			return err
		}
	}
	if e.kept == nil {
		e.kept, e.merged = make([]byte, 0, mostEnds), make([]byte, 0, small)
	}
	e.pieces = append(e.pieces, piece{off, len(e.kept), len(p)})
	e.kept = append(e.kept, p...)
	return nil
}

// settle hands on all that was kept if some of it lies in a range that is to be read or
// written by others.
func (e *ends) settle(off, n int64, write func([]byte, int64) (int, error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.ContainsFunc(e.pieces, func(x piece) bool { return x.off < off+n && off < x.end() }) {
		return nil
	}
	return e.flush(write)
}

// all hands on all that was kept.
func (e *ends) all(write func([]byte, int64) (int, error)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flush(write)
}

// flush writes pieces in the order of the file, those that meet as one. What was not
// written stays, so that its error comes again.
func (e *ends) flush(write func([]byte, int64) (int, error)) error {
	slices.SortStableFunc(e.pieces, func(a, b piece) int { return cmp.Compare(a.off, b.off) })
	for i := 0; i < len(e.pieces); {
		first := e.pieces[i]
		p := e.kept[first.at:][:first.n]
		for i++; i < len(e.pieces) && e.pieces[i].off == first.off+int64(len(p)) && len(p)+e.pieces[i].n <= small; i++ {
			if len(p) == first.n {
				p = append(e.merged[:0], p...)
			}
			p = append(p, e.kept[e.pieces[i].at:][:e.pieces[i].n]...)
		}
		if _, err := write(p, first.off); err != nil {
			return err
		}
	}
	e.pieces, e.kept = e.pieces[:0], e.kept[:0]
	return nil
}
