// Package blake3 computes BLAKE3-256 digests (github.com/BLAKE3-team/BLAKE3-specs),
// by the path of kernels that the machine has.
//
// "avx512" is the tree of this package over one kernel that compresses 16 inputs side
// by side. All else is github.com/zeebo/blake3, which has kernels up to AVX2 and
// chooses among them itself; it is also what the tree is held against in tests.
package blake3

import zeebo "github.com/zeebo/blake3"

// Size is the length of a digest in bytes.
const Size = 32

// A Hasher computes the digest of what is written to it. It belongs to one goroutine
// at a time.
type Hasher struct{ state }

// state is the hasher of one path. Write never returns an error. Sum appends the
// digest of all that was written so far, after which more may be written; Reset forgets
// it.
type state interface {
	Write(p []byte) (int, error)
	Sum(b []byte) []byte
	Reset()
}

// New returns a hasher that has been fed nothing.
func New() *Hasher { return &Hasher{current.Load().state()} }

// Sum256 returns the digest of p.
func Sum256(p []byte) [Size]byte { return current.Load().sum256(p) }

var genericPath = path{
	name:   "generic",
	state:  func() state { return zeebo.New() },
	sum256: zeebo.Sum256,
}
