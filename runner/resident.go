package runner

import (
	"container/list"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"quern/source"
)

// resident is the provider of generation: weights that stay in memory between
// tokens. What every token needs is kept for good as far as it fits; experts are
// kept as long as no others, used more recently, need their room.
type resident struct {
	*bag
	files *source.Files

	limit, used int64
	held        map[*part]*list.Element // experts in memory
	order       *list.List              // of *heldPart, most recently used first
	pinned      map[*part]bool
	passing     *heldPart // a part that does not fit, until the next one is needed

	hits, misses int
	read         atomic.Int64 // bytes
	served       int64        // bytes of weights that were used
}

type heldPart struct {
	p    *part
	slab []byte
}

func newResident(files *source.Files, limit int64) *resident {
	return &resident{
		bag: newBag(), files: files, limit: limit,
		held: map[*part]*list.Element{}, order: list.New(), pinned: map[*part]bool{},
	}
}

// pin keeps a part for good if that leaves reserve bytes of the limit, and reports
// whether it does.
func (r *resident) pin(p *part, reserve int64) (bool, error) {
	if r.pinned[p] {
		return true, nil
	}
	if !r.reserve(p.resident, reserve) {
		return false, nil
	}
	if err := r.load(&heldPart{p: p, slab: make([]byte, p.slab)}); err != nil {
		return false, err
	}
	r.pinned[p] = true
	return true, nil
}

// reserve takes n bytes of the limit for weights that lie elsewhere, if that leaves so many
// for others, and reports whether it does.
func (r *resident) reserve(n, others int64) bool {
	if r.used+n+others > r.limit {
		return false
	}
	r.used += n
	return true
}

// hold makes the weights of parts available until parts that are held later need the
// room: at least until the next call. Those that are not there are read together.
func (r *resident) hold(ps ...*part) error {
	var missing []*heldPart
	for _, p := range ps {
		r.served += p.resident
		e := r.held[p]
		switch {
		case r.pinned[p] || r.passing != nil && r.passing.p == p:
		case e != nil:
			r.order.MoveToFront(e)
			r.hits++
		default:
			r.misses++
			missing = append(missing, &heldPart{p: p})
		}
	}
	for _, h := range missing {
		r.seat(h)
	}
	if err := r.load(missing...); err != nil {
		for _, h := range missing { // what is not there must not seem to be
			r.forget(h.p)
			r.leave(h)
		}
		return err
	}
	return nil
}

// seat gives a part its place in memory, and makes room for it.
func (r *resident) seat(h *heldPart) {
	if r.passing != nil {
		r.forget(r.passing.p)
		h.slab, r.passing = r.passing.slab, nil
	}
	for r.used+h.p.resident > r.limit && r.order.Len() > 0 {
		old := r.order.Back().Value.(*heldPart)
		r.forget(old.p)
		r.leave(old)
		if cap(old.slab) > cap(h.slab) {
			h.slab = old.slab
		}
	}
	if n := h.p.slab; int64(cap(h.slab)) < n {
		h.slab = make([]byte, n)
	} else {
		h.slab = h.slab[:n]
	}
	if r.used+h.p.resident > r.limit {
		r.passing = h
		return
	}
	r.used += h.p.resident
	r.held[h.p] = r.order.PushFront(h)
}

// leave takes a part its place.
func (r *resident) leave(h *heldPart) {
	if r.passing == h {
		r.passing = nil
	}
	if e := r.held[h.p]; e != nil {
		r.order.Remove(e)
		delete(r.held, h.p)
		r.used -= h.p.resident
	}
}

// fits reports whether n bytes of experts can be held at once.
func (r *resident) fits(n int64) bool {
	pinned := r.used
	for _, e := range r.held {
		pinned -= e.Value.(*heldPart).p.resident
	}
	return pinned+n <= r.limit
}

// ahead, trim and release have no meaning here: what is read stays, or makes room by itself.
func (r *resident) ahead(...*part) {}

func (r *resident) trim(*part) {}

func (r *resident) release(*part) {}

// load reads parts, several at once. The error is that of the first part that has one.
func (r *resident) load(hs ...*heldPart) error {
	units := make([]*unit, len(hs))
	for i, h := range hs {
		units[i] = &unit{ms: h.p.ms, vs: r.missing(h.p), slab: h.slab, ready: make(chan struct{})}
	}
	var g errgroup.Group
	g.SetLimit(readsAtOnce)
	for _, u := range units {
		g.Go(func() error {
			defer close(u.ready)
			u.err = u.read(r.files, true, func(n int64) { r.read.Add(n) })
			return nil
		})
	}
	_ = g.Wait()
	for _, u := range units {
		if err := r.add(u); err != nil {
			return err
		}
	}
	return nil
}
