package fp8

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu"
	"quern/internal/cpu/cputest"
)

// fastPaths returns the names of all paths but the reference.
func fastPaths() (names []string) {
	for _, p := range paths() {
		if p.name != "generic" {
			names = append(names, p.name)
		}
	}
	return names
}

var (
	allElems   = []Elem{ElemBF16, ElemF16, ElemF32, ElemF64}
	allOptions = []Options{
		{ScaleFormat: ScaleFloat, Search: SearchNone},
		{ScaleFormat: ScaleUE8M0, Search: SearchNone},
		{ScaleFormat: ScaleFloat, Search: SearchMSE},
		{ScaleFormat: ScaleUE8M0, Search: SearchMSE},
		{ScaleFormat: ScaleFloat, Search: SearchWeighted}, // with channelWeights where a test gives none
		{ScaleFormat: ScaleUE8M0, Search: SearchWeighted},
	}
)

// channelWeights are mean squares as activations have them: some channels far above
// the others, some that nothing reached.
func channelWeights(cols int) []float32 {
	r := rand.New(rand.NewPCG(14, uint64(cols)))
	w := make([]float32, cols)
	for c := range w {
		switch r.IntN(20) {
		case 0:
			w[c] = 0
		case 1:
			w[c] = 1000 * r.Float32()
		default:
			w[c] = float32(math.Exp(r.NormFloat64()))
		}
	}
	return w
}

// store writes x, rounded to e, as element i of data.
func store(data []byte, e Elem, i int, x float64) {
	switch e {
	case ElemBF16:
		binary.LittleEndian.PutUint16(data[2*i:], BF16FromFloat32(float32(x)))
	case ElemF16:
		binary.LittleEndian.PutUint16(data[2*i:], f16FromFloat64(x))
	case ElemF32:
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(x)))
	case ElemF64:
		binary.LittleEndian.PutUint64(data[8*i:], math.Float64bits(x))
	}
}

// f16FromFloat64 rounds towards zero and saturates, which is good enough for test
// data.
func f16FromFloat64(x float64) uint16 {
	sign := uint16(math.Float64bits(x) >> 48 & 0x8000)
	x = min(math.Abs(x), 65504)
	if x < 0x1p-14 {
		return sign | uint16(x*0x1p24)
	}
	b := math.Float64bits(x)
	return sign | uint16(b>>42-(1023-15)<<10)
}

// source makes rows×cols elements from f, stride apart; the elements between the
// rows are NaN, which no kernel may see.
func source(e Elem, rows, cols, stride int, f func(i int) float64) Matrix {
	n := 0
	if rows > 0 {
		n = (rows-1)*stride + cols
	}
	data := bytes.Repeat([]byte{0xff}, n*e.Size())
	for r := range rows {
		for c := range cols {
			store(data, e, r*stride+c, f(r*cols+c))
		}
	}
	return Matrix{Data: data, Elem: e, Rows: rows, Cols: cols, Stride: stride}
}

const canary = 0xa5

// guarded returns n bytes at the given offset in an allocation,
// and a check that nothing around them was written.
func guarded(t testing.TB, n, offset int) (buf []byte, check func()) {
	t.Helper()
	const guard = 256
	all := bytes.Repeat([]byte{canary}, n+offset+2*guard)
	at := guard + offset
	return all[at : at+n : at+n], func() {
		t.Helper()
		for i, b := range all {
			if (i < at || i >= at+n) && b != canary {
				t.Fatalf("byte %d of %d was overwritten", i-at, n)
			}
		}
	}
}

// quantized is everything that Quantize returns.
type quantized struct {
	codes []byte
	tiles []TileStats
}

func quantize(t testing.TB, m Matrix, codeStride, offset int, o Options) quantized {
	t.Helper()
	n := 0
	if m.Rows > 0 && m.Cols > 0 {
		n = (m.Rows-1)*codeStride + m.Cols
	}
	codes, check := guarded(t, n, offset)
	for i := range codes {
		codes[i] = canary
	}
	tiles := make([]TileStats, tilesOf(m.Rows)*tilesOf(m.Cols))
	if o.Search == SearchWeighted && o.Weights == nil {
		o.Weights = channelWeights(m.Cols)
	}
	if err := Quantize(codes, codeStride, tiles, m, o); err != nil {
		t.Fatal(err)
	}
	check()
	for i := range codes {
		if i%codeStride >= m.Cols && codes[i] != canary {
			t.Fatalf("byte %d beyond the columns was overwritten", i)
		}
	}
	return quantized{codes, tiles}
}

