package engine

import (
	"context"
	"slices"
	"sync"

	"quern/convert/plan"
)

// What a survey has read stays in memory until it is coded, where it fits: a matrix, or
// those of an expert that share a scale, which only then are read once. What does not, is
// stored turned round, is codes, or is also another shard's, is read a second time.

// heldSets is how many such sets there may be at once: one whose parts lie apart in the file
// with another between them, or one that is coded while the next is read.
const heldSets = 2

// held is the input of a set of matrices.
type held struct {
	name string
	buf  []byte
	at   map[place]int64 // where each matrix begins
	back chan<- []byte

	mu   sync.Mutex
	left int // jobs that have not been coded
}

// place is where a matrix of the input lies.
type place struct {
	file   int
	offset int64
}

func placeOf(v *plan.View) place { return place{v.File, v.Offset} }

// done counts a job, and gives the memory back behind the last one.
func (h *held) done() {
	h.mu.Lock()
	h.left--
	last := h.left == 0
	h.mu.Unlock()
	if last {
		h.back <- h.buf[:cap(h.buf)]
	}
}

// put keeps what a chunk has read, get reads it from there.
func (h *held) put(c *chunk) { h.each(c, func(kept, p []byte) { copy(kept, p) }) }
func (h *held) get(c *chunk) { h.each(c, func(kept, p []byte) { copy(p, kept) }) }

func (h *held) each(c *chunk, fn func(kept, p []byte)) {
	p, base := c.in, h.at[placeOf(&c.job.tensor.Source)]
	for at, n := range c.job.geo.sources[0].Runs(c.span.Part, c.job.geo.cols) {
		fn(h.buf[base+at:base+at+n], p[:n])
		p = p[n:]
	}
}

// heldBytes is what a survey reads; 0 where that cannot be held.
func heldBytes(s *plan.Survey) (n int64) {
	for i := range s.Of {
		r := &s.Of[i]
		if r.Scale != nil || r.Written != nil || r.Source.Stride != 0 || r.Source.Order != nil {
			return 0
		}
		n += r.Source.Bytes()
	}
	return n
}

// holdable are the surveys of those that a shard needs whose matrices are all coded in
// it and fit, as many as there may be at once in the order of its jobs.
func (e *engine) holdable(s *shard, unknown []string) map[string]int {
	type span struct{ first, last, jobs int }
	spans := map[string]*span{}
	for k, j := range s.jobs {
		name := j.tensor.Quant.Survey
		if !slices.Contains(unknown, name) || !j.tensor.Op.Quantizes() {
			continue
		}
		if spans[name] == nil {
			spans[name] = &span{first: k}
		}
		spans[name].last = k
		spans[name].jobs++
	}
	users := map[string]int{} // of all shards
	for i := range e.plan.Tensors {
		if t := &e.plan.Tensors[i]; t.Op.Quantizes() {
			users[t.Quant.Survey]++
		}
	}
	taken := map[string]int{}
	for k, j := range s.jobs {
		name := j.tensor.Quant.Survey
		x := spans[name]
		if x == nil || x.first != k || x.jobs != users[name] || x.jobs != len(e.surveys[name].Of) {
			continue
		}
		if n := heldBytes(e.surveys[name]); n == 0 || n > int64(e.mem.hold) {
			continue
		}
		open := 0
		for other := range taken {
			if spans[other].last > k {
				open++
			}
		}
		if open < heldSets { // the others' jobs are all under way, and will end
			taken[name] = x.jobs
		}
	}
	return taken
}

// hold reads what a survey asks for, keeps it, and finds the number.
func (e *engine) hold(ctx context.Context, name string, jobs int) (*held, error) {
	var buf []byte
	select {
	case buf = <-e.spare:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if buf == nil {
		buf = make([]byte, e.mem.hold)
	}
	h := &held{name: name, buf: buf, at: map[place]int64{}, back: e.spare, left: jobs}
	next := int64(0)
	for i := range e.surveys[name].Of {
		v := &e.surveys[name].Of[i].Source
		h.at[placeOf(v)] = next
		next += v.Bytes()
	}
	q, _, err := e.ask(ctx, []string{name}, h)
	if err != nil {
		return nil, err
	}
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	e.largest[name] = q.largest[name]
	return h, nil
}
