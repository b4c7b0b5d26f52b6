package runner

import "quern/gemm"

// part is a set of weights that is loaded and dropped together.
type part struct {
	ms []*matrix
	vs []*vector

	slab     int64 // memory that the bytes of the matrices need
	resident int64 // memory that the part needs when it stays between tokens
}

// partOf is the part of what has needs.
func partOf(needs ...interface{ needs(p *part) }) *part {
	p := &part{}
	for _, n := range needs {
		n.needs(p)
	}
	return p
}

// matrices adds those that are not nil.
func (p *part) matrices(ms ...*matrix) {
	for _, m := range ms {
		if m != nil {
			p.ms = append(p.ms, m)
			n := (m.bytes() + 63) &^ 63
			p.slab, p.resident = p.slab+n, p.resident+n
			if m.wide && (m.scale != nil || m.written != nil) {
				p.resident += 4 * int64(m.out) * int64(m.in)
			}
		}
	}
}

// vectors adds those that are not nil.
func (p *part) vectors(vs ...*vector) {
	for _, v := range vs {
		if v != nil {
			p.vs = append(p.vs, v)
			p.resident += 4 * int64(v.n)
		}
	}
}

func (p *part) empty() bool { return len(p.ms)+len(p.vs) == 0 }

// read is what loading the matrices reads.
func (p *part) read() int64 {
	n := int64(0)
	for _, m := range p.ms {
		n += m.read()
	}
	return n
}

// provider has weights: those of parts that are held.
type provider interface {
	matrix(m *matrix) *gemm.Weight
	coded(m *matrix) *coded // nil unless it is multiplied by panel by panel
	vector(v *vector) []float32
	// hold makes the weights of parts available, at least until the next call. Several
	// must fit.
	hold(ps ...*part) error
	// ahead is told which parts will be held next, in their order; nil among them: nobody
	// knows.
	ahead(ps ...*part)
	// trim is told that the matrices of a part are not needed for now.
	trim(p *part)
	// release is told that a part is not needed for now.
	release(p *part)
	// fits reports whether n bytes of parts can be held at once.
	fits(n int64) bool
}
