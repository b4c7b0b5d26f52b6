package vec

import "math"

// Max returns the largest element: NaN if any is NaN, −Inf if there is none, and
// +0 where it is a zero of either sign.
func Max(x []float32) float32 { return current.Load().max(x) }

// AbsMax returns the largest magnitude: NaN if any element is NaN, 0 if there is
// none.
func AbsMax(x []float32) float32 { return current.Load().absMax(x) }

// block is how many elements ArgMax and FirstNonFinite hand to a kernel at once;
// only one block is searched element by element.
const block = 512

// ArgMax returns the lowest index of a largest element, and that element. NaN
// counts as larger than all numbers. No elements: −1 and −Inf.
func ArgMax(x []float32) (int, float32) {
	p := current.Load()
	best, at := float32(math.Inf(-1)), -1
	for i := 0; i < len(x); i += block {
		m := p.max(x[i:min(i+block, len(x))])
		if m > best || at < 0 || m != m {
			best, at = m, i
		}
		if m != m {
			break
		}
	}
	if at < 0 {
		return at, best
	}
	for x[at] != best && x[at] == x[at] {
		at++
	}
	return at, x[at]
}

// FirstNonFinite returns the index of the first NaN or infinity, or −1 if all
// elements are finite.
func FirstNonFinite(x []float32) int {
	p := current.Load()
	for i := 0; i < len(x); i += block {
		if finite(p.absMax(x[i:min(i+block, len(x))])) {
			continue
		}
		for finite(x[i]) {
			i++
		}
		return i
	}
	return -1
}

func finite(x float32) bool { return x-x == 0 }

func maxGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		} else if v != v {
			return v
		}
	}
	return m + 0 // −0 becomes +0
}

func absMaxGeneric(x []float32) float32 {
	var m uint32 // the bits of magnitudes are in order, NaN above Inf
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^signBit)
	}
	return math.Float32frombits(m)
}

const signBit = 0x80000000 // of a float32
