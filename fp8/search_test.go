package fp8

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/internal/cpu/cputest"
)

// tileOf returns tile i, j of m as rows of float32.
func tileOf(m Matrix, i, j int) (rows [][]float32) {
	for r := i * Tile; r < min(i*Tile+Tile, m.Rows); r++ {
		row := make([]float32, min(Tile, m.Cols-j*Tile))
		m.Elem.decode(row, m.Data[(r*m.Stride+j*Tile)*m.Elem.Size():])
		rows = append(rows, row)
	}
	return rows
}

// costTwin is Σ(y−q)²·u as the package comment defines it, and the same in float64.
func costTwin(rows [][]float32, s float32, u []float32) (sum float32, wide float64) {
	for _, row := range rows {
		var lanes []float32
		for lane := range 16 {
			var l float32
			for c := lane; c < len(row); c += 16 {
				y := row[c] / s
				e := y - E4M3ToFloat32(E4M3FromFloat32(y))
				p := float32(e * e)
				l += float32(p * u[c])
				wide += float64(e) * float64(e) * float64(u[c])
			}
			lanes = append(lanes, l)
		}
		for n := 8; n > 0; n /= 2 {
			for i := range n {
				lanes[i] += lanes[i+n]
			}
		}
		sum += lanes[0]
	}
	return sum, wide
}

// choice is what a search finds.
type choice struct{ scale, cost, absmaxCost float32 }

