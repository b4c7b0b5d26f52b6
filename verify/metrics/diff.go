package metrics

import "math"

// MaxAbsDiff returns max |a−b| of two slices of the same length, in float64. Equal
// infinities differ by 0; with a NaN in either slice the result is NaN.
func MaxAbsDiff(a, b []float32) float64 {
	b = b[:len(a)]
	most := 0.0
	for i, x := range a {
		d := math.Abs(float64(x) - float64(b[i]))
		if d <= most || x == b[i] { // infinities that are equal differ by NaN
			continue
		}
		if math.IsNaN(d) {
			return d
		}
		most = d
	}
	return most
}
