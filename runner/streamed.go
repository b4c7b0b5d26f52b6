package runner

// streamed is the provider of evaluation: weights are read when they are needed, each
// once, or some parts ahead where there is room for them, and their memory is used again.
type streamed struct {
	*bag
	load  *loader
	room  int64           // bytes of parts that are read ahead
	units map[*part]*unit // held or being read
}

func newStreamed(l *loader, room int64) *streamed {
	return &streamed{bag: newBag(), load: l, room: room, units: map[*part]*unit{}}
}

func (s *streamed) hold(ps ...*part) error {
	for _, p := range ps {
		if s.units[p] == nil {
			s.start(p)
		}
		if err := s.add(s.units[p]); err != nil {
			return err
		}
	}
	return nil
}

func (s *streamed) start(p *part) {
	s.units[p] = s.load.start(p, s.missing(p))
}

// ahead starts reading parts, as far as there is room for them beside what is in use.
func (s *streamed) ahead(ps ...*part) {
	room := s.room
	for k, p := range ps {
		if p == nil {
			continue
		}
		if room -= p.slab; room < 0 || k >= readsAtOnce {
			return
		}
		if s.units[p] == nil {
			s.start(p)
		}
	}
}

// trim keeps of a part the vectors alone, which others may share.
func (s *streamed) trim(p *part) {
	if u := s.units[p]; u != nil {
		s.forgetMatrices(p)
		s.load.drop(u)
	}
}

func (s *streamed) release(p *part) {
	u := s.units[p]
	if u == nil {
		return
	}
	delete(s.units, p)
	s.forget(p)
	s.load.drop(u)
}

// fits says no: what is streamed is used one part after the other.
func (s *streamed) fits(int64) bool { return false }
