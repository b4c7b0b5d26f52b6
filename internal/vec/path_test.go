package vec

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

// values are what rows are filled with.
var values = []struct {
	name string
	f    func(r *rand.Rand) float32
}{
	{"normal", func(r *rand.Rand) float32 { return float32(r.NormFloat64()) }},
	{"wide", func(r *rand.Rand) float32 { return float32(r.NormFloat64() * 60) }},
	{"small", func(r *rand.Rand) float32 { return float32(math.Ldexp(r.NormFloat64(), -r.IntN(150))) }},
	{"all binades", func(r *rand.Rand) float32 {
		return math.Float32frombits(uint32(r.IntN(255))<<23 | r.Uint32()&0x807fffff)
	}},
	{"multiples of ln2/2", func(r *rand.Rand) float32 {
		return float32(float64(r.IntN(520)-260)*math.Ln2/2) * (1 + float32(r.IntN(9)-4)*0x1p-23)
	}},
	{"edges", func(r *rand.Rand) float32 {
		x := edges[r.IntN(len(edges))]
		return math.Float32frombits(math.Float32bits(x) + uint32(r.IntN(7)-3))
	}},
	{"some infinite", func(r *rand.Rand) float32 {
		if r.IntN(9) == 0 {
			return float32(math.Inf(-r.IntN(6)))
		}
		return float32(r.NormFloat64())
	}},
	{"any", func(r *rand.Rand) float32 {
		if r.IntN(40) == 0 {
			return specials[r.IntN(len(specials))]
		}
		return float32(r.NormFloat64())
	}},
	{"specials", func(r *rand.Rand) float32 { return specials[r.IntN(len(specials))] }},
	{"zeros", func(r *rand.Rand) float32 { return float32(math.Copysign(0, float64(r.IntN(2))-0.5)) }},
	{"ties", func(r *rand.Rand) float32 { return float32(r.IntN(3)) }},
	{"-Inf", func(r *rand.Rand) float32 { return float32(math.Inf(-1)) }},
}

// edges are where e^x and its relatives begin to overflow or underflow.
var edges = []float32{
	88.722839, 88.376263, 89, -86.989966, -87.336545, -87.5, -88.722839, -103.97208, 1e-38, 448, 464, 0x1p-6,
	16.63553, -16.63553, 0x1p-10, 709.7827, -708.3964, 7, -7,
}

var specials = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
	-math.SmallestNonzeroFloat32, 0x1p-126, -0x1p-126, float32(math.Inf(1)), float32(math.Inf(-1)),
	float32(math.NaN()), math.Float32frombits(0xffffffff), math.Float32frombits(0x7f800001), 100, -100, 1e30, -1e30,
}

