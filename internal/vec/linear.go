package vec

// Dot returns Σ a[i]·b[i].
func Dot(a, b []float32) float32 {
	equal(len(a), len(b))
	return current.Load().dot(a, b)
}

// SumSquares returns Σ x[i]².
func SumSquares(x []float32) float32 { return current.Load().dot(x, x) }

// Axpy adds alpha·x to y.
func Axpy(y []float32, alpha float32, x []float32) {
	equal(len(y), len(x))
	current.Load().axpy(y, alpha, x)
}

// Add adds x to y.
func Add(y, x []float32) {
	equal(len(y), len(x))
	current.Load().add(y, x)
}

// Mul multiplies y by x, element by element.
func Mul(y, x []float32) {
	equal(len(y), len(x))
	current.Load().mul(y, x)
}

// Scale multiplies x by alpha.
func Scale(x []float32, alpha float32) { current.Load().scale(x, x, alpha) }

// The conversions float32(…) around products keep the compiler from fusing them
// with the addition that follows (Go specification, "Floating-point operators").

func dotGeneric(a, b []float32) float32 {
	var l lanes
	for len(a) >= 16 && len(b) >= 16 {
		x, y := (*[16]float32)(a), (*[16]float32)(b)
		for j := range l {
			l[j] += float32(x[j] * y[j])
		}
		a, b = a[16:], b[16:]
	}
	for j, v := range a {
		l[j] += float32(v * b[j])
	}
	return l.join()
}

// lanes are the partial sums of a float32 sum.
type lanes [16]float32

// join adds the lanes in pairs.
func (l *lanes) join() float32 {
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			l[i] += l[i+n]
		}
	}
	return l[0]
}

func axpyGeneric(y []float32, alpha float32, x []float32) {
	for i, v := range x {
		y[i] += float32(alpha * v)
	}
}

func addGeneric(y, x []float32) {
	for i, v := range x {
		y[i] += v
	}
}

func mulGeneric(y, x []float32) {
	for i, v := range x {
		y[i] *= v
	}
}

func scaleGeneric(dst, x []float32, alpha float32) {
	for i, v := range x {
		dst[i] = v * alpha
	}
}

func scaleMulGeneric(dst, x, w []float32, alpha float32) {
	for i, v := range x {
		dst[i] = v * alpha * w[i]
	}
}
