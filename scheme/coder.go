package scheme

import (
	"errors"

	"quern/fp8"
	"quern/group"
)

// Coder codes one matrix, part by part. Its methods may be called from many goroutines
// at once, and parts come in any order, each once.
type Coder interface {
	// Code writes the bytes of a part: out[k] those of output k, packed without gaps,
	// as long as [Output.Size] says. m has the part's weights. The error is
	// ErrNonFinite where a weight is NaN or infinite.
	Code(out [][]byte, p Part, m fp8.Matrix) error
	// Whole returns the bytes of output k, which belongs to the whole matrix.
	Whole(k int) []byte
	// Stats are the statistics of all parts. The sums do not depend on how the matrix
	// was cut. It is called once, behind all parts.
	Stats() Stats
}

// ErrNonFinite says that a weight is NaN or infinite, or an F64 weight beyond float32.
// Only the caller can name the tensor.
var ErrNonFinite = errors.New("a weight is NaN or infinite")

// Stats are the statistics of a coding, in units of the weights. Tiles are what has a
// scale of its own.
type Stats = group.Stats

// Job is what a coding begins with.
type Job struct {
	Params
	Rows, Cols int64

	// Amax, for schemes with Survey, is the largest magnitude of the matrix and of all
	// that share a scale with it.
	Amax float32
	// Channels, for SearchWeighted, are the mean squares of the input channels.
	Channels []float32
	// Worst, of a search, has it lose as much as it ever may: group.Search.
	Worst bool
	// Tiles quantizes by tiles of 128×128, as a device does; nil: fp8.Quantize.
	Tiles func(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) error
}

// Amax is the largest magnitude of m, for Job.Amax; finite is false where a weight is
// NaN or infinite.
func Amax(m fp8.Matrix) (amax float32, finite bool) { return group.Amax(m) }
