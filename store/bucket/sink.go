package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"quern/store"
)

// sink is a prefix that is written to. Nothing there can be locked, renamed or replaced
// in one step, and nothing has to be: an object is seen when it is whole, and the first
// of two that are written stays.
type sink struct {
	*Bucket
	shared bool

	mu   sync.Mutex
	left []leftover // uploads that were begun and not ended; nil: not asked yet
}

// Sink is the prefix to write to.
func (b *Bucket) Sink() store.Sink { return &sink{Bucket: b} }

func (s *sink) Shared(string) store.Sink { return &sink{Bucket: s.Bucket, shared: true} }

// Make finds out whether the prefix can be written to; there is nothing to make.
func (s *sink) Make() (bool, error) { return false, s.Probe(context.Background()) }

func (s *sink) Unmake()     {}
func (s *sink) Sync() error { return nil }

// Free: what is written lies in a temporary file first, see part, and that one says so
// when its space is claimed.
func (s *sink) Free() (int64, error) { return -1, nil }

// Names are the first parts of all names.
func (s *sink) Names() ([]string, error) {
	list, err := s.List(context.Background())
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w", s, fs.ErrNotExist)
	}
	names := make([]string, len(list))
	for i := range list {
		names[i], _, _ = strings.Cut(list[i].Name, "/")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (s *sink) Look(name string) (store.Entry, error) {
	info, err := s.stat(context.Background(), name)
	if err == nil {
		return store.Entry{Name: name, Size: info.Size, Stamp: stamp(info.ETag)}, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		names, nerr := s.Names()
		if nerr == nil && slices.Contains(names, name) {
			return store.Entry{Name: name, Mode: fs.ModeDir}, nil
		}
	}
	return store.Entry{}, err
}

// Open opens an object, or a log.
func (s *sink) Open(ctx context.Context, name string) (store.Object, error) {
	o, err := s.Bucket.Open(ctx, name)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(name, store.Partial) {
		return o, err
	}
	segments, lerr := s.segments(ctx, name)
	if lerr != nil {
		return nil, lerr
	}
	if len(segments) == 0 {
		return nil, err
	}
	raw, lerr := s.join(ctx, segments)
	if lerr != nil {
		return nil, lerr
	}
	return &read{name: s.path(name), Reader: strings.NewReader(string(raw))}, nil
}

// read is a log that has been read.
type read struct {
	*strings.Reader
	name string
}

func (r *read) String() string     { return r.name }
func (r *read) Stamp() store.Stamp { return "" }
func (r *read) Check() error       { return nil }
func (r *read) Close() error       { return nil }
func (r *read) Sequential()        {}
func (r *read) Drop(_, _ int64)    {}

// Left: nobody tells how large the parts of an upload are.
func (s *sink) Left(string) int64 { return 0 }

// Sweep gives up the uploads of a name that were begun and not ended. Whoever is still
// at one finds the object there when it is told so.
func (s *sink) Sweep(name string) error {
	ctx := context.Background()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		list, err := s.uploadsLeft(ctx)
		if err != nil {
			return err
		}
		s.left = append([]leftover{}, list...)
	}
	for _, u := range s.left {
		if u.key == s.key(name) {
			if err := s.abort(ctx, u.key, u.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove removes an object, or a log.
func (s *sink) Remove(name string) error {
	ctx := context.Background()
	if err := s.Bucket.Remove(ctx, name); err != nil || !strings.HasSuffix(name, store.Partial) {
		return err
	}
	segments, err := s.segments(ctx, name)
	if err != nil {
		return err
	}
	for _, g := range segments {
		if err := s.Bucket.Remove(ctx, g.name); err != nil {
			return err
		}
	}
	return nil
}

// Relation compares prefixes of one bucket.
func (s *sink) Relation(f store.Folder) (store.Relation, error) {
	o, ok := f.(*Bucket)
	if !ok || o.location.Bucket != s.location.Bucket || o.core.EndpointURL().Host != s.core.EndpointURL().Host {
		return store.Apart, nil
	}
	a, b := s.location.Prefix, o.location.Prefix
	switch {
	case a == b:
		return store.Same, nil
	case strings.HasPrefix(a, b) || strings.HasPrefix(b, a):
		return store.Nested, nil
	}
	return store.Apart, nil
}
