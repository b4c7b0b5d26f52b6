package fp8

import "math"

// TileStats is what quantizing one tile reports: its scale, and enough to rebuild
// every statistic. y = w/s and q is the value of the code, so nothing overflows;
// sums over tiles need the factor s², which [Stats.Add] applies.
type TileStats struct {
	Scale float32 // the multiplier s

	SumSq  float32 // Σy², in the order that the package comment fixes
	SumErr float32 // Σ(y−q)², in the same order
	MaxErr float32 // max |y−q|

	Saturated uint32 // weights with |y| > 464, which would round beyond 448
	Subnormal uint32 // codes ±1 … ±7
	Zero      uint32 // codes ±0 from a weight that is not 0

	ZeroTile bool // all weights are ±0; s is 1 then
	// NonFinite says that a weight is NaN or infinite, or an F64 weight beyond
	// float32. All other fields and the codes of the tile are unspecified then.
	NonFinite bool
}

// Stats are the statistics of many tiles, in units of the weights. The zero value
// is empty. Tiles must be added in index order for reproducible sums.
type Stats struct {
	SumSq  float64 // Σw², up to rounding
	SumErr float64 // Σ(w−q·s)²
	MaxErr float64 // max |w−q·s|

	Saturated int64 // as in TileStats
	Subnormal int64
	Zero      int64
	ZeroTiles int64 // all-zero tiles
	Tiles     int64 // all tiles
}

// Add adds the next tile.
func (s *Stats) Add(t TileStats) {
	f := float64(t.Scale)
	// The conversions forbid fused multiply-adds, on which architectures differ.
	s.SumSq += float64(float64(t.SumSq) * float64(f*f))
	s.SumErr += float64(float64(t.SumErr) * float64(f*f))
	s.MaxErr = max(s.MaxErr, float64(t.MaxErr)*f)
	s.Saturated += int64(t.Saturated)
	s.Subnormal += int64(t.Subnormal)
	s.Zero += int64(t.Zero)
	if t.ZeroTile {
		s.ZeroTiles++
	}
	s.Tiles++
}

// SQNR returns the signal-to-quantization-noise ratio in decibels,
// 10·log₁₀(Σw²/Σ(w−q·s)²). It has no value where nothing was lost: exact is true
// then and dB is 0.
func (s Stats) SQNR() (dB float64, exact bool) {
	if s.SumErr == 0 {
		return 0, true
	}
	return 10 * math.Log10(s.SumSq/s.SumErr), false
}

// RelativeError returns the relative Frobenius error √(Σ(w−q·s)²/Σw²), 0 where
// nothing was lost.
func (s Stats) RelativeError() float64 {
	if s.SumErr == 0 {
		return 0
	}
	return math.Sqrt(s.SumErr / s.SumSq)
}
