package metrics

import (
	"math"
	"slices"
)

// moments is the mean of a sample and the standard error of that mean.
type moments struct{ mean, err float64 }

// measure takes value(i) for i below n, which stands in chunk(i); those of one chunk
// follow each other. The mean of none is NaN, the error of fewer than two too.
//
// Tokens of one chunk are not independent: where the models are apart they often are for
// a whole passage. So the error is the one that chunks show, √(G/(G−1)·ΣS²)/n with the
// sums S of the deviations of each of G chunks (the cluster-robust error of a mean,
// Liang and Zeger 1986, with the usual correction for few clusters), and never below that
// of independent tokens, √((E[x²]−E[x]²)/(n−1)), which is all that one chunk can tell.
func measure(n int, value func(i int) float64, chunk func(i int) int) moments {
	sum := 0.0
	for i := range n {
		sum += value(i)
	}
	m := moments{mean: sum / float64(n)}
	squares, within, between, chunks := 0.0, 0.0, 0.0, 0
	for i := range n {
		d := value(i) - m.mean
		squares += float64(d * d)
		if i == 0 || chunk(i) != chunk(i-1) {
			between += float64(within * within)
			within = 0
			chunks++
		}
		within += d
	}
	between += float64(within * within)
	m.err = math.Sqrt(squares / float64(n) / float64(n-1))
	if g := float64(chunks); chunks > 1 {
		m.err = max(m.err, math.Sqrt(between*g/(g-1))/float64(n))
	}
	if n < 2 {
		m.err = math.NaN()
	}
	return m
}

// average is the mean of value(i) for i below n.
func average(n int, value func(i int) float64) float64 {
	return measure(n, value, func(int) int { return 0 }).mean
}

// share is the fraction of n for which hit is true, with its standard error.
func share(n int, hit func(i int) bool, chunk func(i int) int) moments {
	return measure(n, func(i int) float64 {
		if hit(i) {
			return 1
		}
		return 0
	}, chunk)
}

// median is that of sorted values, and half the width of the interval that reaches from
// one standard error of the share of values below it to the other (Woodruff 1952).
func median(p percentiles, n int, value func(i int) float64, chunk func(i int) int) (at, err Figure) {
	at = p.at(0.5)
	u := share(n, func(i int) bool { return value(i) <= float64(at) }, chunk).err
	if math.IsNaN(u) {
		return at, Figure(u)
	}
	low, high := p.at(max(0.5-u, 0)), p.at(min(0.5+u, 1))
	if low == high { // infinite ones have no difference
		return at, 0
	}
	return at, (high - low) / 2
}

// correlation of two samples of n values; NaN where one of them does not vary.
func correlation(n int, x, y func(i int) float64) float64 {
	mx, my := average(n, x), average(n, y)
	var xx, yy, xy float64
	for i := range n {
		dx, dy := x(i)-mx, y(i)-my
		xx += dx * dx
		yy += dy * dy
		xy += dx * dy
	}
	return xy / math.Sqrt(xx*yy)
}

// percentiles are the sorted values of a sample.
type percentiles []float64

func sorted(values []float64) percentiles {
	slices.Sort(values)
	return values
}

// at returns the percentile f, 0 the least and 1 the largest value; NaN of none.
func (p percentiles) at(f float64) Figure {
	if len(p) == 0 {
		return Figure(math.NaN())
	}
	x := f * float64(len(p)-1)
	i := int(x)
	low := p[i]
	if part := x - float64(i); part > 0 && p[i+1] != low { // infinite values have no difference
		low += part * (p[i+1] - low)
	}
	return Figure(low)
}