// searchTwin tries all candidates, with constants computed here. weights are those
// of the tile's columns, or nil.
func searchTwin(rows [][]float32, f ScaleFormat, weights []float32) (best choice) {
	u := make([]float32, Tile)
	for c := range u {
		u[c] = 1
		if weights != nil && slices.Max(weights) > 0 && c < len(weights) {
			u[c] = weights[c] / slices.Max(weights)
			if u[c] < float32(math.Exp2(-24)) {
				u[c] = float32(math.Exp2(-24))
			}
		}
	}
	var amax float32
	for _, row := range rows {
		for _, w := range row {
			amax = max(amax, abs(w))
		}
	}
	ks := []int{0, -1, 1, -2, 2, -3, 3, -4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	if f == ScaleUE8M0 {
		ks = []int{0, -16, 16}
	}
	absmax := scaleOf(amax, f)
	best.cost = float32(math.Inf(1))
	for _, k := range ks {
		s := absmax * float32(math.Exp2(float64(k)/16))
		if s < 0x1p-126 {
			continue
		}
		sum, _ := costTwin(rows, s, u)
		c := float32(math.Exp2(float64(k)/8)) * sum
		if k == 0 {
			best.absmaxCost = c
		}
		if c < best.cost {
			best.scale, best.cost = s, c
		}
		if amax == 0 {
			break
		}
	}
	return best
}

// weightings are the kinds of weights that the weighted search is compared on.
var weightings = []struct {
	name string
	f    func(r *rand.Rand, c int) float64
}{
	{"channels", nil}, // channelWeights
	{"equal", func(*rand.Rand, int) float64 { return 0.37 }},
	{"no activation", func(*rand.Rand, int) float64 { return 0 }},
	{"one channel", func(_ *rand.Rand, c int) float64 { return float64(c % Tile / (Tile - 1)) }},
	{"half unseen", func(r *rand.Rand, _ int) float64 { return r.Float64() * float64(r.IntN(2)) }},
	{"all binades", func(r *rand.Rand, _ int) float64 { return math.Ldexp(1+r.Float64(), r.IntN(276)-149) }},
	{"subnormal", func(r *rand.Rand, _ int) float64 { return math.Ldexp(float64(r.IntN(50)), -149) }},
	{"huge", func(r *rand.Rand, _ int) float64 { return (1 - r.Float64()/2) * math.MaxFloat32 }},
	{"minus zero", func(r *rand.Rand, c int) float64 { return math.Copysign(float64(c%2), float64(c%2)-0.5) }},
}

func weighting(i, cols int) []float32 {
	f := weightings[i].f
	if f == nil {
		return channelWeights(cols)
	}
	r := rand.New(rand.NewPCG(15, uint64(i)))
	w := make([]float32, cols)
	for c := range w {
		w[c] = float32(f(r, c))
	}
	return w
}

// Every path against the twin: choices, and that they are never worse than absmax.
func TestSearch(t *testing.T) {
	const rows, cols = 40, 128 + 57
	better := map[Search]int{}
	for i, d := range distributions {
		for _, e := range []Elem{ElemBF16, ElemF32} {
			r := rand.New(rand.NewPCG(10, uint64(e)))
			m := source(e, rows, cols, cols, func(i int) float64 { return d.f(r, i) })
			kind := i % len(weightings)
			weights := weighting(kind, cols)
			for _, o := range allOptions {
				var want []choice
				for j := range 2 {
					var w []float32
					if o.Search == SearchWeighted {
						w = weights[j*Tile : min(j*Tile+Tile, cols)]
					}
					c := searchTwin(tileOf(m, 0, j), o.ScaleFormat, w)
					if c.cost > c.absmaxCost {
						t.Fatalf("%s: %+v", d.name, c)
					}
					if c.cost < c.absmaxCost {
						better[o.Search]++
					}
					want = append(want, c)
				}
				if o.Search == SearchNone {
					continue
				}
				o.Weights = weights
				for _, p := range paths() {
					cputest.Use(t, p.name)
					q := quantize(t, m, cols, 0, o)
					for j, s := range q.tiles {
						if s.Scale != want[j].scale {
							t.Fatalf("%s, %v, path %s, scales %d, search %d, weights %s: tile %d has scale %v, want %v",
								d.name, e, p.name, o.ScaleFormat, o.Search, weightings[kind].name, j, s.Scale, want[j].scale)
						}
					}
				}
			}
		}
	}
	if better[SearchMSE] < 20 || better[SearchWeighted] < 20 {
		t.Errorf("the searches found better scales in %v cases only", better)
	}
}

// All kinds of weights, on tiles of a usual shape.
func TestSearchWeights(t *testing.T) {
	const rows, cols = 150, 150
	different := 0
	for _, e := range []Elem{ElemBF16, ElemF32} {
		r := rand.New(rand.NewPCG(16, uint64(e)))
		m := source(e, rows, cols, cols, func(int) float64 { return r.NormFloat64() * 0.02 })
		for _, f := range []ScaleFormat{ScaleFloat, ScaleUE8M0} {
			plain := quantize(t, m, cols, 0, Options{ScaleFormat: f, Search: SearchMSE})
			for i, kind := range weightings {
				o := Options{ScaleFormat: f, Search: SearchWeighted, Weights: weighting(i, cols)}
				q := comparePaths(t, kind.name, m, cols, 0, o)
				for j, s := range q.tiles {
					block := o.Weights[j%2*Tile:][:min(Tile, cols-j%2*Tile)]
					if want := searchTwin(tileOf(m, j/2, j%2), f, block).scale; s.Scale != want {
						t.Fatalf("%v, weights %s, scales %d: tile %d has scale %v, want %v", e, kind.name, f, j, s.Scale, want)
					}
					if s != plain.tiles[j] {
						different++
					}
				}
				if kind.name == "equal" || kind.name == "no activation" {
					same(t, kind.name, q, plain, cols)
				}
			}
		}
	}
	if different < 20 {
		t.Errorf("weights changed the scales of %d tiles only", different)
	}
}

// Without weights the weighted search is the plain one; the unit of the weights
// and cutting the matrix at a multiple of 128 change nothing.
func TestSearchWeightsInvariance(t *testing.T) {
	const rows, cols = 64, 2*Tile + 77
	r := rand.New(rand.NewPCG(17, 17))
	m := source(ElemBF16, rows, cols, cols, func(int) float64 { return r.NormFloat64() })
	weights := channelWeights(cols)
	want := quantize(t, m, cols, 0, Options{Search: SearchWeighted, Weights: weights})
	for _, unit := range []float32{0x1p-100, 0x1p100} {
		w := slices.Clone(weights)
		for c := range w {
			w[c] *= unit
		}
		same(t, "another unit", quantize(t, m, cols, 0, Options{Search: SearchWeighted, Weights: w}), want, cols)
	}
	part := Matrix{Data: m.Data[2*Tile:], Elem: m.Elem, Rows: rows, Cols: cols - Tile, Stride: cols}
	q := quantize(t, part, cols, 0, Options{Search: SearchWeighted, Weights: weights[Tile:]})
	if !slices.Equal(q.tiles, want.tiles[1:]) {
		t.Errorf("cut: %+v, want %+v", q.tiles, want.tiles[1:])
	}
	plain := quantize(t, m, cols, 0, Options{Search: SearchMSE})
	same(t, "no weights", quantize(t, m, cols, 0, Options{Search: SearchWeighted, Weights: []float32{}}), plain, cols)
}

// The twin's float32 sums are what arithmetic in float64 gives, nearly, so the
// choice is what it claims to be: the scale of the least error.
func TestSearchTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(18, 18))
	m := source(ElemF32, Tile, Tile, Tile, func(int) float64 { return r.NormFloat64() })
	u := make([]float32, Tile)
	NormalizeWeights(u, channelWeights(Tile))
	for _, s := range []float32{0.005, 0.009, 0.01, 0.02} {
		if sum, wide := costTwin(tileOf(m, 0, 0), s, u); math.Abs(float64(sum)-wide) > 142*0x1p-24*wide {
			t.Errorf("scale %v: %v, in float64 %v", s, sum, wide)
		}
	}
}

