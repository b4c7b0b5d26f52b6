package engine

import (
	"encoding/hex"
	"sync"
	"sync/atomic"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/blake3"
	"quern/scheme"
	"quern/store"
)

// chunk is a part of a job on its way from the input to the output.
type chunk struct {
	job   *job
	k     int
	span  span
	slab  []byte        // of the engine's ins, while there is need for it
	near  store.Object  // set where nothing was read, for it is in memory: see nearby.go
	room  []byte        // of the engine's outs, the same
	ready chan struct{} // closed when it has been read
	uses  atomic.Int32  // of outs that are yet to come: hashing, writing

	in   []byte    // what was read of the source
	more [][]byte  // what was read of the scales of codes that have no grid
	outs [][]byte  // what is to be written of each output: in room, or in itself when nothing changes
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
	left   int            // chunks that are not written, and those that are not hashed
}

// expect counts what is to be done of a job before it is complete.
func (j *job) expect() {
	j.left = j.geo.chunks
	if j.hashed() {
		j.left *= 2
	}
}

// hashed reports whether chunks are hashed as they come; if not, their output is when all
// of it is there.
func (j *job) hashed() bool { return !j.geo.wide() }

// claim gives whoever works on a chunk the hashes, where they wait for it.
func (j *job) claim(c *chunk) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.hashed() || j.busy || j.next != c.k {
		return false
	}
	j.busy = true
	return true
}

// feed hashes what was made of a chunk, or of a piece of it.
func (j *job) feed(outs [][]byte) {
	for n, p := range outs {
		j.outs[n].hash.Write(p)
	}
}

// done counts a chunk that is written, and reports whether the job is complete.
func (j *job) done() (complete bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.left--
	return j.left == 0
}

// deliver hands over a chunk for its digest, which claimed says has it already. Chunks
// are hashed in their order: whoever brings the next one also hashes those that wait
// behind it, and gives them all back through release. It reports whether the job is complete. Waiting chunks hold
// memory, but never all of it: workers take it in the order of the chunks, so the one
// that all wait for has its own.
func (j *job) deliver(c *chunk, claimed bool, release func(*chunk)) (complete bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.parked[c.k] = c
	for claimed || !j.busy {
		c := j.parked[j.next]
		if c == nil {
			break
		}
		delete(j.parked, j.next)
		j.busy = true
		j.mu.Unlock()
		if !claimed {
			j.feed(c.outs)
		}
		claimed = false
		release(c)
		j.mu.Lock()
		j.busy = false
		j.next++
		j.left--
		if j.left == 0 {
			return true
		}
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
