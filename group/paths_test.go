package group

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/internal/cpu"
	"quern/internal/cpu/cputest"
)

// store writes x, rounded to e, as element i of data.
func store(data []byte, e fp8.Elem, i int, x float64) {
	switch e {
	case fp8.ElemBF16:
		binary.LittleEndian.PutUint16(data[2*i:], fp8.BF16FromFloat32(float32(x)))
	case fp8.ElemF16: // towards zero, which is good enough here
		b := math.Float64bits(x)
		p := uint16(b >> 48 & 0x8000)
		switch x = min(math.Abs(x), 65504); {
		case x < 0x1p-14:
			p |= uint16(x * 0x1p24)
		default:
			p |= uint16(math.Float64bits(x)>>42 - (1023-15)<<10)
		}
		binary.LittleEndian.PutUint16(data[2*i:], p)
	case fp8.ElemF32:
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(x)))
	case fp8.ElemF64:
		binary.LittleEndian.PutUint64(data[8*i:], math.Float64bits(x))
	}
}

// source makes rows×cols elements from f, stride apart; the elements between the
// rows are NaN, which no kernel may see.
func source(e fp8.Elem, rows, cols, stride int, f func(i int) float64) fp8.Matrix {
	data := bytes.Repeat([]byte{0xff}, ((rows-1)*stride+cols)*e.Size())
	for r := range rows {
		for c := range cols {
			store(data, e, r*stride+c, f(r*cols+c))
		}
	}
	return fp8.Matrix{Data: data, Elem: e, Rows: rows, Cols: cols, Stride: stride}
}

var allElems = []fp8.Elem{fp8.ElemBF16, fp8.ElemF16, fp8.ElemF32, fp8.ElemF64}

// distribution is a kind of weights: f makes the one of index i.
type distribution struct {
	name string
	f    func(r *rand.Rand, i int) float64
}

func sign(r *rand.Rand) float64 { return float64(1 - 2*r.IntN(2)) }

var distributions = []distribution{
	{"normal", func(r *rand.Rand, _ int) float64 { return r.NormFloat64() * 0.02 }},
	{"uniform", func(r *rand.Rand, _ int) float64 { return r.Float64() - 0.5 }},
	{"outliers", func(r *rand.Rand, _ int) float64 {
		x := r.NormFloat64()
		if r.IntN(300) == 0 {
			x *= 1e3
		}
		return x
	}},
	{"blocks far apart", func(r *rand.Rand, i int) float64 { return math.Ldexp(r.NormFloat64(), -(i/16*7)%40) }},
	{"logarithmic", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.Float64()+1, -r.IntN(40)) * sign(r) }},
	{"all binades", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.Float64()+1, r.IntN(270)-148) * sign(r) }},
	{"tiny 2^-100", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -100) }},
	{"tiny 2^-126", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -126) }},
	{"tiny 2^-145", func(r *rand.Rand, _ int) float64 { return math.Ldexp(r.NormFloat64(), -145) }},
	{"huge", func(r *rand.Rand, _ int) float64 { return (r.Float64()*2 - 1) * 3.38e38 }},
	{"huge and tiny", func(r *rand.Rand, _ int) float64 {
		return math.Ldexp((r.Float64()*2-1)*3e38, -r.IntN(2)*r.IntN(270))
	}},
	{"sparse", func(r *rand.Rand, _ int) float64 {
		if r.IntN(4) > 0 {
			return math.Copysign(0, sign(r))
		}
		return r.NormFloat64()
	}},
	{"zero blocks", func(r *rand.Rand, i int) float64 { return float64(i/32%2) * r.NormFloat64() * sign(r) }},
	{"zero", func(r *rand.Rand, _ int) float64 { return math.Copysign(0, sign(r)) }},
	{"grid and ties of E2M1", func(r *rand.Rand, i int) float64 {
		if i%16 == 0 {
			return 6
		}
		return float64(r.IntN(49)) / 8 * sign(r)
	}},
	{"ties of integers", func(r *rand.Rand, i int) float64 {
		if i%32 == 0 {
			return 7.5
		}
		return float64(r.IntN(31)-15) / 2
	}},
	{"ties of E4M3", func(r *rand.Rand, i int) float64 {
		if i%32 == 0 {
			return 448
		}
		c := uint8(r.IntN(0x7e))
		return float64(fp8.E4M3ToFloat32(c)+fp8.E4M3ToFloat32(c+1)) / 2 * sign(r)
	}},
	{"around 1¾·2^k", func(r *rand.Rand, _ int) float64 {
		return math.Ldexp(1.75+float64(r.IntN(5)-2)/128, r.IntN(20)-10) * sign(r)
	}},
}

// formats returns every format, with tensor scales that fit m, and some that are too
// small or too large.
func formats(m fp8.Matrix) (fs []Format) {
	amax, finite := Amax(m)
	if !finite {
		amax = 1
	}
	weights := make([]float32, m.Cols)
	r := rand.New(rand.NewPCG(14, uint64(m.Cols)))
	for c := range weights {
		switch r.IntN(20) {
		case 0:
		case 1:
			weights[c] = 1000 * r.Float32()
		default:
			weights[c] = float32(math.Exp(r.NormFloat64()))
		}
	}
	searches := []Search{{}, {By: fp8.SearchMSE}, {By: fp8.SearchWeighted, Weights: weights}}
	for _, s := range searches {
		for _, k := range []float32{1, 1. / 16, 1 << 14} {
			fs = append(fs, NVFP4{Tensor: max(leastTensorScale, min(NVFP4Scale(amax)*k, mostTensorScale)), Search: s})
		}
		fs = append(fs, INT4{Range: Range7Half, Search: s}, INT4{Range: Range7, Search: s})
	}
	for rule := range ScaleRule(len(mxfp4Rules)) {
		fs = append(fs, MXFP4{Rule: rule})
	}
	return append(fs, MXFP8{}, FP8Rows{Scale: fp8.ElemBF16}, FP8Rows{Scale: fp8.ElemF32},
		FP8Tensor{Tensor: FP8Scale(amax)}, FP8Tensor{Tensor: max(0x1p-126, FP8Scale(amax)/8)})
}

