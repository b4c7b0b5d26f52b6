package group

import (
	"math"

	"quern/fp8"
)

// lanes are partial sums of one row: lane j is the sum over the columns j, j+8,
// j+16, …
type lanes [8]float64

// join adds the lanes up: l[i]+l[i+4], then +2, +1.
func (l *lanes) join() float64 {
	a := [4]float64{l[0] + l[4], l[1] + l[5], l[2] + l[6], l[3] + l[7]}
	return (a[0] + a[2]) + (a[1] + a[3])
}

// Row is what coding one row counts and adds up; the zero value is a row of which
// nothing was coded. A row that is coded in parts, cut between groups and in the
// order of its columns, ends with the same bits as one that is coded at once.
type Row struct {
	// Kernels in assembly know where these lie.
	sq, er    lanes   // Σw², Σ(w−ŵ)²
	maxErr    float32 // max |w−ŵ|
	saturated uint32  // weights that would round beyond the largest code
	subnormal uint32  // codes that are subnormal numbers
	zero      uint32  // codes 0 from weights that are not

	groups     uint32
	zeroGroups uint32 // all weights ±0
	lowGroups  uint32 // amax·28672 < g: NVFP4's block scale is subnormal
	nonFinite  bool
}

// NonFinite says that a weight is NaN or infinite, or that a decoded value would be.
// All else of the row is unspecified then, its codes included.
func (r *Row) NonFinite() bool { return r.nonFinite || !(r.maxErr <= math.MaxFloat32) }

// Stats are the statistics of many rows, in units of the weights. Tiles are groups
// here. The zero value is empty. Rows must be added in index order for reproducible
// sums.
type Stats struct {
	fp8.Stats
	LowGroups int64 // NVFP4: groups that are not 0 and lie more than 28672 times below what the tensor scale reaches
}

// Add adds the next row, which must be finite.
func (s *Stats) Add(r *Row) {
	s.SumSq += r.sq.join()
	s.SumErr += r.er.join()
	s.MaxErr = max(s.MaxErr, float64(r.maxErr))
	s.Saturated += int64(r.saturated)
	s.Subnormal += int64(r.subnormal)
	s.Zero += int64(r.zero)
	s.ZeroTiles += int64(r.zeroGroups)
	s.Tiles += int64(r.groups)
	s.LowGroups += int64(r.lowGroups)
}

// Join adds the sums of the rows that follow.
func (s *Stats) Join(o *Stats) {
	s.SumSq += o.SumSq
	s.SumErr += o.SumErr
	s.MaxErr = max(s.MaxErr, o.MaxErr)
	s.Saturated += o.Saturated
	s.Subnormal += o.Subnormal
	s.Zero += o.Zero
	s.ZeroTiles += o.ZeroTiles
	s.Tiles += o.Tiles
	s.LowGroups += o.LowGroups
}
