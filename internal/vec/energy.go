package vec

import (
	"encoding/binary"
	"math"
)

// Energies returns Σa², Σb², Σ(a−b)² and the largest (a−b)² of rows that are stored as
// little-endian float32. The terms are float64 of exact values, the sums those of the
// package's doc. A NaN is in the sums but never the largest, which is 0 if nothing is.
// It panics unless a and b have the same length; bytes after the last whole number are
// ignored.
func Energies(a, b []byte) (aa, bb, dd, most float64) {
	equal(len(a), len(b))
	return current.Load().energies(a, b)
}

func energiesGeneric(a, b []byte) (aa, bb, dd, most float64) {
	var la, lb, ld lanes64
	for i := range len(a) / 4 {
		x := float64(math.Float32frombits(binary.LittleEndian.Uint32(a[4*i:])))
		y := float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		d := x - y
		q := float64(d * d)
		la[i%8] += float64(x * x)
		lb[i%8] += float64(y * y)
		ld[i%8] += q
		if q > most {
			most = q
		}
	}
	return la.join(), lb.join(), ld.join(), most
}
