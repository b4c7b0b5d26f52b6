package columns

import "math"

const (
	// Buckets is how many buckets a pair is counted in, by each of its elements.
	Buckets = 128
	// Step is how many elements Pairs works on at once.
	Step = 32

	bucketShift = 23 - 3 // of package sketch: 8 buckets an octave
)

// Pairs counts the magnitudes of x in the buckets of package sketch from base on, two
// neighbours with one increment: table[i + Buckets·j] counts those of which the first
// is in bucket base + i and the second in bucket base + j. Lower buckets count as the
// first of these, higher ones as the last. It takes whole steps only, and returns the
// elements that are left.
//
// One increment of memory costs a processor more than finding the bucket, so pairs
// halve the time.
func Pairs(table *[Buckets * Buckets]uint32, base int, x []float32) (rest []float32) {
	n := len(x) / Step * Step
	if n > 0 {
		current.Load().pairs(table, uint32(base), x[:n])
	}
	return x[n:]
}

func pairsGeneric(table *[Buckets * Buckets]uint32, base uint32, x []float32) {
	bucket := func(v float32) uint32 {
		return uint32(min(max(int32(math.Float32bits(v)<<1>>1>>bucketShift-base), 0), Buckets-1))
	}
	for ; len(x) >= 2; x = x[2:] {
		table[(bucket(x[0])|bucket(x[1])*Buckets)%(Buckets*Buckets)]++
	}
}
