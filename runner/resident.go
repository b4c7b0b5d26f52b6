package runner

import (
	"container/list"

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
	read         int64 // bytes
	served       int64 // bytes of weights that were used
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
	if r.used+p.resident+reserve > r.limit {
		return false, nil
	}
	if err := r.load(p, make([]byte, p.slab)); err != nil {
		return false, err
	}
	r.used += p.resident
	r.pinned[p] = true
	return true, nil
}

// hold makes the weights of p available until parts that are held later need the
// room: at least until the next call.
func (r *resident) hold(p *part) error {
	r.served += p.resident
	if r.pinned[p] {
		return nil
	}
	if e := r.held[p]; e != nil {
		r.order.MoveToFront(e)
		r.hits++
		return nil
	}
	if r.passing != nil && r.passing.p == p {
		return nil
	}
	r.misses++
	var slab []byte
	if r.passing != nil {
		r.forget(r.passing.p)
		slab, r.passing = r.passing.slab, nil
	}
	for r.used+p.resident > r.limit && r.order.Len() > 0 {
		e := r.order.Back()
		h := r.order.Remove(e).(*heldPart)
		r.forget(h.p)
		delete(r.held, h.p)
		r.used -= h.p.resident
		if cap(h.slab) > cap(slab) {
			slab = h.slab
		}
	}
	n := p.slab
	if int64(cap(slab)) < n {
		slab = make([]byte, n)
	}
	if err := r.load(p, slab[:n]); err != nil {
		return err
	}
	h := &heldPart{p: p, slab: slab}
	if r.used+p.resident > r.limit {
		r.passing = h
		return nil
	}
	r.used += p.resident
	r.held[p] = r.order.PushFront(h)
	return nil
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
func (r *resident) ahead(*part) {}

func (r *resident) trim(*part) {}

func (r *resident) release(*part) {}

// load reads a part into slab.
func (r *resident) load(p *part, slab []byte) error {
	at := int64(0)
	for _, m := range p.ms {
		n := m.bytes()
		w, c, err := m.take(r.files, slab[at:at+n:at+n], m.wide)
		if err != nil {
			return err
		}
		at += (n + 63) &^ 63
		r.put(m, w, c)
		r.read += m.read()
	}
	for _, v := range r.missing(p) {
		f, err := v.load(r.files)
		if err != nil {
			return err
		}
		r.vecs[v] = f
		r.read += v.view.Bytes()
	}
	return nil
}
