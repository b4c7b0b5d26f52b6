package sparse

import (
	"slices"

	"quern/internal/vec"
)

// Pool makes one entry of every Ratio tokens, as doc.go says.
type Pool struct {
	Ratio, Size int
	Overlap     bool
	Bias        []float32 // Ratio rows of Width numbers; nil: none
	Norm        []float32 // weight of the RMSNorm of entries; nil: none
	Eps         float32
}

// Width is how many numbers of kv and gate a token has.
func (p *Pool) Width() int {
	if p.Overlap {
		return 2 * p.Size
	}
	return p.Size
}

// Pending are the tokens that wait for their window to close. To take tokens back, Set
// a copy from before them and cut the entries to its Count.
type Pending struct {
	Count    int // entries made so far
	kv, gate []float32
	// The first halves of the last closed window, its bias added.
	lastKV, lastGate []float32
}

// Clone is a copy.
func (s *Pending) Clone() *Pending {
	return &Pending{Count: s.Count, kv: slices.Clone(s.kv), gate: slices.Clone(s.gate), lastKV: slices.Clone(s.lastKV), lastGate: slices.Clone(s.lastGate)}
}

// Set makes s equal to another.
func (s *Pending) Set(from *Pending) {
	s.Count = from.Count
	s.kv, s.gate = append(s.kv[:0], from.kv...), append(s.gate[:0], from.gate...)
	s.lastKV, s.lastGate = append(s.lastKV[:0], from.lastKV...), append(s.lastGate[:0], from.lastGate...)
}

// Push takes the rows of further tokens and appends to entries those whose windows
// close. The caller rotates them: the position of entry w is w·Ratio.
func (p *Pool) Push(entries, kv, gate []float32, s *Pending) []float32 {
	w := p.Width()
	for len(kv) > 0 {
		n := min(len(kv), p.Ratio*w-len(s.kv))
		s.kv, s.gate = append(s.kv, kv[:n]...), append(s.gate, gate[:n]...)
		kv, gate = kv[n:], gate[n:]
		if len(s.kv) == p.Ratio*w {
			entries = p.entry(entries, s)
		}
	}
	return entries
}

// entry closes a window.
func (p *Pool) entry(entries []float32, s *Pending) []float32 {
	w, n := p.Width(), p.Size
	if p.Bias != nil {
		vec.Add(s.gate, p.Bias)
	}
	var kv, gate [][]float32
	for i := 0; i < len(s.lastKV); i += n {
		kv, gate = append(kv, s.lastKV[i:i+n]), append(gate, s.lastGate[i:i+n])
	}
	for i := 0; i < len(s.kv); i += w {
		kv, gate = append(kv, s.kv[i+w-n:i+w]), append(gate, s.gate[i+w-n:i+w])
	}
	top, sum := slices.Clone(gate[0]), make([]float32, n)
	for _, g := range gate[1:] {
		for c, v := range g {
			top[c] = max(top[c], v)
		}
	}
	entries = append(entries, sum...)
	e, part := entries[len(entries)-n:], make([]float32, n)
	for j, g := range gate {
		for c, v := range g {
			part[c] = v - top[c]
		}
		vec.Exp(part, part)
		vec.Add(sum, part)
		for c, v := range part {
			e[c] += v * kv[j][c]
		}
	}
	for c, v := range sum {
		e[c] /= v
	}
	if p.Norm != nil {
		vec.RMSNorm(e, e, p.Norm, p.Eps)
	}
	if p.Overlap {
		s.lastKV, s.lastGate = s.lastKV[:0], s.lastGate[:0]
		for i := 0; i < len(s.kv); i += w {
			s.lastKV, s.lastGate = append(s.lastKV, s.kv[i:i+n]...), append(s.lastGate, s.gate[i:i+n]...)
		}
	}
	s.kv, s.gate = s.kv[:0], s.gate[:0]
	s.Count++
	return entries
}
