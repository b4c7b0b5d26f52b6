package engine

import (
	"encoding/hex"
	"sync"

	"github.com/zeebo/blake3"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/fp8"
)

// slab is a pair of buffers: what was read and what is to be written.
type slab struct{ in, out []byte }

// chunk is a part of a job on its way through a slab.
type chunk struct {
	job  *job
	k    int
	span span
	slab *slab
	in   []byte    // slab.in up to what was read
	out  []byte    // what is to be written: slab.out, or slab.in when nothing changes
	grid *fp8.Grid // Dequantize, Requantize: the scales of these rows
}

// job makes one output tensor, and the scale that belongs to it.
type job struct {
	shard  *shard
	tensor *plan.Tensor
	index  int   // in the plan
	offset int64 // in the output file
	geo    geometry

	scale       *plan.Tensor // the ScaleOf tensor, or nil
	scaleOffset int64
	tiles       []fp8.TileStats // of the whole tensor, by tile index
	channels    []float32       // what weighs the columns of a weighted search

	mu     sync.Mutex
	hash   *blake3.Hasher // fed in the order of the output's bytes
	parked map[int]*chunk // done, but not yet their turn
	next   int            // the chunk that the hash waits for
	busy   bool           // a worker is feeding the hash
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
		j.hash.Write(c.out)
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

// quality turns the tiles' statistics into what the manifest says of a tensor.
func (j *job) quality() *manifest.Error {
	var s fp8.Stats
	for _, t := range j.tiles {
		s.Add(t)
	}
	e := &manifest.Error{
		Relative: s.RelativeError(), Max: s.MaxErr,
		Saturated: s.Saturated, Subnormal: s.Subnormal, Zero: s.Zero, ZeroTiles: s.ZeroTiles,
	}
	if db, exact := s.SQNR(); !exact {
		e.SQNR = &db
	}
	return e
}
