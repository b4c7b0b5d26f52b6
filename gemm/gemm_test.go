package gemm

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
)

// fastPaths returns all paths but the reference.
func fastPaths() []*path { return paths()[1:] }

var allFormats = []Format{F32, BF16, F16, E4M3}

// numbers makes the numbers of a test.
type numbers func(r *rand.Rand) float32

func normal(r *rand.Rand) float32 { return float32(r.NormFloat64()) }

// wild gives every kind of number, NaN and infinities now and then.
func wild(r *rand.Rand) float32 {
	switch r.IntN(200) {
	case 0:
		return float32(math.NaN())
	case 1:
		return float32(math.Inf(1 - 2*r.IntN(2)))
	}
	return spread(r)
}

// spread gives finite numbers of all magnitudes, zeros of both signs and
// subnormal numbers among them.
func spread(r *rand.Rand) float32 {
	switch r.IntN(8) {
	case 0:
		return float32(math.Copysign(0, float64(r.IntN(2))-0.5))
	case 1:
		return math.Float32frombits(r.Uint32N(1<<23) | r.Uint32()&0x80000000)
	case 2:
		return float32(math.Ldexp(r.Float64()-0.5, r.IntN(250)-124))
	case 3:
		return float32(math.Ldexp(r.Float64()-0.5, -60-r.IntN(10)))
	}
	return normal(r)
}

func floats(r *rand.Rand, n int, f numbers) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = f(r)
	}
	return s
}

// store writes x, rounded, as element i of data.
func store(data []byte, f Format, i int, x float32) {
	switch f {
	case F32:
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(x))
	case BF16:
		binary.LittleEndian.PutUint16(data[2*i:], fp8.BF16FromFloat32(x))
	case F16:
		binary.LittleEndian.PutUint16(data[2*i:], f16Bits(x))
	case E4M3:
		data[i] = fp8.E4M3FromFloat32(x)
	}
}

// f16Bits rounds towards zero, which is good enough for test data.
func f16Bits(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	switch e := int(b>>23&0xff) - 127; {
	case e == 128 && b<<9 != 0:
		return sign | 0x7e00
	case e > 15:
		return sign | 0x7c00
	case e < -14:
		return sign | uint16(math.Abs(float64(x))*0x1p24)
	default:
		return sign | uint16(e+15)<<10 | uint16(b>>13&0x3ff)
	}
}

// shape is what a test may vary of a weight matrix.
type shape struct {
	out, in, stride int
	format          Format
	transposed      bool
	tileOut, tileIn int // 0: no scales
	offset          int // bytes before the matrix
}

func (s shape) String() string {
	return fmt.Sprintf("%v [%d %d] stride %d transposed %v tiles %d×%d", s.format, s.out, s.in, s.stride, s.transposed, s.tileOut, s.tileIn)
}

// make makes the matrix. Elements between the rows are NaN, which nobody may see.
func (s shape) make(r *rand.Rand, f numbers) Weight {
	w := Weight{Out: s.out, In: s.in, Format: s.format, Stride: s.stride, Transposed: s.transposed}
	rows, cols, stride := w.shape()
	n := 0
	if rows > 0 {
		n = (rows-1)*stride + cols
	}
	size := s.format.Size()
	w.Data = make([]byte, n*size+s.offset)[s.offset:]
	for i := range w.Data {
		w.Data[i] = 0xff
	}
	for y := range rows {
		for x := range cols {
			store(w.Data, s.format, y*stride+x, f(r))
		}
	}
	if s.tileOut > 0 {
		w.TileOut, w.TileIn = s.tileOut, s.tileIn
		w.Scales = floats(r, (s.out+s.tileOut-1)/s.tileOut*((s.in+s.tileIn-1)/s.tileIn), func(r *rand.Rand) float32 {
			return float32(math.Exp2(r.NormFloat64()))
		})
	}
	return w
}

// value returns weight (o, i) by the definition.
func value(w *Weight, o, i int) float32 {
	_, _, stride := w.shape()
	n := o*stride + i
	if w.Transposed {
		n = i*stride + o
	}
	switch {
	case w.floats != nil:
		return w.floats[n]
	case w.Format == F32:
		return math.Float32frombits(binary.LittleEndian.Uint32(w.Data[4*n:]))
	case w.Format == BF16:
		return fp8.BF16ToFloat32(binary.LittleEndian.Uint16(w.Data[2*n:]))
	case w.Format == F16:
		return fp8.F16ToFloat32(binary.LittleEndian.Uint16(w.Data[2*n:]))
	}
	x := fp8.E4M3ToFloat32(w.Data[n])
	if w.Scales != nil {
		x *= w.Scales[o/w.TileOut*((w.In+w.TileIn-1)/w.TileIn)+i/w.TileIn]
	}
	return x
}

// randomShape returns a shape with tails of all kinds.
func randomShape(r *rand.Rand, format Format, maxOut, maxIn int) shape {
	s := shape{out: 1 + r.IntN(maxOut), in: 1 + r.IntN(maxIn), format: format, offset: r.IntN(64)}
	if r.IntN(3) == 0 {
		s.in = (s.in + 31) &^ 31
	}
	s.transposed = r.IntN(4) == 0
	if r.IntN(2) == 0 {
		s.stride = s.in + r.IntN(40)
		if s.transposed {
			s.stride = s.out + r.IntN(40)
		}
	}
	if format == E4M3 && !s.transposed && r.IntN(5) > 0 {
		outs := []int{1, 2, 3, 4, 7, 32, 128, 1000}
		ins := []int{1, 5, 8, 16, 32, 48, 64, 128, 1000}
		s.tileOut, s.tileIn = outs[r.IntN(len(outs))], ins[r.IntN(len(ins))]
	}
	return s
}

// same fails unless the numbers are equal bit for bit; NaN equals NaN.
func same(t testing.TB, got, want []float32, what string, args ...any) {
	t.Helper()
	for i, w := range want {
		g := got[i]
		if math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
			t.Fatalf("%s: number %d: %v (%#08x), want %v (%#08x)", fmt.Sprintf(what, args...), i, g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
}

// product computes y from clean memory, and checks that nothing between and around
// the rows of y is written.
type mul func(y []float32, ldy int, x []float32, ldx int, rows int, w *Weight, o Options)

func (f mul) run(t testing.TB, x []float32, ldx, rows, ldy int, w *Weight, o Options) []float32 {
	t.Helper()
	const guard = 64
	n := 0
	if rows > 0 {
		n = (rows-1)*ldy + w.Out
	}
	all := make([]float32, n+2*guard)
	mark := func(i int) float32 { return math.Float32frombits(0x40000000 + uint32(i)*7919%0x700000) }
	for i := range all {
		all[i] = mark(i)
	}
	f(all[guard:guard+n:guard+n], ldy, x, ldx, rows, w, o)
	out := make([]float32, 0, rows*w.Out)
	for i, v := range all {
		j := i - guard
		if j >= 0 && j < n && j%ldy < w.Out {
			out = append(out, v)
		} else if v != mark(i) {
			t.Fatalf("number %d of y, of rows of %d, %d apart, was overwritten", j, w.Out, ldy)
		}
	}
	return out
}

// runs is how many of n random cases a test takes.
func runs(n int) int {
	if testing.Short() {
		n /= 5
	}
	return n
}