// same fails unless got equals want bit for bit.
func same(t testing.TB, what string, got, want quantized, codeStride int) {
	t.Helper()
	for i, w := range want.tiles {
		g := got.tiles[i]
		if w.NonFinite && g.NonFinite {
			continue
		}
		if g != w {
			t.Fatalf("%s: tile %d\n got %+v\nwant %+v", what, i, g, w)
		}
	}
	for i := range want.tiles {
		if want.tiles[i].NonFinite {
			return
		}
	}
	for i, w := range want.codes {
		if g := got.codes[i]; g != w {
			t.Fatalf("%s: row %d, column %d: code %#02x, want %#02x", what, i/codeStride, i%codeStride, g, w)
		}
	}
}

// comparePaths quantizes m on all paths.
func comparePaths(t testing.TB, what string, m Matrix, codeStride, offset int, o Options) quantized {
	t.Helper()
	cputest.Use(t, "generic")
	want := quantize(t, m, codeStride, offset, o)
	for _, name := range fastPaths() {
		if err := cpu.Set(name); err != nil {
			t.Fatal(err)
		}
		got := quantize(t, m, codeStride, offset, o)
		same(t, fmt.Sprintf("%s: %v, scales %d, search %d, path %s", what, m.Elem, o.ScaleFormat, o.Search, name), got, want, codeStride)
	}
	return want
}

// distribution is a kind of weights: f makes the one of index i.
type distribution struct {
	name string
	f    func(r *rand.Rand, i int) float64
}

// distributions are the weights that the paths are compared on; scale times 1 is a
// usual weight.
var distributions = []distribution{
	{"normal", func(r *rand.Rand, _ int) float64 { return r.NormFloat64() * 0.02 }},
	{"uniform", func(r *rand.Rand, _ int) float64 { return r.Float64() - 0.5 }},
	{"outliers", func(r *rand.Rand, i int) float64 {
		x := r.NormFloat64()
		if r.IntN(1000) == 0 {
			x *= 1e4
		}
		return x
	}},
	{"logarithmic", func(r *rand.Rand, _ int) float64 {
		return math.Ldexp(r.Float64()+1, -r.IntN(40)) * float64(1-2*r.IntN(2))
	}},
	{"all binades", func(r *rand.Rand, _ int) float64 {
		return math.Ldexp(r.Float64()+1, r.IntN(250)-148) * float64(1-2*r.IntN(2))
	}},
	{"tiny 2^-60", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -60) }},
	{"tiny 2^-100", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -100) }},
	{"tiny 2^-120", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -120) }},
	{"tiny 2^-130", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -130) }},
	{"tiny 2^-145", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -145) }},
	// The edges of what the kernels without a division take.
	{"at 2^-100", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.Float64()+1, -r.IntN(10)-90) }},
	{"around 2^-100", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.Float64()+1, -r.IntN(20)-90) }},
	{"110 binades", func(r *rand.Rand, i int) float64 {
		return math.Ldexp(r.Float64()-0.5, 100-[]int{0, 101, 105, 107, 108, 109}[r.IntN(1+i%6)])
	}},
	{"huge", func(r *rand.Rand, _ int) float64 { return (r.Float64()*2 - 1) * 3.3e38 }},
	{"huge and tiny", func(r *rand.Rand, i int) float64 {
		return math.Ldexp((r.Float64()*2-1)*3.3e38, -r.IntN(2)*r.IntN(270))
	}},
	{"sparse", func(r *rand.Rand, _ int) float64 {
		if r.IntN(4) > 0 {
			return math.Copysign(0, float64(r.IntN(2))-0.5)
		}
		return r.NormFloat64()
	}},
	{"zero", func(r *rand.Rand, _ int) float64 { return math.Copysign(0, float64(r.IntN(2))-0.5) }},
	{"midpoints", func(r *rand.Rand, i int) float64 { // ties of E4M3 at s = 1
		if i == 0 {
			return 448
		}
		c := uint8(r.IntN(0x7e))
		return float64(E4M3ToFloat32(c)+E4M3ToFloat32(c+1)) / 2
	}},
}

func TestPathsDistributions(t *testing.T) {
	const rows, cols = 130, 257
	for _, d := range distributions {
		for _, e := range allElems {
			r := rand.New(rand.NewPCG(1, uint64(e)))
			m := source(e, rows, cols, cols, func(i int) float64 { return d.f(r, i) })
			for _, o := range allOptions {
				comparePaths(t, d.name, m, cols, 0, o)
			}
		}
	}
}

