package runner

import (
	"fmt"

	"quern/gemm"
)

// bag has the weights that are loaded at the moment.
type bag struct {
	mats  map[*matrix]*gemm.Weight
	codes map[*matrix]*coded
	vecs  map[*vector][]float32
	users map[*vector]int // parts that have a vector, which may share it
}

func newBag() *bag {
	return &bag{mats: map[*matrix]*gemm.Weight{}, codes: map[*matrix]*coded{}, vecs: map[*vector][]float32{}, users: map[*vector]int{}}
}

// missing are the vectors of a part that have to be loaded for it: those that no other
// part has.
func (b *bag) missing(p *part) []*vector {
	var vs []*vector
	for _, v := range p.vs {
		if b.users[v]++; b.users[v] == 1 {
			vs = append(vs, v)
		}
	}
	return vs
}

// forget takes the weights of a part away.
func (b *bag) forget(p *part) {
	b.forgetMatrices(p)
	for _, v := range p.vs {
		if b.users[v]--; b.users[v] == 0 {
			delete(b.vecs, v)
			delete(b.users, v)
		}
	}
}

func (b *bag) forgetMatrices(p *part) {
	for _, m := range p.ms {
		delete(b.mats, m)
		delete(b.codes, m)
	}
}

// add waits for a unit and makes its weights available.
func (b *bag) add(u *unit) error {
	<-u.ready
	if u.err != nil {
		return u.err
	}
	for i, m := range u.ms {
		b.put(m, u.mats[i], u.coded[i])
	}
	for i, v := range u.vs {
		b.vecs[v] = u.vecs[i]
	}
	return nil
}

// put makes a weight available, in the form in which it was taken.
func (b *bag) put(m *matrix, w *gemm.Weight, c *coded) {
	if c != nil {
		b.codes[m] = c
	} else {
		b.mats[m] = w
	}
}

// coded returns the codes of a weight that is multiplied by panel by panel; nil for others.
func (b *bag) coded(m *matrix) *coded { return b.codes[m] }

// matrix returns a weight to multiply by. One in codes is decoded anew each time.
func (b *bag) matrix(m *matrix) *gemm.Weight {
	w := b.mats[m]
	if c := b.codes[m]; c != nil {
		w = &gemm.Weight{Out: m.out, In: m.in, Format: gemm.F32, Data: make([]byte, 4*m.out*m.in)}
		c.mustDecode(w.Data, 0, m.out)
	}
	if w == nil {
		panic(fmt.Sprintf("runner: %s is used but not loaded", m.name))
	}
	return w
}

func (b *bag) vector(v *vector) []float32 {
	f, ok := b.vecs[v]
	if !ok {
		panic(fmt.Sprintf("runner: %s is used but not loaded", v.view.Name))
	}
	return f
}
