package runner

// streamed is the provider of evaluation: weights are read when they are needed, each
// once, or one part ahead where there is room for it, and their memory is used again.
type streamed struct {
	*bag
	load  *loader
	room  int64           // for a part that is read ahead
	units map[*part]*unit // held or being read
}

func newStreamed(l *loader, room int64) *streamed {
	return &streamed{bag: newBag(), load: l, room: room, units: map[*part]*unit{}}
}

func (s *streamed) hold(p *part) error {
	if s.units[p] == nil {
		s.start(p)
	}
	return s.add(s.units[p])
}

func (s *streamed) start(p *part) {
	s.units[p] = s.load.start(p, s.missing(p))
}

// ahead starts reading a part, if there is room for it beside what is in use.
func (s *streamed) ahead(p *part) {
	if p != nil && s.units[p] == nil && p.slab <= s.room {
		s.start(p)
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

// fits says no: what is streamed is read one part after the other.
func (s *streamed) fits(int64) bool { return false }
