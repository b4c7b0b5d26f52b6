package engine

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/internal/blockio"
	"quern/store"
)

// shard is an output file that is being filled.
type shard struct {
	plan *plan.Shard
	file store.Part
	jobs []*job // in the order of the input
	// holdable are the surveys whose input stays in memory until it is coded, with how many
	// jobs code it.
	holdable map[string]int

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
	s := &shard{plan: ps, whole: make(chan struct{})}
	f, err := e.out.Create(e.ctx, ps.Name)
	if err != nil {
		return nil, err
	}
	s.file = f
	if err := f.Reserve(ps.Size); err != nil {
		s.discard()
		return nil, fmt.Errorf("reserving %d bytes for %q: %w", ps.Size, f, err)
	}
	if err := blockio.WriteFull(f, ps.Header, 0); err != nil {
		s.discard()
		return nil, fmt.Errorf("writing %q: %w", f, err)
	}
	store.Uncached(f)
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
			s.discard()
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
	if err := s.file.Commit(); err != nil {
		return err
	}
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	r := record{Shard: s.plan.Name, From: map[string]store.Stamp{}, Tensors: s.results}
	for _, i := range e.files(s.plan) {
		r.From[e.plan.Input.Files[i].Name] = e.inputs[i].Stamp()
	}
	if err := e.state.append(r); err != nil {
		return err
	}
	e.state.done[s.plan.Name] = r
	return nil
}

// discard gives up a shard that was not published.
func (s *shard) discard() {
	if s.settled {
		return
	}
	s.settled = true
	s.file.Discard()
}
