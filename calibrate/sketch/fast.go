package sketch

import (
	"math"
	"unsafe"
)

// Fast counts magnitudes faster than a Counter, and has to be moved to one from time
// to time, which costs as much as counting some thousand. Its zero value is empty.
//
// Neighbours go to four tables in turn: a processor stumbles over an increment of
// what it has incremented just before. And they are loaded in pairs.
type Fast struct {
	n    [4][keys]uint32
	used int64 // magnitudes since it was moved
}

// MaxFast is how many magnitudes a Fast takes until it has to be moved.
const MaxFast = math.MaxUint32

// Add counts the magnitudes of x, which are finite. It panics beyond MaxFast.
func (f *Fast) Add(x []float32) {
	if f.used += int64(len(x)); f.used > MaxFast {
		panic("sketch: too many magnitudes")
	}
	n := &f.n
	if whole := len(x) / 4; whole > 0 {
		pairs := unsafe.Slice((*[2]uint64)(unsafe.Pointer(unsafe.SliceData(x))), whole)
		for i := range pairs { // Go's machines load 8 bytes from any address
			a, b := pairs[i][0], pairs[i][1]
			n[0][uint32(a)>>shift&(keys-1)]++
			n[1][a>>(shift+32)&(keys-1)]++
			n[2][uint32(b)>>shift&(keys-1)]++
			n[3][b>>(shift+32)&(keys-1)]++
		}
	}
	for _, v := range x[len(x)/4*4:] {
		n[0][math.Float32bits(v)>>shift&(keys-1)]++
	}
}

// MoveFast adds the counts of f to c and sets those of f to zero.
func (c *Counter) MoveFast(f *Fast) {
	for i := range c.n {
		c.n[i] += uint64(f.n[0][i]) + uint64(f.n[1][i]) + uint64(f.n[2][i]) + uint64(f.n[3][i])
	}
	*f = Fast{}
}
