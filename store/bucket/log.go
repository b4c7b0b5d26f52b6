package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"quern/internal/invalid"
	"quern/store"
)

// journal is a log: objects NAME/00000001 and so on, which together are its content.
// Nothing is locked. Each object is made only if there is none of its number, so that of
// two runs that write at once one sees the other, and ends; what a log says of finished
// objects is true whoever has said it.
//
// What this process appends goes into an object that grows: a new one is written with
// what the last one had, which then goes, until it is large. A kill in between leaves
// both, and says some things twice. The first object of a log stays as it is: it says
// whose the log is, and that only once.
type journal struct {
	sink     *sink
	name     string
	segments []segment
	old      []byte // what was there when it was opened
	keep     int64  // of old, what counts
	mine     bool   // the last segment is this process's, and may grow
	tail     []byte // its content
	pending  []byte // appended since
	end      int64
	next     int
}

// segment is an object of a log.
type segment struct {
	name string
	n    int
	size int64
}

// fullSegment is when an object of a log grows no more.
const fullSegment = 1 << 20

// segments lists the objects of a log, in order.
func (s *sink) segments(ctx context.Context, name string) ([]segment, error) {
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var of []segment
	for _, e := range list {
		if number, ok := strings.CutPrefix(e.Name, name+"/"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				of = append(of, segment{e.Name, n, e.Size})
			}
		}
	}
	return of, nil
}

// join reads the objects of a log. One that another process has just replaced is in the
// next one too.
func (s *sink) join(ctx context.Context, segments []segment) ([]byte, error) {
	var all []byte
	for i := range segments {
		raw, err := store.ReadFile(ctx, s.Bucket, segments[i].name, 1<<30)
		if errors.Is(err, fs.ErrNotExist) {
			segments[i].size = 0
			continue
		}
		if err != nil {
			return nil, err
		}
		segments[i].size = int64(len(raw))
		all = append(all, raw...)
	}
	return all, nil
}

func (s *sink) Log(name string) (store.Log, error) {
	ctx := context.Background()
	segments, err := s.segments(ctx, name)
	if err != nil {
		return nil, err
	}
	l := &journal{sink: s, name: name, segments: segments, next: 1}
	if l.old, err = s.join(ctx, segments); err != nil {
		return nil, err
	}
	if n := len(segments); n > 0 {
		l.next = segments[n-1].n + 1
	}
	return l, nil
}

func (l *journal) String() string { return l.sink.path(l.name) }
func (l *journal) Size() int64    { return int64(len(l.old)) }
func (l *journal) End() int64     { return l.end }
func (l *journal) Close() error   { return nil }

func (l *journal) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(l.old).ReadAt(p, at)
}

func (l *journal) Keep(n int64) { l.keep, l.end = n, n }

func (l *journal) Append(p []byte) error {
	l.pending = append(l.pending, p...)
	l.end += int64(len(p))
	return nil
}

func (l *journal) Sync() error {
	if len(l.pending) == 0 {
		return nil
	}
	data, grows := l.pending, l.mine && len(l.tail) < fullSegment
	if grows {
		data = append(bytes.Clone(l.tail), l.pending...)
	}
	ctx := context.Background()
	name := fmt.Sprintf("%s/%08d", l.name, l.next)
	err := l.sink.put(ctx, name, data)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("writing %q: %w: it has begun since this one did", l, store.ErrLocked)
	}
	if err != nil {
		return err
	}
	if last := len(l.segments) - 1; grows {
		if err := l.sink.Bucket.Remove(ctx, l.segments[last].name); err != nil {
			return err
		}
		l.segments = l.segments[:last]
	}
	l.mine = len(l.segments) > 0 // all but the first
	l.segments = append(l.segments, segment{name, l.next, int64(len(data))})
	l.tail, l.pending = data, nil
	l.next++
	return nil
}

// Cut removes the objects behind what counts.
func (l *journal) Cut() error {
	at, kept := int64(0), l.segments[:0:0]
	for i, g := range l.segments {
		from := at
		at += g.size
		if from >= int64(len(l.old)) || at <= l.keep { // of this process, or counted
			kept = append(kept, g)
			continue
		}
		if from < l.keep {
			return invalid.Errorf("reading %q: %q is not what quern has written: remove it", l, l.segments[i].name)
		}
		if err := l.sink.Bucket.Remove(context.Background(), g.name); err != nil {
			return err
		}
	}
	l.segments, l.old = kept, l.old[:l.keep]
	return nil
}

// Retire removes it, the last object first: what is left of it until then begins with
// whose it is.
func (l *journal) Retire() error {
	for i := len(l.segments) - 1; i >= 0; i-- {
		if err := l.sink.Bucket.Remove(context.Background(), l.segments[i].name); err != nil {
			return err
		}
	}
	l.segments = nil
	return nil
}

var _ io.ReaderAt = (*journal)(nil)
