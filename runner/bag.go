package runner

import (
	"fmt"

	"quern/gemm"
)

// bag has the weights that are loaded at the moment.
type bag struct {
	mats  map[*matrix]*gemm.Weight
	vecs  map[*vector][]float32
	users map[*vector]int // parts that have a vector, which may share it
}

func newBag() *bag {
	return &bag{mats: map[*matrix]*gemm.Weight{}, vecs: map[*vector][]float32{}, users: map[*vector]int{}}
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
	for _, m := range p.ms {
		delete(b.mats, m)
	}
	for _, v := range p.vs {
		if b.users[v]--; b.users[v] == 0 {
			delete(b.vecs, v)
			delete(b.users, v)
		}
	}
}

// add waits for a unit and makes its weights available.
func (b *bag) add(u *unit) error {
	<-u.ready
	if u.err != nil {
		return u.err
	}
	for i, m := range u.ms {
		b.mats[m] = u.mats[i]
	}
	for i, v := range u.vs {
		b.vecs[v] = u.vecs[i]
	}
	return nil
}

func (b *bag) matrix(m *matrix) *gemm.Weight {
	w := b.mats[m]
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
