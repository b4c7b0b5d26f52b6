package engine

import (
	"encoding/hex"
	"sync"

	"github.com/zeebo/blake3"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/blockio"
	"quern/scheme"
)

// slab is a pair of buffers: what was read and what is to be written.
type slab struct{ in, out []byte }

// newSlab makes a slab that holds size bytes wherever they lie in a file (blockio.Fit).
func newSlab(size int) *slab {
	size += blockio.Slack()
	return &slab{in: blockio.Buffer(size), out: blockio.Buffer(size)}
}

// chunk is a part of a job on its way through a slab.
type chunk struct {
	job  *job
	k    int
	span span
	slab *slab
	in   []byte    // slab.in up to what was read of the source
	more [][]byte  // what was read of the scales of codes that have no grid
	outs [][]byte  // what is to be written of each output: in slab.out, or slab.in when nothing changes
	grid *fp8.Grid // codes with a grid: the scales of these rows
}

// output is a tensor that a job makes.
type output struct {
	tensor *plan.Tensor
	offset int64         // in the output file
	layout scheme.Output // of matrix operations
	hash   *blake3.Hasher
}

// job makes one output tensor, and the scales that belong to it.
type job struct {
	shard  *shard
	tensor *plan.Tensor
	index  int // in the plan
	geo    geometry
	outs   []output        // codes first
	coder  scheme.Coder    // of what is quantized, while it is under way
	cast   *scheme.Casting // of what is recast
	survey *inquiry        // set instead of outs: only the largest magnitude is wanted
	held   *held           // what a survey keeps, or has kept

	mu     sync.Mutex
	parked map[int]*chunk // done, but not yet their turn
	next   int            // the chunk that the hashes wait for
	busy   bool           // a worker is feeding the hashes
	left   int            // chunks that are not done
}

// deliver hands over a chunk that has been written. Chunks are hashed in their
// order: whoever brings the next one also hashes those that wait behind it, and
// gives all their slabs back through release. It reports whether the job is
// complete. Waiting chunks hold their slabs, but never more than there are: the
// reader fills slabs in order, so the chunk that all wait for has one too.
func (j *job) deliver(c *chunk, release func(*slab)) (complete bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.geo.wide() {
		release(c.slab)
	} else {
		j.parked[c.k] = c
	}
	for !j.busy {
		c := j.parked[j.next]
		if c == nil {
			break
		}
		delete(j.parked, j.next)
		j.busy = true
		j.mu.Unlock()
		for n, p := range c.outs {
			j.outs[n].hash.Write(p)
		}
		release(c.slab)
		j.mu.Lock()
		j.busy = false
		j.next++
		j.left--
		if j.left == 0 {
			return true
		}
	}
	if j.geo.wide() {
		j.left--
		return j.left == 0
	}
	return false
}

// sum is the digest of what the hash was fed.
func sum(h *blake3.Hasher) string { return hex.EncodeToString(h.Sum(nil)) }

// quality turns a coding's statistics into what the manifest says of a tensor.
func quality(s scheme.Stats) *manifest.Error {
	e := &manifest.Error{
		Relative: s.RelativeError(), Max: s.MaxErr,
		Saturated: s.Saturated, Subnormal: s.Subnormal, Zero: s.Zero, ZeroTiles: s.ZeroTiles, LowGroups: s.LowGroups,
	}
	if db, exact := s.SQNR(); !exact {
		e.SQNR = &db
	}
	return e
}
