package runner

import "quern/internal/vec"

// joint makes what the layer begins with of embeddings and states.
type joint interface {
	needs(p *part)
	// join writes rows as wide as the frame of the layer to out. States h are final ones,
	// or as wide as what the layers of the model hand on.
	join(p *pass, f frame, out, emb, h []float32, rows int)
}

// beside is proj([enorm(embedding) ‖ hnorm(state)]).
type beside struct {
	proj         *matrix
	enorm, hnorm *norm
	stateFirst   bool // the state stands before the embedding (MiMo)
}

func (j *beside) needs(p *part) {
	j.enorm.needs(p)
	j.hnorm.needs(p)
	p.matrices(j.proj)
}

func (j *beside) join(p *pass, f frame, out, emb, h []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	d := p.m.hidden
	both := p.arena.floats(rows * 2 * d)
	left, right, first, second := j.enorm.of(p.weights), j.hnorm.of(p.weights), emb, h
	if j.stateFirst {
		left, right, first, second = right, left, second, first
	}
	p.each(rows, 2*d, func(at, n, _ int) {
		for r := at; r < at+n; r++ {
			left(both[2*r*d:][:d], first[r*d:][:d])
			right(both[(2*r+1)*d:][:d], second[r*d:][:d])
		}
	})
	z := out
	if f.width() != d {
		z = p.arena.floats(rows * d)
	}
	p.observe(both, rows, j.proj)
	p.linear(z, both, rows, j.proj, nil)
	if f.width() != d {
		f.expand(p, out, z, rows)
	}
}

// split is proj_h(hnorm(state)) + proj_e(enorm(embedding)) in each of several streams.
type split struct {
	e, h         *matrix
	enorm, hnorm *norm
	streams      int
}

func (j *split) needs(p *part) {
	j.enorm.needs(p)
	j.hnorm.needs(p)
	p.matrices(j.e, j.h)
}

func (j *split) join(p *pass, f frame, out, emb, h []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	d := p.m.hidden
	n := rows * j.streams
	e, normed := p.arena.floats(rows*d), p.arena.floats(n*d)
	p.normalize(normed, emb, rows, d, j.enorm)
	p.observe(normed, rows, j.e)
	p.linear(e, normed, rows, j.e, nil)
	p.normalize(normed, h, n, d, j.hnorm)
	p.linear(out, normed, n, j.h, nil)
	p.each(rows, j.streams*d, func(first, count, _ int) {
		for r := first; r < first+count; r++ {
			for i := range j.streams {
				vec.Add(out[(r*j.streams+i)*d:][:d], e[r*d:][:d])
			}
		}
	})
}
