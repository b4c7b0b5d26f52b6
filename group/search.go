package group

import (
	"encoding/binary"
	"fmt"
	"math"

	"quern/fp8"
)

// Search says how the scales of groups are chosen. The zero value is the plain rule.
type Search struct {
	By fp8.Search // SearchMSE and SearchWeighted: of a few scales around the plain one that with the least squared error

	// Weights, for SearchWeighted only, are the importance of the columns, one for
	// each column of the matrix: the mean square of the activations of that input
	// channel. They are finite and ≥ 0, in any unit. None means SearchMSE.
	Weights []float32

	// Worst takes the candidate with the most squared error, no column weighing more than
	// another: no search among them, by whatever weights, loses more.
	Worst bool
}

// check says whether the search fits a matrix of cols columns.
func (o *Search) check(cols int) error {
	if o.By > fp8.SearchWeighted {
		return fmt.Errorf("search %d is unknown", o.By)
	}
	if o.By != fp8.SearchWeighted || len(o.Weights) == 0 {
		return nil
	}
	if len(o.Weights) != cols {
		return fmt.Errorf("%d weights for %d columns", len(o.Weights), cols)
	}
	for c, x := range o.Weights {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return fmt.Errorf("weight %v of column %d: neither 0 nor a positive finite number", x, c)
		}
	}
	return nil
}

// leastWeight is the least weight of a column against the largest one of its group:
// a channel that calibration never saw active still counts a little.
const leastWeight = 0x1p-24

// columnWeights writes the weights of the columns of a group.
func (o *Search) columnWeights(u []float64, col int) {
	var top float64
	if o.By == fp8.SearchWeighted && len(o.Weights) != 0 {
		for i, x := range o.Weights[col:][:len(u)] {
			u[i] = float64(x)
			top = max(top, u[i])
		}
	}
	for i := range u {
		if top == 0 {
			u[i] = 1
		} else {
			u[i] = max(u[i], top*leastWeight) // exact
		}
	}
}

// The scales that a search tries, in the order of preference among equal costs: the
// plain one, then those near it.
var (
	// nvfp4Steps are numbers of E4M3 codes, of which an octave has eight.
	nvfp4Steps = [...]int{0, -1, 1, -2, 2, -3, 3, 4, 5, 6}
	// int4Steps are 32nds of the scale.
	int4Steps = [...]int{0, -1, 1, -2, 2, -3, 3, -4, 4, -5, -6, -7, -8, -9, -10, -11, -12}
)

// searchScratch is what a search of one group works with.
type searchScratch struct {
	u     [32]float64
	codes [len(int4Steps)]uint16 // of the scales tried
	mult  [len(int4Steps)]float32
	cost  [len(int4Steps)]float64
}

// chosen returns the first of n scales with the least cost, or the most.
func (t *searchScratch) chosen(n int, worst bool) (best int) {
	for k := range n {
		if worst && t.cost[k] > t.cost[best] || !worst && t.cost[k] < t.cost[best] {
			best = k
		}
	}
	return best
}

// search replaces scales and multipliers by better ones.
func (f *NVFP4) search(s *span, mults *nvfp4Mults) {
	if f.Search.By == fp8.SearchNone {
		return
	}
	const size = 16
	t := &s.scratch.search
	for i, plain := range s.scales {
		if s.amax[i] == 0 {
			continue
		}
		n := 0
		for _, step := range nvfp4Steps {
			if c := int(plain) + step; c >= 1 && c <= 0x7e {
				t.codes[n] = uint16(c)
				t.mult[n] = mults[c]
				n++
			}
		}
		f.Search.columnWeights(t.u[:size], s.col+i*size)
		s.p.costE2M1(t.cost[:n], t.mult[:n], s.w[i*size:][:size], t.u[:size])
		best := t.chosen(n, f.Search.Worst)
		s.scales[i], s.mult[i] = uint8(t.codes[best]), t.mult[best]
	}
}

// search replaces scales and multipliers by better ones.
func (f *INT4) search(s *span) {
	if f.Search.By == fp8.SearchNone {
		return
	}
	const size = 32
	t := &s.scratch.search
	for i, amax := range s.amax {
		if amax == 0 {
			continue
		}
		plain := amax / ranges[f.Range]
		t.codes[0] = binary.LittleEndian.Uint16(s.scales[2*i:])
		t.mult[0] = fp8.BF16ToFloat32(t.codes[0])
		n := 1
		for _, step := range int4Steps[1:] {
			c := fp8.BF16FromFloat32(plain * (1 + float32(step)/32))
			if c != 0 {
				t.codes[n], t.mult[n] = c, fp8.BF16ToFloat32(c)
				n++
			}
		}
		f.Search.columnWeights(t.u[:size], s.col+i*size)
		s.p.costINT4(t.cost[:n], t.mult[:n], s.w[i*size:][:size], t.u[:size])
		best := t.chosen(n, f.Search.Worst)
		binary.LittleEndian.PutUint16(s.scales[2*i:], t.codes[best])
		s.mult[2*i], s.mult[2*i+1] = t.mult[best], t.mult[best]
	}
}
