package verify

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
)

// What the kernels and the loop find is what a search over all codes finds.
func TestNearestAgainstAllCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 2))
	for range 20000 {
		w := float32(r.NormFloat64() * math.Exp2(float64(r.IntN(24)-14)))
		scale := float32(math.Exp2(float64(r.IntN(8)-6)) * (1 + r.Float64()))
		best, bestAt := math.Inf(1), byte(0)
		for c := range 256 {
			code := byte(c)
			if code&0x7f == 0x7f || (code>>7 == 1) != math.Signbit(float64(w)) {
				continue
			}
			if d := math.Abs(float64(w)/float64(scale) - float64(fp8.E4M3ToFloat32(code))); d < best {
				best, bestAt = d, code
			}
		}
		for _, code := range []byte{bestAt, bestAt ^ 1, bestAt ^ 2, bestAt ^ 0x80, byte(r.IntN(256))} {
			_, ok := nearest(code, w, scale, true)
			d := math.Abs(float64(w)/float64(scale) - float64(fp8.E4M3ToFloat32(code)))
			want := code == bestAt || code>>7 == bestAt>>7 && d <= best*(1+1e-6)
			if ok != want {
				t.Fatalf("weight %v, scale %v: code %#02x passes: %v; the nearest is %#02x", w, scale, code, ok, bestAt)
			}
		}
	}
}

// A tie goes to even; only where the quotient is not exact may it go either way.
func TestNearestTies(t *testing.T) {
	for _, c := range []struct {
		code  byte
		w, s  float32
		exact bool
		ok    bool
	}{
		{0x58, 17, 1, true, true},                  // 17 lies between 16 (even) and 18
		{0x59, 17, 1, true, false},                 // odd
		{0x59, 17 * 0.0123, 0.0123, true, true},    // by a quotient that is rounded
		{0x5a, 17 * 0.0123, 0.0123, true, false},   // two away
		{0x7e, 1e9, 1, true, true},                 // clamped
		{0x00, 0, 1, true, true},                   // zero keeps its sign
		{0x80, 0, 1, true, false},                  //
		{0x80, -1e-9, 1, true, true},               //
		{0x00, -1e-9, 1, true, false},              //
		{0x59, 16.97, 1, false, true},              // through BF16
		{0x12, float32(math.NaN()), 1, true, true}, // no code to ask for
		{0x38, 1, 0, true, false},                  // no scale
		{0x38, 1, float32(math.NaN()), true, false},
	} {
		if _, ok := nearest(c.code, c.w, c.s, c.exact); ok != c.ok {
			t.Errorf("%+v: %v", c, ok)
		}
	}
}

// The loop over runs equals a look at each code, at every scale.
func TestRunEqualsLook(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 3))
	for _, scale := range []float32{1, 0.0123, 0x1p-126, 0x1p-140, 3e38, 0, -1, float32(math.Inf(1)), float32(math.NaN())} {
		for _, exact := range []bool{true, false} {
			codes, weights := make([]byte, 5000), make([]byte, 4*5000)
			for i := range codes {
				w := float32(r.NormFloat64()) * scale * 20
				codes[i] = fp8.E4M3FromFloat32(w / scale)
				if r.IntN(4) == 0 {
					codes[i] ^= byte(1) << r.IntN(8)
				}
				binary.LittleEndian.PutUint32(weights[4*i:], math.Float32bits(w))
			}
			fast, slow := codesCheck{exact: exact}, codesCheck{exact: exact}
			fast.run(7, codes, weights, scale)
			for i, code := range codes {
				slow.look(7+int64(i), code, f32(weights[4*i:]), scale)
			}
			if fast.count != slow.count || fast.first != slow.first || fast.got != slow.got || fast.want != slow.want {
				t.Errorf("scale %v: %+v, want %+v", scale, fast, slow)
			}
		}
	}
}
