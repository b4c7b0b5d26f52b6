package metrics

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"quern/internal/vec"
)

// OneToken is what one model makes of one position.
type OneToken struct {
	Chunk   int     // as in [Token]
	Target  int     // the id that really follows, −1 when it is not known
	NLL, P  float64 // of the target; NaN without one
	Entropy float64 // of the prediction, in nats
	Top     int     // the likeliest id
	TopP    float64 // and its probability
}

// One is what [Row] is, for a model that there is no baseline to.
type One struct {
	side   side
	id     int     // the target's
	logit  float64 // the target's
	spread float64 // Σ exp(x−max)·(x−max)
	next   int
	err    *NonFinite
}

// levels are slices with one number over and over, for the rows under way.
var levels = sync.Pool{New: func() any { return new([]float32) }}

// Reset begins a row, as [Row.Reset] does.
func (o *One) Reset(target int) {
	*o = One{id: target}
	o.side.max = math.Inf(-1)
}

// Add takes a tile, as [Row.Add] does.
func (o *One) Add(logits []float32, first int) {
	if first != o.next {
		panic(fmt.Sprintf("metrics: tile at id %d, want one at id %d", first, o.next))
	}
	o.next += len(logits)
	if o.err != nil || len(logits) == 0 {
		return
	}
	if i := o.side.top.scan(logits, first); i >= 0 {
		o.err = &NonFinite{ID: first + i, Value: logits[i]}
		return
	}
	if k := o.id - first; k >= 0 && k < len(logits) {
		o.logit = float64(logits[k])
	}
	was, sum := o.side.max, o.side.sum
	if factor := o.side.raise(); factor != 1 && sum > 0 {
		o.spread = factor * (o.spread + sum*(was-o.side.max))
	}
	m := o.side.max
	if math.IsInf(m, -1) {
		return
	}
	// The second row is the maximum itself, which makes the difference from it.
	buf := levels.Get().(*[]float32)
	defer levels.Put(buf)
	*buf = slices.Grow((*buf)[:0], len(logits))[:len(logits)]
	level := *buf
	for i := range level {
		level[i] = float32(m)
	}
	e, _, d := vec.ExpSums(logits, level, m, m)
	o.side.sum += e
	o.spread += d
}

// Score ends a row. The errors are those of [Row.Score]; Base is false in them.
func (o *One) Score() (OneToken, error) {
	switch {
	case o.err != nil:
		return OneToken{}, o.err
	case math.IsInf(o.side.max, -1):
		return OneToken{}, &NonFinite{ID: -1, Value: float32(math.Inf(-1))}
	case o.id >= o.next:
		return OneToken{}, fmt.Errorf("target id %d is not among the %d ids of the row", o.id, o.next)
	}
	t := OneToken{
		Target: max(o.id, -1), NLL: math.NaN(), P: math.NaN(),
		Entropy: max(0, math.Log(o.side.sum)-o.spread/o.side.sum),
		Top:     o.side.top.id[0], TopP: 1 / o.side.sum,
	}
	if o.id >= 0 {
		t.NLL = o.side.nll(o.logit)
		t.P = math.Exp(-t.NLL)
	}
	return t, nil
}
