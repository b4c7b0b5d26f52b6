package store

import (
	"context"
	"strings"

	"quern/internal/blockio"
)

// sharedSink is a folder of this machine, or of a network, that several processes write.
type sharedSink struct {
	*sink
	id string
}

func (s *sink) Shared(id string) Sink { return &sharedSink{s, id} }

// partial is what a file is called until it is finished: directly in the folder, so that
// one listing shows all that is left of a process.
func (s *sharedSink) partial(name string) string {
	return strings.ReplaceAll(name, "/", "-") + "." + s.id + Partial
}

func (s *sharedSink) Create(_ context.Context, name string) (Part, error) {
	p, err := s.create(name, s.partial(name))
	if err != nil {
		return nil, err
	}
	return &sharedPart{p}, nil
}

func (s *sharedSink) Left(string) int64 { return 0 }

func (s *sharedSink) Sweep(name string) error { return s.Remove(s.partial(name)) }

// sharedPart is a file that others may finish too.
type sharedPart struct{ *part }

func (p *sharedPart) Commit() error { return blockio.PublishFirst(p.fs, p.file, p.path) }
