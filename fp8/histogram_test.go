package fp8

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The bounds of every candidate hold its cost, and pruning leaves the least one. On
// usual tiles it leaves little else, which is what it is for.
func TestHistogram(t *testing.T) {
	ws := getWorkspace()
	defer putWorkspace(ws)
	taken := 0
	// And one where all weights but one lie around the end of the histogram.
	kinds := append(slices.Clone(distributions), distribution{"far below", func(r *rand.Rand, i int) float64 {
		if i == 0 {
			return 1
		}
		return math.Ldexp(1.01+0.98*r.Float64(), -12-r.IntN(4))
	}})
	for i, d := range kinds {
		for seed := range uint64(4) {
			r := rand.New(rand.NewPCG(20, seed))
			rows, cols := 1+r.IntN(Tile), 1+r.IntN(Tile)
			m := source(ElemBF16, rows, cols, cols, func(i int) float64 { return d.f(r, i) })
			tl := tile{src: m.Data, elem: m.Elem, stride: cols, rows: rows, cols: cols}
			if seed > 0 {
				var u [Tile]float32
				NormalizeWeights(u[:], weighting((i+int(seed))%len(weightings), Tile))
				tl.weights = &u
			}
			g := bindGeneric(ws, tl)
			amax, _ := g.amax()
			absmax := scaleOf(amax, ScaleFloat)
			kept := ws.histogram.prune(&tl, amax, absmax, floatCandidates[:])
			if &kept[0] == &floatCandidates[0] {
				continue
			}
			taken++
			least := float32(math.Inf(1))
			var costs [histogramTried]float32
			for j, c := range floatCandidates {
				low, high := ws.histogram.bounds(absmax, c)
				costs[j] = g.cost(absmax*c.scale, c.cost, float32(math.Inf(1)))
				if got := float64(costs[j]); got < low || got > high {
					t.Fatalf("%s: candidate %d costs %v, bounds %v and %v", d.name, j, got, low, high)
				}
				least = min(least, costs[j])
			}
			left := 0
			for j, c := range floatCandidates {
				switch {
				case left < len(kept) && kept[left] == c:
					left++
				case costs[j] == least:
					t.Fatalf("%s: candidate %d costs least and was dropped", d.name, j)
				}
			}
			if left != len(kept) {
				t.Fatalf("%s: kept %v, in another order", d.name, kept)
			}
		}
	}
	if taken < 40 {
		t.Errorf("%d tiles were pruned", taken)
	}

	const size = 4 * Tile
	r := rand.New(rand.NewPCG(21, 21))
	m := source(ElemBF16, size, size, size, func(int) float64 { return r.NormFloat64() * 0.02 })
	left := 0
	for i := range 16 {
		tl := tile{src: m.Data[2*(i/4*Tile*size+i%4*Tile):], elem: m.Elem, stride: size, rows: Tile, cols: Tile}
		amax, _ := bindGeneric(ws, tl).amax()
		left += len(ws.histogram.prune(&tl, amax, scaleOf(amax, ScaleFloat), floatCandidates[:]))
	}
	if left > 32 {
		t.Errorf("%d candidates are left of 16 Gaussian tiles", left)
	}
}