// kernels calls everything that has paths. A row(n) is n values in new memory; the
// results are those that paths have to agree on, besides the rows themselves.
var kernels = []struct {
	name string
	run  func(row func(n int) []float32, n int) []float64
}{
	{"Dot", func(row func(int) []float32, n int) []float64 { return one(Dot(row(n), row(n))) }},
	{"SumSquares", func(row func(int) []float32, n int) []float64 { return one(SumSquares(row(n))) }},
	{"Axpy", func(row func(int) []float32, n int) []float64 {
		Axpy(row(n), row(1)[0], row(n))
		return nil
	}},
	{"Add", func(row func(int) []float32, n int) []float64 { Add(row(n), row(n)); return nil }},
	{"Mul", func(row func(int) []float32, n int) []float64 { Mul(row(n), row(n)); return nil }},
	{"Add itself", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		Add(x, x)
		return nil
	}},
	{"Scale", func(row func(int) []float32, n int) []float64 { Scale(row(n), row(1)[0]); return nil }},
	{"RMSNorm", func(row func(int) []float32, n int) []float64 {
		RMSNorm(row(n), row(n), row(n), 1e-6)
		return nil
	}},
	{"RMSNorm in place", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		RMSNorm(x, x, row(n), 1e-6)
		return nil
	}},
	{"RMSNorm weightless", func(row func(int) []float32, n int) []float64 {
		RMSNorm(row(n), row(n), nil, 0)
		return nil
	}},
	{"Max", func(row func(int) []float32, n int) []float64 { return one(Max(row(n))) }},
	{"ArgMax", func(row func(int) []float32, n int) []float64 {
		i, v := ArgMax(row(n))
		return []float64{float64(i), float64(v)}
	}},
	{"AbsMax", func(row func(int) []float32, n int) []float64 { return one(AbsMax(row(n))) }},
	{"FirstNonFinite", func(row func(int) []float32, n int) []float64 {
		return []float64{float64(FirstNonFinite(row(n)))}
	}},
	{"Exp", func(row func(int) []float32, n int) []float64 { Exp(row(n), row(n)); return nil }},
	{"Exp in place", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		Exp(x, x)
		return nil
	}},
	{"Sigmoid", func(row func(int) []float32, n int) []float64 { Sigmoid(row(n), row(n)); return nil }},
	{"Sigmoid in place", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		Sigmoid(x, x)
		return nil
	}},
	{"Softmax", func(row func(int) []float32, n int) []float64 { Softmax(row(n)); return nil }},
	{"SoftmaxSink", func(row func(int) []float32, n int) []float64 { SoftmaxSink(row(n), row(1)[0]); return nil }},
	{"SiLUMul", func(row func(int) []float32, n int) []float64 { SiLUMul(row(n), row(n), row(n)); return nil }},
	{"SiLUMul into gate", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		SiLUMul(x, x, row(n))
		return nil
	}},
	{"SiLUMul into up", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		SiLUMul(x, row(n), x)
		return nil
	}},
	{"ClampedSwiGLU", func(row func(int) []float32, n int) []float64 {
		ClampedSwiGLU(row(n), row(2*n), 1.702, 7)
		return nil
	}},
	{"ClampedSwiGLU in place", func(row func(int) []float32, n int) []float64 {
		x := row(2 * n)
		ClampedSwiGLU(x[:n], x, row(1)[0], row(1)[0])
		return nil
	}},
	{"Rotate", func(row func(int) []float32, n int) []float64 { Rotate(row(2*n), row(n), row(n)); return nil }},
	{"RotateInterleaved", func(row func(int) []float32, n int) []float64 {
		RotateInterleaved(row(2*n), row(n), row(n))
		return nil
	}},
	{"QuantizeGroups", func(row func(int) []float32, n int) []float64 { QuantizeGroups(row(n), false); return nil }},
	{"QuantizeGroups pow2", func(row func(int) []float32, n int) []float64 { QuantizeGroups(row(n), true); return nil }},
	{"ExpSums", func(row func(int) []float32, n int) []float64 {
		ea, eb, d := ExpSums(row(n), row(n), 1.25, -0.3)
		return []float64{ea, eb, d}
	}},
	{"ExpSums of itself", func(row func(int) []float32, n int) []float64 {
		x := row(n)
		ea, eb, d := ExpSums(x, x, float64(row(1)[0]), 600)
		return []float64{ea, eb, d}
	}},
	{"Energies", func(row func(int) []float32, n int) []float64 {
		aa, bb, dd, most := Energies(stored(row(n)), stored(row(n)))
		return []float64{aa, bb, dd, most}
	}},
	{"ExpSum", func(row func(int) []float32, n int) []float64 { return []float64{ExpSum(row(n), float64(row(1)[0]))} }},
}

