package vec

import "math"

// RMSNorm writes x·(1/√(mean(x²)+eps))·w, multiplied in this order. With w nil the
// last factor is left out. The sum of squares is a float32: a row whose squares
// overflow becomes zeros (or NaN, where it has infinities), as in any float32
// runner.
func RMSNorm(dst, x, w []float32, eps float32) {
	equal(len(dst), len(x))
	p := current.Load()
	mean := p.dot(x, x) / float32(len(x))
	// A float64 root rounded to float32 is the correctly rounded one of a float32.
	inv := 1 / float32(math.Sqrt(float64(mean+eps)))
	if w == nil {
		p.scale(dst, x, inv)
		return
	}
	equal(len(x), len(w))
	p.scaleMul(dst, x, w, inv)
}
