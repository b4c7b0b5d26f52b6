package runner

import (
	"sync"
	"sync/atomic"

	"quern/gemm"
	"quern/source"
)

// readsAtOnce is how many parts are being read at once: some of them wait for the disk
// while others are copied.
const readsAtOnce = 4

// loader reads weights ahead of the computation: what it is told to start is read by
// a goroutine of its own, and its memory is used again.
type loader struct {
	files    *source.Files
	progress func(done, total int64)
	total    int64
	done     atomic.Int64

	mu   sync.Mutex
	free [][]byte
	most int64              // bytes that are kept free
	gone int64              // bytes that were let go of since they were collected last
	last [readsAtOnce]*unit // that were started last; the oldest is waited for by the next one
	nth  int                // of those that were started
}

// unit is a part that is being read, or was: of its vectors those that are not there
// already.
type unit struct {
	ms    []*matrix
	vs    []*vector
	mats  []*gemm.Weight // nil where there is a coded one
	coded []*coded
	vecs  [][]float32
	slab  []byte
	ready chan struct{}
	err   error
}

// start begins to read the matrices of a part and some vectors.
func (l *loader) start(p *part, vs []*vector) *unit {
	u := &unit{ms: p.ms, vs: vs, ready: make(chan struct{})}
	u.slab = l.take(p.slab)
	slot := &l.last[l.nth%readsAtOnce]
	before := *slot
	*slot, l.nth = u, l.nth+1
	go func() {
		defer close(u.ready)
		if before != nil {
			<-before.ready
		}
		u.err = u.read(l.files, false, l.count)
	}()
	return u
}

// wait returns when nothing is being read.
func (l *loader) wait() {
	for _, u := range l.last {
		if u != nil {
			<-u.ready
		}
	}
}

// read reads a unit, as it is to stay between tokens or not, and counts the bytes.
func (u *unit) read(files *source.Files, stays bool, count func(n int64)) error {
	at := int64(0)
	for _, m := range u.ms {
		n := m.bytes()
		w, c, err := m.take(files, u.slab[at:at+n:at+n], stays && m.wide)
		if err != nil {
			return err
		}
		at += (n + 63) &^ 63
		u.mats, u.coded = append(u.mats, w), append(u.coded, c)
		count(m.read())
	}
	for _, v := range u.vs {
		f, err := v.load(files)
		if err != nil {
			return err
		}
		u.vecs = append(u.vecs, f)
		count(v.bytes())
	}
	return nil
}

func (l *loader) count(n int64) {
	done := l.done.Add(n)
	if l.progress != nil {
		l.progress(min(done, l.total), l.total)
	}
}

// take returns n bytes, used ones if there are any.
func (l *loader) take(n int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	best := -1
	for i, s := range l.free {
		// One that is far too large stays for what needs it.
		if int64(cap(s)) >= n && int64(cap(s)) <= 4*n+(1<<20) && (best < 0 || cap(s) < cap(l.free[best])) {
			best = i
		}
	}
	if best >= 0 {
		s := l.free[best]
		l.free = append(l.free[:best], l.free[best+1:]...)
		return s[:n]
	}
	// What did not fit will not fit the next time either.
	if len(l.free) > 1 {
		for _, s := range l.free {
			l.gone += int64(cap(s))
		}
		l.free = l.free[:0]
	}
	if l.gone > l.most {
		reclaim(l.gone)
		l.gone = 0
	}
	return make([]byte, n)
}

// drop gives the memory of a unit back.
func (l *loader) drop(u *unit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := int64(cap(u.slab))
	for _, s := range l.free {
		kept += int64(cap(s))
	}
	if cap(u.slab) > 0 && len(l.free) < 4 && kept <= l.most {
		l.free = append(l.free, u.slab)
	} else {
		l.gone += int64(cap(u.slab))
	}
	u.slab, u.mats, u.coded = nil, nil, nil
}
