package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"quern/store"
)

// An Object is an open remote file: a store.Object.
type Object struct {
	reader *Reader
	file   File
	source Source
	sum    *sum
	ctx    context.Context // ends with the opener's, Close, or a fault that stays
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	spans  []*span
	whole  bool  // it is read from front to back, as announced
	last   int64 // where the last read ended
	run    int64 // bytes read so without a jump
	before int64 // size of the span that was last asked for
	begun  int64 // spans that were begun ahead of the reader
}

var _ store.Object = (*Object)(nil)

func (o *Object) String() string     { return o.file.Name }
func (o *Object) Size() int64        { return o.file.Size }
func (o *Object) Stamp() store.Stamp { return o.file.Stamp }

// Sequential announces reading from front to back.
func (o *Object) Sequential() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.whole = true
}

// Check asks the store whether the file still is as it was when it was opened.
func (o *Object) Check() error {
	if err := context.Cause(o.ctx); err != nil {
		return err
	}
	err := o.reader.Brief.Do(o.ctx, func() error { return o.source.Check(o.ctx) })
	if err == nil {
		return nil
	}
	return o.failed(err)
}

// Close ends all reads of the object.
func (o *Object) Close() error {
	o.cancel(fs.ErrClosed)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.spans {
		o.discard(s)
	}
	o.spans = nil
	return nil
}

// Drop gives up what is kept of a range.
func (o *Object) Drop(offset, n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spans = slices.DeleteFunc(o.spans, func(s *span) bool {
		gone := offset <= s.off && s.end() <= offset+n
		if gone {
			o.discard(s)
		}
		return gone
	})
}

// discard gives up a span that is no longer in the list.
func (o *Object) discard(s *span) {
	s.cancel()
	o.reader.release(s)
}

