package metrics

import (
	"math"
	"slices"
)

// moments is the mean of a sample and the standard error of that mean,
// √((E[x²]−E[x]²)/(n−1)).
type moments struct{ mean, err float64 }

// measure takes value(i) for i below n. The mean of none is NaN, the error of fewer
// than two too.
func measure(n int, value func(i int) float64) moments {
	sum := 0.0
	for i := range n {
		sum += value(i)
	}
	m := moments{mean: sum / float64(n)}
	squares := 0.0
	for i := range n {
		d := value(i) - m.mean
		squares += d * d
	}
	m.err = math.Sqrt(squares / float64(n) / float64(n-1))
	if n < 2 {
		m.err = math.NaN()
	}
	return m
}

// share is the fraction k of n with its standard error, √(p(1−p)/(n−1)).
func share(k, n int) moments {
	p := float64(k) / float64(n)
	m := moments{mean: p, err: math.Sqrt(p * (1 - p) / float64(n-1))}
	if n < 2 {
		m.err = math.NaN()
	}
	return m
}

// correlation of two samples of n values; NaN where one of them does not vary.
func correlation(n int, x, y func(i int) float64) float64 {
	mx, my := measure(n, x).mean, measure(n, y).mean
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