// stored is x as the bytes of a file.
func stored(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

func one(x float32) []float64 { return []float64{float64(x)} }

// arena hands out rows between canaries, at a given offset from an aligned place.
type arena struct {
	r       *rand.Rand
	value   func(*rand.Rand) float32
	offset  int
	rows    [][]float32
	borders [][]float32
}

const canary = -12345.678

func (a *arena) row(n int) []float32 {
	all := make([]float32, n+a.offset+64)
	for i := range all {
		all[i] = canary
	}
	x := all[32+a.offset:][:n:n]
	for i := range x {
		x[i] = a.value(a.r)
	}
	a.rows = append(a.rows, x)
	a.borders = append(a.borders, all[:32+a.offset], all[32+a.offset+n:])
	return x
}

// TestPaths holds every path against the generic one, bit for bit.
func TestPaths(t *testing.T) {
	lengths := []int{71, 127, 128, 129, 144, 191, 192, 255, 256, 300, 511, 512, 513, 1000, 1024, 1540}
	for n := range 71 {
		lengths = append(lengths, n)
	}
	for vi := range values {
		for ki := range kernels {
			for _, n := range lengths {
				comparePaths(t, ki, vi, n, (n*7+ki)%16)
			}
		}
	}
}

// TestPathsAlignment runs all tails at all alignments.
func TestPathsAlignment(t *testing.T) {
	for ki := range kernels {
		for n := range 71 {
			for offset := range 16 {
				comparePaths(t, ki, 0, n, offset)
			}
		}
	}
}

// comparePaths runs a kernel on rows of n values on all paths.
func comparePaths(t *testing.T, kernel, value, n, offset int) {
	t.Helper()
	old := current.Load()
	defer current.Store(old)
	k, v := kernels[kernel], values[value]
	run := func(p *path) ([]float64, *arena) {
		current.Store(p)
		a := &arena{r: rand.New(rand.NewPCG(uint64(n), uint64(kernel))), value: v.f, offset: offset}
		results := k.run(a.row, n)
		for _, b := range a.borders {
			for _, x := range b {
				if x != canary {
					t.Fatalf("%s of %d at offset %d: path %s wrote beyond a row", k.name, n, offset, p.name)
				}
			}
		}
		return results, a
	}
	want, wantArena := run(&genericPath)
	for _, p := range paths()[1:] {
		got, gotArena := run(p)
		for i, w := range want {
			if !same64(got[i], w) {
				t.Fatalf("%s of %d %s: path %s: result %d is %v, want %v", k.name, n, v.name, p.name, i, got[i], w)
			}
		}
		for j, w := range wantArena.rows {
			for i := range w {
				if g := gotArena.rows[j][i]; !same32(g, w[i]) {
					t.Fatalf("%s of %d %s: path %s: row %d: element %d is %v (%#08x), want %v (%#08x)", k.name, n, v.name, p.name,
						j, i, g, math.Float32bits(g), w[i], math.Float32bits(w[i]))
				}
			}
		}
	}
}

func same32(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func same64(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

func TestLengthsMustAgree(t *testing.T) {
	x, y := make([]float32, 4, 8), make([]float32, 5, 8)
	for name, f := range map[string]func(){
		"Dot":               func() { Dot(x, y) },
		"Axpy":              func() { Axpy(x, 1, y) },
		"Add":               func() { Add(x, y) },
		"Mul":               func() { Mul(y, x) },
		"RMSNorm dst":       func() { RMSNorm(x, y, nil, 0) },
		"RMSNorm w":         func() { RMSNorm(x, x, y, 0) },
		"Exp":               func() { Exp(x, y) },
		"Sigmoid":           func() { Sigmoid(y, x) },
		"SiLUMul gate":      func() { SiLUMul(x, y, x) },
		"SiLUMul up":        func() { SiLUMul(x, x, y) },
		"ClampedSwiGLU":     func() { ClampedSwiGLU(x, y, 1, 1) },
		"Rotate":            func() { Rotate(x, x[:2], x[:3]) },
		"Rotate odd":        func() { Rotate(y, x[:2], x[:2]) },
		"RotateInterleaved": func() { RotateInterleaved(y, x[:2], x[:2]) },
		"Energies":          func() { Energies(stored(x), stored(y)) },
		"ExpSums":           func() { ExpSums(x, y, 0, 0) },
	} {
		func() {
			defer func() {
				if r, ok := recover().(string); !ok || !strings.Contains(r, "differ") {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			f()
		}()
	}
}
