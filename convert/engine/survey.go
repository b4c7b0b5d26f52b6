package engine

import (
	"context"
	"slices"
	"sync"

	"quern/convert/plan"
	"quern/fp8"
	"quern/scheme"
	"quern/store"
)

// Codings that begin with a largest magnitude get it from a pass over what they read,
// a shard at a time: its surveys are streamed through slabs and workers as conversions
// are, and what they find is a line of the state. So tensors are read at most once
// more than without, fused partners in other shards find the number there, and a
// resumed run has the same numbers without looking again. What fits memory is not read
// again either: see held.

// surveysOf are the surveys of p by name.
func surveysOf(p *plan.Plan) map[string]*plan.Survey {
	m := make(map[string]*plan.Survey, len(p.Surveys))
	for i := range p.Surveys {
		m[p.Surveys[i].Name] = &p.Surveys[i]
	}
	return m
}

// eachView calls fn with all that a reading reads.
func eachView(r *plan.Reading, fn func(*plan.View)) {
	fn(&r.Source)
	if r.Scale != nil {
		fn(r.Scale)
	}
	if r.Written != nil {
		for i := range r.Written.Scales {
			fn(&r.Written.Scales[i])
		}
	}
}

// recall takes what an earlier run has found, from files that are still what they were,
// and returns how many bytes the surveys of the shards in todo have yet to read.
func (e *engine) recall(todo []int) (pending int64, err error) {
	for _, r := range e.state.surveys {
		same := true
		for i := range e.plan.Input.Files {
			was, read := r.From[e.plan.Input.Files[i].Name]
			if !read {
				continue
			}
			if _, err := e.input(i); err != nil {
				return 0, err
			}
			same = same && was == e.inputs[i].Stamp()
		}
		if same {
			for name, x := range r.Surveys {
				e.largest[name] = x
			}
		}
	}
	counted := map[string]bool{}
	for _, k := range todo {
		for _, name := range e.unknown(&e.plan.Shards[k]) {
			if !counted[name] {
				counted[name] = true
				for i := range e.surveys[name].Of {
					pending += e.surveys[name].Of[i].Source.Bytes()
				}
			}
		}
	}
	return pending, nil
}

// unknown are the surveys that a shard needs and of which nothing is known, in the
// order of the plan.
func (e *engine) unknown(s *plan.Shard) []string {
	needed := map[string]bool{}
	for _, i := range s.Tensors {
		t := &e.plan.Tensors[i]
		if name := t.Quant.Survey; t.Op.Quantizes() && e.surveys[name] != nil {
			if _, known := e.largest[name]; !known {
				needed[name] = true
			}
		}
	}
	var names []string
	for i := range e.plan.Surveys {
		if needed[e.plan.Surveys[i].Name] {
			names = append(names, e.plan.Surveys[i].Name)
		}
	}
	return names
}

// inquiry is a pass over several matrices.
type inquiry struct {
	mu      sync.Mutex
	largest map[string]float32
	left    int           // chunks, and one for the reader
	found   chan struct{} // closed when none is left
}

// done counts a chunk.
func (q *inquiry) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left--; q.left == 0 {
		close(q.found)
	}
}

// asks reports whether a job only looks.
func (j *job) asks() bool { return j.survey != nil }

// add expects n chunks.
func (q *inquiry) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.left += n
}

// survey finds what the codings of a shard begin with, but for what is found when their
// turn comes: see held.
func (e *engine) survey(ctx context.Context, s *shard) error {
	names := e.unknown(s.plan)
	s.holdable = e.holdable(s, names)
	names = slices.DeleteFunc(names, func(name string) bool { return s.holdable[name] > 0 })
	if len(names) == 0 {
		return nil
	}
	q, from, err := e.ask(ctx, names, nil)
	if err != nil {
		return err
	}
	e.stateMu.Lock()
	defer e.stateMu.Unlock()
	if err := e.state.append(record{Surveys: q.largest, From: from}); err != nil {
		return err
	}
	for name, x := range q.largest {
		e.largest[name] = x
	}
	return nil
}

// ask reads all that surveys ask for, and keeps it in h, if that is set.
func (e *engine) ask(ctx context.Context, names []string, h *held) (*inquiry, map[string]store.Stamp, error) {
	q := &inquiry{largest: make(map[string]float32, len(names)), left: 1, found: make(chan struct{})}
	from := map[string]store.Stamp{}
	var files []int
	for _, name := range names { // first: workers write to the map once there are chunks
		q.largest[name] = 0
	}
	for _, name := range names {
		of := e.surveys[name].Of
		for i := range of {
			j := e.question(name, &of[i])
			j.survey, j.held = q, h
			q.add(j.geo.chunks)
			if err := e.feedJob(ctx, j); err != nil {
				return nil, nil, err
			}
			eachView(&of[i], func(v *plan.View) {
				if _, ok := from[e.plan.Input.Files[v.File].Name]; !ok {
					from[e.plan.Input.Files[v.File].Name] = e.inputs[v.File].Stamp()
					files = append(files, v.File)
				}
			})
		}
	}
	q.done()
	select {
	case <-q.found:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if h != nil { // what is coded is what was looked at
		return q, from, nil
	}
	return q, from, e.unchanged(files)
}

// question is the job that reads a matrix for a survey.
func (e *engine) question(name string, r *plan.Reading) *job {
	t := &plan.Tensor{Name: r.Source.Name, Op: plan.Quantize, Source: r.Source, Scale: r.Scale, Grid: r.Grid, Written: r.Written}
	t.Quant.Survey = name
	j := &job{tensor: t, geo: reading(r)}
	j.geo.floats = r.Scale != nil || r.Written != nil
	j.geo.cut(int64(e.mem.slab))
	return j
}

// inquire looks for the largest magnitude of a chunk.
func (e *engine) inquire(c *chunk, scratch []byte) error {
	if name := c.job.tensor.Quant.Survey; e.surveys[name].Tops {
		c.job.survey.note(name, scheme.TopScale(append([][]byte{c.in}, c.more...)))
		return nil
	}
	data, from := c.in, fp8.ElemF32
	if c.job.geo.floats {
		data = scratch[:4*c.span.Rows*c.span.Cols]
		if err := e.decode(c, data, from); err != nil {
			return err
		}
	} else {
		from, _ = plan.Elem(c.job.tensor.Source.DType)
	}
	cols := int(c.span.Cols)
	most, finite := scheme.Amax(fp8.Matrix{Data: data, Elem: from, Rows: int(c.span.Rows), Cols: cols, Stride: cols})
	if !finite {
		return e.nonFinite(c.job)
	}
	c.job.survey.note(c.job.tensor.Quant.Survey, most)
	return nil
}

// note takes the largest magnitude of a chunk.
func (q *inquiry) note(name string, most float32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.largest[name] = max(q.largest[name], most)
}
