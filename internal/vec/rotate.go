package vec

// Rotate applies a rotary embedding in the "half" layout of transformers: with
// h = len(cos), the pairs (x[i], x[i+h]) become
// (x[i]·cos[i]−x[i+h]·sin[i], x[i+h]·cos[i]+x[i]·sin[i]).
func Rotate(x, cos, sin []float32) {
	equal(len(x), 2*len(cos))
	equal(len(cos), len(sin))
	current.Load().rotate(x, cos, sin)
}

// RotateInterleaved does the same to the pairs (x[2i], x[2i+1]).
func RotateInterleaved(x, cos, sin []float32) {
	equal(len(x), 2*len(cos))
	equal(len(cos), len(sin))
	current.Load().rotateInterleaved(x, cos, sin)
}

func rotateGeneric(x, cos, sin []float32) {
	lo, hi := x[:len(cos)], x[len(cos):]
	for i, c := range cos {
		lo[i], hi[i] = turn(lo[i], hi[i], c, sin[i])
	}
}

func rotateInterleavedGeneric(x, cos, sin []float32) {
	for i, c := range cos {
		x[2*i], x[2*i+1] = turn(x[2*i], x[2*i+1], c, sin[i])
	}
}

// turn rotates a point.
func turn(x, y, c, s float32) (float32, float32) {
	return float32(x*c) - float32(y*s), float32(y*c) + float32(x*s)
}
