package runner

import "fmt"

// lent are the latents and the rotated key that layers of latent attention share: the one
// that makes them leaves them on the shelf, others take them from there (Mistral Large 4).
type lent struct {
	from        int // layer that makes them
	own         bool
	rank, width int // of a latent, and of it with the key
}

// pass leaves those of a batch, or takes them; of none, nothing.
func (l *lent) pass(p *pass, lat, shared []float32, b *batch) error {
	if l == nil {
		return nil
	}
	r, err := b.shelf.of(fmt.Sprintf("latents of layer %d", l.from), b.rows, l.width)
	if err != nil {
		return err
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	d := l.width - l.rank
	rows := p.arena.floats(b.n * l.width)
	if !l.own {
		if rows, err = r.View(b.first, b.n, rows); err != nil {
			return err
		}
	}
	for i := range b.n {
		row := rows[i*l.width:][:l.width]
		if l.own {
			copy(row, lat[i*l.rank:][:l.rank])
			copy(row[l.rank:], shared[i*d:][:d])
		} else {
			copy(lat[i*l.rank:][:l.rank], row)
			copy(shared[i*d:][:d], row[l.rank:])
		}
	}
	if l.own {
		return r.put(b.first, rows)
	}
	return nil
}
