package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"sort"
	"sync"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/internal/blockio"
)

// shard is an output file that is being filled.
type shard struct {
	plan *plan.Shard
	name string // final path
	file blockio.File
	jobs []*job // in the order of the input

	mu      sync.Mutex
	left    int           // jobs that are not complete
	whole   chan struct{} // closed when left is 0
	results []manifest.Tensor
	settled bool // published or discarded
}

// openShard creates the file under its partial name, claims its space and
// writes its header.
func (e *engine) openShard(k int) (*shard, error) {
	ps := &e.plan.Shards[k]
	s := &shard{plan: ps, name: filepath.Join(e.opts.Dir, ps.Name), whole: make(chan struct{})}
	f, err := e.fs.Create(s.name + blockio.Partial)
	if err != nil {
		return nil, fmt.Errorf("creating %q: %w", s.name+blockio.Partial, err)
	}
	s.file = f
	if err := f.Reserve(ps.Size); err != nil {
		s.discard(e.fs)
		return nil, fmt.Errorf("reserving %d bytes for %q: %w", ps.Size, f.Name(), err)
	}
	if err := blockio.WriteFull(f, ps.Header, 0); err != nil {
		s.discard(e.fs)
		return nil, fmt.Errorf("writing %q: %w", f.Name(), err)
	}
	f.Uncached()
	at := make(map[int]int64, len(ps.Tensors)) // offsets by index in the plan
	for n, i := range ps.Tensors {
		at[i] = ps.Offsets[n]
	}
	for i := range at {
		if e.plan.Tensors[i].Op == plan.ScaleOf {
			continue // made with its weight
		}
		j, err := e.newJob(s, i, at)
		if err != nil {
			s.discard(e.fs)
			return nil, err
		}
		s.jobs = append(s.jobs, j)
	}
	sort.Slice(s.jobs, func(a, b int) bool { return s.jobs[a].index < s.jobs[b].index })
	s.left = len(s.jobs)
	return s, nil
}

// complete counts a finished job; the last one lets the shard be published.
func (s *shard) complete(results ...manifest.Tensor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(s.results, results...)
	s.left--
	if s.left == 0 {
		close(s.whole)
	}
}

// publish waits until the shard is whole, puts it on the disk under its final
// name and records it.
func (e *engine) publish(ctx context.Context, s *shard) error {
	select {
	case <-s.whole:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := e.window.drain(s.file); err != nil {
		return err
	}
	if err := e.unchanged(e.files(s.plan)); err != nil {
		return err
	}
	s.settled = true
	if err := blockio.Publish(e.fs, s.file, s.name); err != nil {
		return err
	}
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	r := record{Shard: s.plan.Name, From: map[string]blockio.Stamp{}, Tensors: s.results}
	for _, i := range e.files(s.plan) {
		r.From[e.plan.Input.Files[i].Name] = e.stamps[i]
	}
	if err := e.state.append(r); err != nil {
		return err
	}
	e.state.done[s.plan.Name] = r
	return nil
}

// discard gives up a shard that was not published.
func (s *shard) discard(fsys blockio.FS) {
	if s.settled {
		return
	}
	s.settled = true
	blockio.Discard(fsys, s.file)
}