// same fails unless two encodings of finite rows are equal bit for bit.
func same(t testing.TB, what string, got, want Coded, gotRows, wantRows []Row) {
	t.Helper()
	finite := true
	for r := range wantRows {
		g, w := gotRows[r], wantRows[r]
		if w.NonFinite() || g.NonFinite() {
			finite = false
			if w.NonFinite() != g.NonFinite() {
				t.Fatalf("%s: row %d: not finite: %v, want %v", what, r, g.NonFinite(), w.NonFinite())
			}
			continue
		}
		if g != w {
			t.Fatalf("%s: row %d\n got %+v\nwant %+v", what, r, g, w)
		}
	}
	if !finite {
		return
	}
	for i, w := range want.Scales {
		if got.Scales[i] != w {
			t.Fatalf("%s: byte %d of the scales: %#02x, want %#02x", what, i, got.Scales[i], w)
		}
	}
	for i, w := range want.Codes {
		if got.Codes[i] != w {
			t.Fatalf("%s: row %d, byte %d of codes: %#02x, want %#02x", what, i/want.CodeStride, i%want.CodeStride, got.Codes[i], w)
		}
	}
}

func fastPaths() (names []string) {
	for _, p := range paths()[1:] {
		names = append(names, p.name)
	}
	return names
}

// comparePaths encodes and decodes m on all paths.
func comparePaths(t testing.TB, what string, f Format, m fp8.Matrix) {
	t.Helper()
	cputest.Use(t, "generic")
	want, wantRows := encoded(t, f, m)
	values := decoded(t, f, want, m.Rows, m.Cols)
	for _, name := range fastPaths() {
		if err := cpu.Set(name); err != nil {
			t.Fatal(err)
		}
		got, gotRows := encoded(t, f, m)
		what := fmt.Sprintf("%s, %v, %T %+v, path %s", what, m.Elem, f, f.Layout(), name)
		same(t, what, got, want, gotRows, wantRows)
		for i, v := range decoded(t, f, want, m.Rows, m.Cols) {
			if !bytes.Equal(v, values[i]) {
				t.Fatalf("%s: decoded values differ", what)
			}
		}
	}
}

// decoded returns the values as BF16 and as F32.
func decoded(t testing.TB, f Format, c Coded, rows, cols int) (values [2][]byte) {
	t.Helper()
	for i, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
		values[i] = make([]byte, rows*cols*e.Size())
		if err := f.Decode(values[i], cols, e, c, rows, cols); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

func TestPathsDistributions(t *testing.T) {
	for _, d := range distributions {
		for _, e := range allElems {
			r := rand.New(rand.NewPCG(1, uint64(e)))
			m := source(e, 3, 1024+32*11, 1024+32*11+5, func(i int) float64 { return d.f(r, i) })
			for _, f := range formats(m) {
				comparePaths(t, d.name, f, m)
			}
		}
	}
}

func TestPathsShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, cols := range []int{0, 1, 7, 15, 16, 17, 32, 33, 48, 64, 80, 96, 100, 112, 128, 256, 272, 1008, 1024, 1040, 1100, 2048, 2064, 3072} {
		for _, rows := range []int{1, 2} {
			m := source(fp8.ElemBF16, rows, cols, cols+r.IntN(3), func(int) float64 { return r.NormFloat64() })
			for _, f := range formats(m) {
				if f.Layout().Check(cols) == nil {
					comparePaths(t, fmt.Sprint(cols, " columns"), f, m)
				}
			}
		}
	}
}

// Every byte of codes and of scales, decoded.
func TestPathsDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, f := range []Format{NVFP4{Tensor: 0.01}, NVFP4{Tensor: 3, Divides: true}, NVFP4{Tensor: 1e30}, MXFP4{}, MXFP8{}, INT4{}} {
		l := f.Layout()
		const rows, cols = 256, 512
		c := dense(l, rows, cols)
		for i := range c.Codes {
			c.Codes[i] = uint8(r.Uint32())
		}
		for i := range c.Scales {
			c.Scales[i] = uint8(i * 256 / rows / l.Scales(cols)) // rows of one kind, so that few have NaN
		}
		cputest.Use(t, "generic")
		want := decoded(t, f, c, rows, cols)
		for _, name := range fastPaths() {
			cputest.Use(t, name)
			for i, v := range decoded(t, f, c, rows, cols) {
				if !bytes.Equal(v, want[i]) {
					t.Fatalf("%T, path %s: values differ", f, name)
				}
			}
		}
	}
}

// A weight that is not finite is found wherever it is, and hides no other row.
func TestNonFinite(t *testing.T) {
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, e := range allElems {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				if e == fp8.ElemF16 {
					continue // store does not write them
				}
				for _, at := range []int{0, 31, 1023, 1024, 1087} {
					m := source(e, 3, 1088, 1088, func(int) float64 { return 1 })
					store(m.Data, e, 1088+at, bad)
					for _, f := range formats(m) {
						_, rows := encoded(t, f, m)
						if rows[0].NonFinite() || !rows[1].NonFinite() || rows[2].NonFinite() {
							t.Fatalf("%s: %T, %v at %d: %v %v %v", p.name, f, bad, at, rows[0].NonFinite(), rows[1].NonFinite(), rows[2].NonFinite())
						}
					}
				}
			}
		}
	}
}
