package fp8

import "math"

// candidate is a scale that a search tries: absmax·2^(k/16).
type candidate struct {
	scale float32 // C_k = 2^(k/16), by which the scale is multiplied
	cost  float32 // D_k = 2^(k/8), which brings Σ(y−q)² of different scales to one unit
}

// The candidates in the order in which they are tried, which is also the order of
// preference among equal costs: absmax, then rising |k|. Literals, because
// math.Exp2 need not round alike on every architecture.
var (
	floatCandidates = [...]candidate{
		{1, 1}, // k = 0
		{0.95760328069857364694, 0.91700404320467123174}, // -1
		{1.04427378242741384032, 1.09050773266525765921}, // 1
		{0.91700404320467123174, 0.84089641525371454303}, // -2
		{1.09050773266525765921, 1.18920711500272106672}, // 2
		{0.87812608018664974156, 0.77110541270397041181}, // -3
		{1.1387886347566916537, 1.29683955465100966593},  // 3
		{0.84089641525371454303, 0.7071067811865475244},  // -4
		{1.18920711500272106672, 1.4142135623730950488},  // 4
		{1.24185781207348404859, 1.54221082540794082361}, // 5
		{1.29683955465100966593, 1.68179283050742908606}, // 6
		{1.3542555469368927283, 1.83400808640934246349},  // 7
		{1.4142135623730950488, 2},                       // 8
		{1.47682614593949931139, 2.18101546533051531841}, // 9
		{1.54221082540794082361, 2.37841423000544213343}, // 10
		{1.61049033194925430818, 2.59367910930201933187}, // 11
		{1.68179283050742908606, 2.8284271247461900976},  // 12
		{1.75625216037329948311, 3.08442165081588164722}, // 13
		{1.83400808640934246349, 3.36358566101485817212}, // 14
		{1.91520656139714729387, 3.66801617281868492697}, // 15
	}
	ue8m0Candidates = [...]candidate{
		{1, 1},      // k = 0
		{0.5, 0.25}, // -16
		{2, 4},      // 16
	}
)

// candidates returns the scales that a search tries.
func candidates(f ScaleFormat) []candidate {
	if f == ScaleUE8M0 {
		return ue8m0Candidates[:]
	}
	return floatCandidates[:]
}

// searchScale returns the candidate around the absmax scale s whose cost
// D_k·Σ(y−q)²·u is strictly smallest in float32, the first one among equals.
// Candidates below the least scale are skipped.
//
// cost(s, factor, least) returns factor·Σ(y−q)²·u for one scale, or anything that
// is not below least once it knows that the result is not. Giving up early is
// exact: all terms are ≥ 0 and rounding is monotone, so a partial sum never exceeds
// the sum, nor their products with D_k each other.
func searchScale(s float32, tried []candidate, cost func(s, factor, least float32) float32) float32 {
	if len(tried) == 1 {
		return s * tried[0].scale
	}
	best, least := s, float32(math.Inf(1))
	for _, c := range tried {
		sk := s * c.scale
		if sk < minScale {
			continue
		}
		if d := cost(sk, c.cost, least); d < least {
			best, least = sk, d
		}
	}
	return best
}