// Every BF16 pattern, in tiles whose scale the first weight sets.
func TestPathsAllBF16(t *testing.T) {
	for _, amax := range []float32{448, 449, 1, 0.0123 * 448, 3.7e-5, 1e30, 1e-30, 0x1p-100, 0x1p-125, 3e38} {
		var data []byte
		put := func(p uint16) { data = binary.LittleEndian.AppendUint16(data, p) }
		top := uint16(math.Float32bits(amax) >> 16)
		n := 0
		for p := range uint16(1 << 15) {
			if p > top {
				break
			}
			if n%(Tile*Tile) == 0 {
				put(top)
				n++
			}
			put(p)
			put(p | 0x8000)
			n += 2
		}
		for ; n%Tile != 0; n++ {
			put(0)
		}
		m := Matrix{Data: data, Elem: ElemBF16, Rows: n / Tile, Cols: Tile, Stride: Tile}
		for _, o := range allOptions {
			comparePaths(t, fmt.Sprint("amax ", amax), m, Tile, 0, o)
		}
	}
}

// At s = 1 the kernels are the plain conversion, which PyTorch's table pins down.
func TestPathsGoldenTable(t *testing.T) {
	want := golden(t, "bf16_to_e4m3.bin.gz")
	for _, p := range paths() {
		cputest.Use(t, p.name)
		// Blocks of one tile: the weight 448 and 16383 patterns up to it.
		for start := 0; start <= 0x43e0; start += Tile*Tile/2 - 1 {
			data := make([]byte, 2*Tile*Tile)
			pat := func(i int) uint16 {
				i--
				p := uint16(min(start+i/2, 0x43e0))
				return p | uint16(i&1)<<15
			}
			binary.LittleEndian.PutUint16(data, 0x43e0)
			for i := 1; i < Tile*Tile; i++ {
				binary.LittleEndian.PutUint16(data[2*i:], pat(i))
			}
			m := Matrix{Data: data, Elem: ElemBF16, Rows: Tile, Cols: Tile, Stride: Tile}
			q := quantize(t, m, Tile, 0, Options{})
			if q.tiles[0].Scale != 1 {
				t.Fatalf("scale %v", q.tiles[0].Scale)
			}
			for i := 1; i < Tile*Tile; i++ {
				if q.codes[i] != want[pat(i)] {
					t.Fatalf("path %s: BF16 %#04x gives %#02x, want %#02x", p.name, pat(i), q.codes[i], want[pat(i)])
				}
			}
		}
	}
}

func TestPathsShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	sizes := []int{1, 2, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 300}
	for _, rows := range sizes {
		for _, cols := range sizes {
			if (rows+cols)%3 != 0 && rows != 128 && cols != 128 {
				continue
			}
			e := allElems[r.IntN(len(allElems))]
			stride := cols + r.IntN(3)*r.IntN(70)
			codeStride := cols + r.IntN(3)*r.IntN(70)
			m := source(e, rows, cols, stride, func(int) float64 { return r.NormFloat64() })
			o := allOptions[r.IntN(len(allOptions))]
			comparePaths(t, fmt.Sprintf("%d×%d", rows, cols), m, codeStride, r.IntN(64), o)
		}
	}
}

func TestPathsAlignment(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for offset := range 64 {
		for _, e := range []Elem{ElemBF16, ElemF32} {
			m := source(e, Tile, Tile, Tile, func(int) float64 { return r.NormFloat64() })
			shifted := make([]byte, len(m.Data)+offset)
			copy(shifted[offset:], m.Data)
			m.Data = shifted[offset:]
			comparePaths(t, fmt.Sprint("offset ", offset), m, Tile, offset, Options{})
			search := []Search{SearchMSE, SearchWeighted}[offset%2]
			comparePaths(t, fmt.Sprint("offset ", offset), m, Tile, 63-offset, Options{Search: search})
		}
	}
}

func TestPathsNonFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	for _, e := range allElems {
		bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1)}
		if e == ElemF16 {
			bad = nil // f16FromFloat64 saturates
		}
		if e == ElemF64 {
			bad = append(bad, 3.5e38, -1e300)
		}
		for _, x := range bad {
			at := r.IntN(200 * 200)
			m := source(e, 200, 200, 200, func(i int) float64 {
				if i == at {
					return x
				}
				return r.NormFloat64()
			})
			for _, p := range paths() {
				cputest.Use(t, p.name)
				for _, o := range allOptions {
					q := quantize(t, m, 200, 0, o)
					tile := at / 200 / Tile * 2
					if at%200 >= Tile {
						tile++
					}
					for i, s := range q.tiles {
						if s.NonFinite != (i == tile) {
							t.Fatalf("path %s: %v: %v at %d: tile %d: NonFinite %v", p.name, e, x, at, i, s.NonFinite)
						}
					}
				}
			}
		}
	}
	m := source(ElemF16, 130, 130, 130, func(int) float64 { return 1 })
	binary.LittleEndian.PutUint16(m.Data[2*77:], 0x7c00)
	for _, p := range paths() {
		cputest.Use(t, p.name)
		if q := quantize(t, m, 130, 0, Options{}); !q.tiles[0].NonFinite || q.tiles[1].NonFinite {
			t.Fatalf("path %s: %+v", p.name, q.tiles)
		}
	}
}