// What the searches gain on tiles of Gaussian weights, in dB over absmax: mse of the
// plain error, about 0.1, weighted of the weighted one.
func TestSearchGain(t *testing.T) {
	const size = 8 * Tile
	r := rand.New(rand.NewPCG(19, 19))
	m := source(ElemBF16, size, size, size, func(int) float64 { return r.NormFloat64() * 0.02 })
	weights := make([]float32, size)
	for c := range weights {
		weights[c] = float32(math.Exp(2 * r.NormFloat64()))
	}
	measure := func(search Search) (plain, weighted float64) {
		q := quantize(t, m, size, 0, Options{Search: search, Weights: weights})
		var power, noise, weightedPower, weightedNoise float64
		for i, c := range q.codes {
			w := float64(BF16ToFloat32(binary.LittleEndian.Uint16(m.Data[2*i:])))
			e := w - float64(E4M3ToFloat32(c))*float64(q.tiles[i/size/Tile*8+i%size/Tile].Scale)
			u := float64(weights[i%size])
			power, noise = power+w*w, noise+e*e
			weightedPower, weightedNoise = weightedPower+w*w*u, weightedNoise+e*e*u
		}
		return 10 * math.Log10(power/noise), 10 * math.Log10(weightedPower/weightedNoise)
	}
	plain, weighted := measure(SearchNone)
	mse, mseWeighted := measure(SearchMSE)
	_, best := measure(SearchWeighted)
	if gain := mse - plain; gain < 0.08 || gain > 0.15 {
		t.Errorf("mse gains %.3f dB over %.3f", gain, plain)
	}
	if gain := best - weighted; gain < 0.2 || best <= mseWeighted {
		t.Errorf("weighted gains %.3f dB over %.3f of absmax and %.3f of mse", gain, weighted, mseWeighted)
	}
}

func TestNormalizeWeights(t *testing.T) {
	w := make([]float32, 2*Tile+3)
	w[0], w[1], w[2], w[3] = 3, 1, 0x1p-30, 4
	w[2*Tile], w[2*Tile+1] = 0x1p-149, 0x3p-149
	NormalizeWeights(w, w) // in place
	want := map[int]float32{0: 0.75, 1: 0.25, 2: 0x1p-24, 3: 1, 2 * Tile: 1. / 3, 2*Tile + 1: 1}
	for c, got := range w {
		u, ok := want[c]
		if !ok {
			u = 0x1p-24
			if c >= Tile && c < 2*Tile {
				u = 1
			}
		}
		if got != u {
			t.Errorf("column %d: %v, want %v", c, got, u)
		}
	}
}

func TestCandidates(t *testing.T) {
	for i, k := range []int{0, -1, 1, -2, 2, -3, 3, -4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} {
		c := floatCandidates[i]
		if c.scale != float32(math.Exp2(float64(k)/16)) || c.cost != float32(math.Exp2(float64(k)/8)) {
			t.Errorf("candidate %d: %+v is not k = %d", i, c, k)
		}
	}
}