// ReadAt implements io.ReaderAt.
func (o *Object) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading %q: negative offset %d", o.file.Name, off)
	}
	if off >= o.file.Size {
		return 0, io.EOF
	}
	short := int64(len(p)) > o.file.Size-off
	if short {
		p = p[:o.file.Size-off]
	}
	n, err := o.read(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// read fills p, which lies within the file.
func (o *Object) read(p []byte, off int64) (int, error) {
	onward, ahead := o.follow(off, int64(len(p)))
	got := 0
	for got < len(p) {
		if err := context.Cause(o.ctx); err != nil {
			return got, err
		}
		n, err := o.some(p[got:], off+int64(got), onward, ahead)
		got += n
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// follow reports whether a read goes on where the last ended, and whether what lies
// behind it will be wanted too: that was announced, or has been so for a while.
func (o *Object) follow(off, n int64) (onward, ahead bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	onward = off == o.last
	if !onward {
		o.run = 0
	}
	o.run += n
	o.last = off + n
	step, _ := o.reader.ranges()
	return onward, o.whole || onward && o.run > 2*step
}

// some reads at least the first byte of p: from a span, or straight.
func (o *Object) some(p []byte, pos int64, onward, ahead bool) (int, error) {
	s, n := o.plan(int64(len(p)), pos, onward, ahead)
	if s == nil {
		p = p[:n]
		if err := o.ranges(o.ctx, p, pos); err != nil {
			return 0, err
		}
		if o.sum != nil {
			if _, err := o.sum.add(p, pos); err != nil {
				return 0, o.failed(err)
			}
		}
		return len(p), nil
	}
	select {
	case <-s.ready:
	case <-o.ctx.Done():
		return 0, context.Cause(o.ctx)
	}
	k, ok, err := s.copy(p, pos)
	switch {
	case err != nil && context.Cause(o.ctx) != nil:
		return 0, context.Cause(o.ctx)
	case !ok, errors.Is(err, context.Canceled): // given up before it was read: ask again
		return 0, nil
	case err != nil:
		return 0, err
	case s.spent():
		o.remove(s)
	case !s.ahead:
		o.reader.touch(s)
	}
	return k, nil
}

// plan says where a read of want bytes at pos gets its first bytes from: a span that
// holds them, or nil and how many to fetch straight. It sees to it that what comes next
// is on its way.
func (o *Object) plan(want, pos int64, onward, ahead bool) (*span, int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spans = slices.DeleteFunc(o.spans, func(s *span) bool {
		gone := s.over()
		if gone {
			o.discard(s)
		}
		return gone
	})
	s := o.holder(pos)
	if s == nil {
		step, _ := o.reader.ranges()
		next := o.nextSpan(pos)
		switch {
		case ahead:
			from := o.from(pos)
			s = o.beginAhead(from, min(pos+step, next)-from, pos)
		case want < direct, onward && want <= 2*o.before:
			o.before = min(max(least, want, o.grown(onward)), step)
			s = o.begin(pos, min(o.before, next-pos))
		}
		if s == nil {
			return nil, min(want, next-pos)
		}
	}
	if ahead {
		o.readAhead(s.end(), pos)
	}
	return s, 0
}

// from is where the first range of a file that is read whole begins: with the header
// that another object has read, so that the file's digest can be compared.
func (o *Object) from(pos int64) int64 {
	if !o.whole || o.sum == nil || pos >= direct || len(o.spans) > 0 || o.sum.begun() {
		return pos
	}
	return 0
}

// beginAhead asks for a span of a file that is read from front to back and now at pos.
// Where the budget is used up, what lies behind and was read makes room. The span waits
// until it is read: spans of this kind would else push out each other.
func (o *Object) beginAhead(off, n, pos int64) *span {
	// The first ranges grow: of equal ones, which share the link, all would end at once,
	// and the link be idle until the next are answered, again and again.
	step, count := o.reader.ranges()
	if steps := min(stagger, count); o.begun < steps {
		n = min(n, max(pos-off, 0)+step*(o.begun+1)/steps)
	}
	s := o.begin(off, n)
	if s == nil {
		o.spans = slices.DeleteFunc(o.spans, func(s *span) bool {
			gone := s.end() <= pos && s.touched()
			if gone {
				o.discard(s)
			}
			return gone
		})
		s = o.begin(off, n)
	}
	if s != nil {
		s.ahead = true
		o.begun++
	}
	return s
}

// grown is what to ask for after a read that went on where the last ended.
func (o *Object) grown(onward bool) int64 {
	if onward {
		return 2 * o.before
	}
	return 0
}

func (o *Object) holder(pos int64) *span {
	for _, s := range o.spans {
		if s.holds(pos) {
			return s
		}
	}
	return nil
}

// nextSpan is where the next span behind pos begins, or the file ends.
func (o *Object) nextSpan(pos int64) int64 {
	next := o.file.Size
	for _, s := range o.spans {
		if s.off > pos {
			next = min(next, s.off)
		}
	}
	return next
}

// readAhead asks for what follows next as far as the budget goes; the reader is at pos.
func (o *Object) readAhead(next, pos int64) {
	step, _ := o.reader.ranges()
	for depth := 0; next < o.file.Size && depth < inFlight; depth++ {
		s := o.holder(next)
		if s == nil {
			s = o.beginAhead(next, min(step, o.nextSpan(next)-next), pos)
		}
		if s == nil {
			return
		}
		next = s.end()
	}
}

// begin asks for a span; nil when the budget does not hold it. o.mu is held.
func (o *Object) begin(off, n int64) *span {
	data := o.reader.acquire(n)
	if data == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(o.ctx)
	s := &span{off: off, n: n, ready: make(chan struct{}), cancel: cancel, charge: n}
	o.spans = append(o.spans, s)
	go func() {
		defer cancel()
		defer close(s.ready)
		err := o.fill(ctx, data, off)
		s.set(data, err)
		if err == nil {
			if err := o.hash(s); err != nil {
				s.set(nil, err)
			}
		}
	}()
	return s
}

// hash hashes a span that has come, and those behind it that have come before. That is
// done before the span can be read, so that nobody reads the end of a file that is not
// what it should be.
func (o *Object) hash(s *span) error {
	for o.sum != nil && s != nil {
		next, ok, err := s.add(o.sum)
		if !ok {
			return nil
		}
		if err != nil {
			return o.failed(err)
		}
		if next != s.end() {
			return nil
		}
		o.mu.Lock()
		s = o.holder(next)
		o.mu.Unlock()
	}
	return nil
}

func (o *Object) remove(s *span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.spans, s); i >= 0 {
		o.spans = slices.Delete(o.spans, i, i+1)
		o.discard(s)
	}
}
