package metrics

import (
	"fmt"
	"math"

	"quern/internal/vec"
)

// Token is what two models make of one position.
type Token struct {
	// Chunk numbers the pieces of text that models see at once, whose tokens are not
	// independent of each other.
	Chunk int
	// Target is the id that really follows, −1 when it is not known; the four
	// figures behind it are NaN then.
	Target            int
	NLLBase, NLLQuant float64 // −ln of the target's probability
	PBase, PQuant     float64 // the target's probability
	// KLD is Σ p_base·(ln p_base − ln p_quant) in nats; +Inf when quant excludes an id
	// that base does not, unless base has it 700 nats below its highest.
	KLD                 float64
	TopBase, TopQuant   int     // the likeliest ids
	TopPBase, TopPQuant float64 // and their probabilities
	Top5                int     // ids that both have among their five likeliest
}

// NonFinite is the error of a row with a logit that no softmax can take: NaN or
// +Inf. A logit of −Inf is a probability of 0, and an error only where the whole
// row consists of them.
type NonFinite struct {
	Base  bool    // it is the base model's
	ID    int     // the lowest such id; −1 when all logits are −Inf
	Value float32 // NaN or +Inf, or −Inf when all are
}

func (e *NonFinite) Error() string {
	switch {
	case e.ID < 0:
		return "all logits are -Inf"
	case math.IsNaN(float64(e.Value)):
		return fmt.Sprintf("the logit of id %d is NaN", e.ID)
	}
	return fmt.Sprintf("the logit of id %d is +Inf", e.ID)
}

// Row takes the logits that two models give for one position. [Row.Reset] begins a
// row, [Row.Add] takes its tiles, [Row.Score] ends it. A Row is used by one
// goroutine at a time and over and over; the zero value has to be Reset first.
type Row struct {
	base, quant side
	target      target
	cross       float64 // Σ exp(a−m_a)·(a−b), over finite a and b
	excluded    float64 // the highest logit of base among the ids that quant excludes
	next        int     // the id after those that were added
	err         *NonFinite
}

// side is the softmax of one model.
type side struct {
	top top
	max float64 // the highest logit so far; −Inf when all were
	sum float64 // Σ exp(x−max)
}

// target is the token that really follows.
type target struct {
	id    int
	known [2]float64 // its logit in base and quant
}

// Reset begins a row. target is the id that really follows, −1 when only the
// models are to be compared with each other.
func (r *Row) Reset(target int) {
	*r = Row{excluded: math.Inf(-1)}
	r.base.max, r.quant.max = math.Inf(-1), math.Inf(-1)
	r.target.id = target
}

// Add takes the logits that both models give the ids first, first+1, … Tiles come
// in ascending order without gaps, the first one at id 0; slices of different
// lengths and tiles out of order panic. The result depends on how the row was cut
// by no more than the rounding of float64.
func (r *Row) Add(base, quant []float32, first int) {
	if len(base) != len(quant) || first != r.next {
		panic(fmt.Sprintf("metrics: tile of %d and %d logits at id %d, want equal lengths at id %d", len(base), len(quant), first, r.next))
	}
	r.next += len(base)
	if r.err != nil || len(base) == 0 {
		return
	}
	i, j := r.base.top.scan(base, first), r.quant.top.scan(quant, first)
	switch { // the lower id is named, however the row is cut
	case i >= 0 && (j < 0 || i <= j):
		r.err = &NonFinite{Base: true, ID: first + i, Value: base[i]}
		return
	case j >= 0:
		r.err = &NonFinite{ID: first + j, Value: quant[j]}
		return
	}
	if k := r.target.id - first; k >= 0 && k < len(base) {
		r.target.known = [2]float64{float64(base[k]), float64(quant[k])}
	}
	r.cross *= r.base.raise()
	r.quant.raise()
	shiftA, shiftB := r.base.shift(), r.quant.shift()
	ea, eb, d := vec.ExpSums(base, quant, shiftA, shiftB)
	if math.IsInf(d, 1) {
		d = r.withoutExcluded(base, quant, shiftA)
	}
	r.base.sum += ea
	r.quant.sum += eb
	r.cross += d
}

// raise brings the maximum to that of the tiles scanned, and the sum along. It
// returns the factor for other sums of the same scale.
func (s *side) raise() float64 {
	highest := float64(s.top.logit[0])
	if highest == s.max { // also when both are −Inf
		return 1
	}
	factor := math.Exp(s.max - highest)
	s.max = highest
	s.sum *= factor
	return factor
}

// shift is what is taken from logits before exp.
func (s *side) shift() float64 {
	if math.IsInf(s.max, -1) {
		return 0
	}
	return s.max
}

// withoutExcluded is the d of vec.ExpSums over the ids that quant does not exclude. Of the
// others it remembers the one that base gives the highest logit.
func (r *Row) withoutExcluded(base, quant []float32, shiftA float64) (d float64) {
	for i, x := range base {
		p, q := float64(x), float64(quant[i])
		if math.IsInf(q, -1) {
			r.excluded = max(r.excluded, p)
		} else if e := math.Exp(p - shiftA); e != 0 {
			d += float64(e * (p - q))
		}
	}
	return d
}

// Score ends a row. The error is a [*NonFinite]; any other says that the target is
// not among the ids that were added.
func (r *Row) Score() (Token, error) {
	if err := r.failure(); err != nil {
		return Token{}, err
	}
	if r.target.id >= r.next {
		return Token{}, fmt.Errorf("target id %d is not among the %d ids of the row", r.target.id, r.next)
	}
	a, b := &r.base, &r.quant
	t := Token{
		Target: max(r.target.id, -1), KLD: r.divergence(),
		TopBase: a.top.id[0], TopQuant: b.top.id[0], TopPBase: 1 / a.sum, TopPQuant: 1 / b.sum,
		Top5:    a.top.shared(&b.top),
		NLLBase: math.NaN(), NLLQuant: math.NaN(), PBase: math.NaN(), PQuant: math.NaN(),
	}
	if r.target.id >= 0 {
		t.NLLBase, t.NLLQuant = a.nll(r.target.known[0]), b.nll(r.target.known[1])
		t.PBase, t.PQuant = math.Exp(-t.NLLBase), math.Exp(-t.NLLQuant)
	}
	return t, nil
}

// failure is what keeps the row from being scored, or nil.
func (r *Row) failure() error {
	switch {
	case r.err != nil:
		return r.err
	case math.IsInf(r.base.max, -1):
		return &NonFinite{Base: true, ID: -1, Value: float32(math.Inf(-1))}
	case math.IsInf(r.quant.max, -1):
		return &NonFinite{ID: -1, Value: float32(math.Inf(-1))}
	}
	return nil
}

// negligible is the difference to the highest logit, in nats, below which an id has no
// probability. It is above e⁻⁷⁰⁸, where normal float64 numbers end and implementations
// of exp differ.
const negligible = 700

// divergence is the KLD. It is not negative; rounding may have made it so.
func (r *Row) divergence() float64 {
	a, b := &r.base, &r.quant
	if a.max-r.excluded <= negligible {
		return math.Inf(1)
	}
	return max(0, r.cross/a.sum+(b.max-a.max)+(math.Log(b.sum)-math.Log(a.sum)))
}

// nll is −ln of the probability that belongs to a logit. The order of the terms
// keeps what is small beside large logits.
func (s *side) nll(logit float64) float64 { return (s.max - logit) + math.Log(s.sum) }
