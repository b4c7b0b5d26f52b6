// Package sketch counts magnitudes in buckets whose width grows with the magnitude,
// so that percentiles have a relative error that is bounded by [Error], whatever the
// distribution, and so that two sketches can be added without loss.
//
// A bucket is what float32 numbers have in common that agree in their exponent and
// in the first three bits of their fraction: 8 buckets an octave, numbered from 0
// (zero and the smallest subnormals) to 2039. A bucket is found with a shift, and the
// counts of parts of the data add up to those of the whole, in any order.
//
// A [Sketch] keeps the 128 highest buckets, 16 octaves: what lies below is counted in
// the lowest of them.
package sketch

import "math"

const (
	perOctave = 8
	octaves   = 16
	// Length is how many buckets a sketch keeps at most.
	Length = perOctave * octaves
	// Error bounds the relative error of percentiles that lie within the 16 octaves
	// below the largest magnitude (and above 2⁻¹²⁶): the value that stands for the
	// bucket [a, b) is 2ab/(a+b), off by (b−a)/(a+b) at most, and b/a ≤ 9/8.
	Error = 1. / 17

	shift = 23 - 3
	keys  = 1 << (8 + 3)
)

// Bucket is the number of the bucket of |x|. That of a NaN or infinity is meaningless.
func Bucket(x float32) int { return int(math.Float32bits(x)>>shift) & (keys - 1) }

// edge is the least magnitude of a bucket; that of the one behind the last is what
// would follow the largest float32.
func edge(bucket int) float64 {
	exponent, fraction := bucket/perOctave, float64(bucket%perOctave)/perOctave
	if exponent == 0 {
		return math.Ldexp(fraction, -126)
	}
	return math.Ldexp(1+fraction, exponent-127)
}

// Counter counts magnitudes as they come. Its zero value is empty.
type Counter struct{ n [keys]uint64 }

// Add counts the magnitudes of x, which are finite.
func (c *Counter) Add(x []float32) {
	for _, v := range x {
		c.n[math.Float32bits(v)>>shift&(keys-1)]++
	}
}

// Move adds the counts of d to c and sets those of d to zero.
func (c *Counter) Move(d *Counter) {
	for i, n := range d.n {
		c.n[i] += n
	}
	d.n = [keys]uint64{}
}

// Take adds a count of pairs to c and sets it to zero: entry i has how many pairs there
// were of buckets base + i mod Length and base + i div Length (see columns.Pairs).
func (c *Counter) Take(pairs *[Length * Length]uint32, base int) {
	for i := range Length {
		row := pairs[i*Length:][:Length]
		sum := uint64(0)
		for j, n := range row {
			if n == 0 {
				continue
			}
			sum += uint64(n)
			c.n[min(base+j, keys-1)] += uint64(n)
		}
		if sum > 0 {
			c.n[min(base+i, keys-1)] += sum
			clear(row)
		}
	}
}

// Sketch returns what was counted.
func (c *Counter) Sketch() Sketch {
	top := keys - 1
	for top > 0 && c.n[top] == 0 {
		top--
	}
	s := Sketch{Top: top, Counts: make([]int64, min(top+1, Length))}
	low := top + 1 - len(s.Counts)
	for i, n := range c.n[:top+1] {
		s.Counts[max(i-low, 0)] += int64(n)
	}
	s.trim()
	return s
}

// Sketch is a distribution of magnitudes: Counts are those of the buckets up to Top,
// in order. The first one also has what is below it if there are Length of them.
// Neither the first nor the last count is zero, except in a sketch of nothing.
type Sketch struct {
	Top    int
	Counts []int64
}

// trim takes away empty buckets at the low end.
func (s *Sketch) trim() {
	i := 0
	for i+1 < len(s.Counts) && s.Counts[i] == 0 {
		i++
	}
	s.Counts = s.Counts[i:]
}

// Total is the number of magnitudes; false if it overflows or a count is negative.
func (s Sketch) Total() (int64, bool) {
	t := int64(0)
	for _, n := range s.Counts {
		if n < 0 || t > math.MaxInt64-n {
			return 0, false
		}
		t += n
	}
	return t, true
}

// Merge is the sketch of what a and b are sketches of.
func Merge(a, b Sketch) Sketch {
	if a.Top < b.Top {
		a, b = b, a
	}
	out := Sketch{Top: a.Top, Counts: make([]int64, min(a.Top+1, Length))}
	low := out.Top + 1 - len(out.Counts)
	for _, s := range []Sketch{a, b} {
		first := s.Top + 1 - len(s.Counts)
		for i, n := range s.Counts {
			out.Counts[max(first+i-low, 0)] += n
		}
	}
	out.trim()
	return out
}

// Quantile is the magnitude that a share p of all is not above (nearest rank), with
// the relative error Error; 0 for a sketch of nothing.
func (s Sketch) Quantile(p float64) float32 {
	total, _ := s.Total()
	rank := int64(math.Ceil(p * float64(total)))
	first := s.Top + 1 - len(s.Counts)
	for i, n := range s.Counts {
		if rank -= n; rank <= 0 && n > 0 {
			a, b := edge(first+i), edge(first+i+1)
			return float32(2 * a / (a + b) * b)
		}
	}
	return 0
}
