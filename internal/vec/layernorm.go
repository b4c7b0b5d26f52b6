package vec

import "math"

// LayerNorm writes (x−mean)/√(var+eps)·weight+bias, with sums in float64. bias may be
// nil, dst may be x.
func LayerNorm(dst, x, weight, bias []float32, eps float32) {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		square += (float64(v) - mean) * (float64(v) - mean)
	}
	scale := 1 / math.Sqrt(square/float64(len(x))+float64(eps))
	for i, v := range x {
		dst[i] = float32((float64(v)-mean)*scale) * weight[i]
	}
	if bias != nil {
		Add(dst[:len(x)], bias)
	}
}
