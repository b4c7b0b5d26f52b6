package group

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// mxfp4 returns groups with the scales given, of which each holds every code.
func mxfp4(scales ...uint8) (c Coded, rows, cols int) {
	const groups = 2 // a row
	rows, cols = len(scales)/groups, 32*groups
	c = dense(mxfp4Layout, rows, cols)
	copy(c.Scales, scales)
	for i := range c.Codes {
		c.Codes[i] = uint8(i%16 | (i+i/16+5)%16<<4)
	}
	return c, rows, cols
}

func values(t *testing.T, f Format, c Coded, rows, cols int) []float32 {
	t.Helper()
	out := make([]float32, rows*cols)
	fp8.ElemF32.Decode(out, decoded(t, f, c, rows, cols)[1])
	return out
}

// sameValues returns how many values of a and b have other bits.
func otherValues(a, b []float32) (n int) {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			n++
		}
	}
	return n
}

// Every number of MXFP4 at every distance from the largest scale of its tensor, at
// every such scale: NVFP4 holds what lies within 17 powers of two, tiles of FP8 what
// lies within 14, MXFP8 all.
func TestCastMXFP4(t *testing.T) {
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for top := 0; top < 255; top++ {
			for d := 0; d < 40 && d < top; d++ {
				src, rows, cols := mxfp4(uint8(top), uint8(top-d), uint8(top-d), uint8(top))
				want := values(t, MXFP4{}, src, rows, cols)

				to8 := dense(mxfp8Layout, rows, cols)
				proof, err := MXFP4ToMXFP8(to8, src, rows, cols)
				if err != nil || proof != (Proof{Groups: 4}) || otherValues(values(t, MXFP8{}, to8, rows, cols), want) != 0 {
					t.Fatalf("MXFP8: top %d, distance %d: %v, %+v", top, d, err, proof)
				}

				codes, scales := make([]byte, rows*cols), make([]float32, 1)
				proof, err = MXFP4ToFP8(codes, cols, scales, src, rows, cols)
				if err != nil {
					t.Fatal(err)
				}
				out := make([]byte, 4*rows*cols)
				g := fp8.Grid{Scales: scales, Rows: 1, Cols: 1, TileRows: fp8.Tile, TileCols: fp8.Tile}
				if err := fp8.Dequantize(out, cols, fp8.ElemF32, codes, cols, rows, cols, g); err != nil {
					t.Fatal(err)
				}
				got := make([]float32, rows*cols)
				fp8.ElemF32.Decode(got, out)
				changed := otherValues(got, want)
				exact := d <= 14 || max(top, 7)-(top-d) <= 14
				if top < 7+1 { // tops below the least scale leave less room
					exact = proof.Changed == 0
				}
				if (proof.Changed == 0) != exact || (changed == 0) != exact || proof.Groups != 4 {
					t.Fatalf("FP8: top %d, distance %d: %d values changed, %+v", top, d, changed, proof)
				}
				if _, frac := math.Frexp(float64(scales[0])); top >= 7 && float64(scales[0]) != math.Ldexp(1, top-127-6) {
					t.Fatalf("FP8: top %d: scale %v %v", top, scales[0], frac)
				}

				toNV := dense(nvfp4Layout, rows, cols)
				tensor, err := MXFP4ToNVFP4Scale(uint8(top))
				if (err == nil) != (top >= 18 && top <= 253) {
					t.Fatalf("NVFP4: top %d: %v", top, err)
				}
				proof, err2 := MXFP4ToNVFP4(toNV, src, rows, cols, uint8(top))
				if err != nil {
					if err2 == nil {
						t.Fatalf("NVFP4: top %d: no error", top)
					}
					continue
				}
				changed = otherValues(values(t, NVFP4{Tensor: tensor}, toNV, rows, cols), want)
				if exact := d <= 17; err2 != nil || (proof.Requantized == 0) != exact || (proof.Changed == 0) != exact || (changed == 0) != exact {
					t.Fatalf("NVFP4: top %d, distance %d: %v, %d values changed, %+v", top, d, err2, changed, proof)
				}
			}
		}
	}
}

// Groups of zeros fit whatever their scales are, and do not count for tiles.
func TestCastZeros(t *testing.T) {
	src, rows, cols := mxfp4(0, 100, 250, 120)
	for _, r := range []int{0, 32} { // groups 0 and 2
		for i := range 16 {
			src.Codes[r+i] &= 0x88
		}
	}
	if top := TopE8M0(src.Scales); top != 250 {
		t.Errorf("top %d", top)
	}
	src.Scales[2] = 120 // as checkpoints have them: zeros have no large scale
	dst := dense(nvfp4Layout, rows, cols)
	proof, err := MXFP4ToNVFP4(dst, src, rows, cols, 120)
	if err != nil || proof != (Proof{Groups: 4, Requantized: 1, Changed: 1, First: Misfit{Group: 1, Below: 20, Reach: 17}}) {
		t.Errorf("%v, %+v", err, proof)
	}
	src.Scales[1] = 103
	want := values(t, MXFP4{}, src, rows, cols)
	proof, err = MXFP4ToNVFP4(dst, src, rows, cols, 120)
	s, _ := MXFP4ToNVFP4Scale(120)
	if err != nil || !proof.Lossless() || otherValues(values(t, NVFP4{Tensor: s}, dst, rows, cols), want) != 0 {
		t.Errorf("%v, %+v", err, proof)
	}
	src.Scales[2] = 250
	codes, scales := make([]byte, rows*cols), make([]float32, 1)
	src.Scales[1] = 106
	proof, err = MXFP4ToFP8(codes, cols, scales, src, rows, cols)
	if err != nil || !proof.Lossless() || scales[0] != float32(math.Ldexp(1, 120-127-6)) {
		t.Errorf("%v, %+v, %v", err, proof, scales)
	}
	clear(src.Codes)
	if proof, err = MXFP4ToFP8(codes, cols, scales, src, rows, cols); err != nil || !proof.Lossless() || scales[0] != 1 {
		t.Errorf("%v, %+v, %v", err, proof, scales)
	}
	src.Scales[1] = e8m0NaN
	if _, err := MXFP4ToFP8(codes, cols, scales, src, rows, cols); err == nil || !strings.Contains(err.Error(), "row 0, group 1: the scale is NaN") {
		t.Error(err)
	}
	if _, err := MXFP4ToNVFP4(dst, src, rows, cols, 120); err == nil || !strings.Contains(err.Error(), "row 0, group 1: scale 255 is NaN") {
		t.Error(err)
	}
}

// Tiles of FP8 over more than one tile, ragged on both edges.
func TestCastFP8Tiles(t *testing.T) {
	const rows, cols = 200, 352
	r := rand.New(rand.NewPCG(9, 9))
	src := dense(mxfp4Layout, rows, cols)
	for i := range src.Codes {
		src.Codes[i] = uint8(r.Uint32())
	}
	for i := range src.Scales {
		src.Scales[i] = uint8(100 + i/128%7*10 + r.IntN(15))
	}
	codes, scales := make([]byte, rows*cols), make([]float32, 2*3)
	proof, err := MXFP4ToFP8(codes, cols, scales, src, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 4*rows*cols)
	g := fp8.Grid{Scales: scales, Rows: 2, Cols: 3, TileRows: fp8.Tile, TileCols: fp8.Tile}
	if err := fp8.Dequantize(out, cols, fp8.ElemF32, codes, cols, rows, cols, g); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, rows*cols)
	fp8.ElemF32.Decode(got, out)
	want := values(t, MXFP4{}, src, rows, cols)
	var changed int64
	for i := 0; i < len(got); i += 32 {
		if otherValues(got[i:i+32], want[i:i+32]) > 0 {
			changed++
		}
	}
	if proof.Groups != rows*cols/32 || proof.Changed != changed || changed == 0 || changed == proof.Groups {
		t.Errorf("%d groups changed, %+v", changed, proof)
	}
}

// Every code at every power of two, and tiles of several shapes.
func TestCastFP8ToMXFP8(t *testing.T) {
	const rows, cols = 256, 256
	codes := make([]byte, rows*cols)
	for i := range codes {
		codes[i] = uint8(i + i/256)
	}
	for k := 0; k < 255; k++ {
		for _, tile := range []int{32, 128} {
			g := fp8.Grid{Rows: rows / tile, Cols: cols / tile, TileRows: tile, TileCols: tile}
			for i := range g.Rows * g.Cols {
				g.Scales = append(g.Scales, fp8.E8M0ToFloat32(uint8((k+i)%255)))
			}
			dst := dense(mxfp8Layout, rows, cols)
			proof, err := FP8ToMXFP8(dst, codes, cols, rows, cols, g)
			if err != nil || proof != (Proof{Groups: rows * cols / 32}) {
				t.Fatalf("scale %d: %v, %+v", k, err, proof)
			}
			if got, want := dst.Scales[33*8+7], uint8((k+33/tile*g.Cols+g.Cols-1)%255); got != want {
				t.Fatalf("scale %d, tile %d: %d, want %d", k, tile, got, want)
			}
		}
	}
	dst := dense(mxfp8Layout, 2, 64)
	for _, s := range []float32{3, 0, -1, float32(math.Inf(1)), float32(math.NaN()), 0x1p-128, 0x1p-149} {
		_, err := FP8ToMXFP8(dst, codes, 64, 2, 64, fp8.Grid{Scales: []float32{s}, Rows: 1, Cols: 1, TileRows: 128, TileCols: 128})
		if err == nil || !strings.Contains(err.Error(), "is no power of two") {
			t.Errorf("%v: %v", s, err)
		}
	}
	_, err := FP8ToMXFP8(dst, codes, 64, 2, 64, fp8.Grid{Scales: []float32{1, 1}, Rows: 1, Cols: 2, TileRows: 128, TileCols: 48})
	if err == nil || !strings.Contains(err.Error(), "no whole groups") {
		t.Error(err)
	}
}

// INT4 with the range 7: values that it stands for, in BF16, come back with the same
// scales and codes, wherever a group holds ±7 and for every scale that the largest
// BF16 magnitude of a group can have. (Others exist: 148/128 is no seventh of a BF16
// number, and 7·148/128 is rounded to one whose seventh rounds to 149/128.) With the
// range 7½ they do not.
func TestRoundTripINT4(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	const cols = 1024
	for amax := uint16(0x0200); amax < 0x7f60; amax += 32 { // scales are normal numbers, values finite
		c := dense(int4Layout, 1, cols)
		for i := range cols / 32 {
			scale := fp8.BF16FromFloat32(fp8.BF16ToFloat32(amax+uint16(i)) / 7)
			binary.LittleEndian.PutUint16(c.Scales[2*i:], scale)
			for j := range 16 {
				lo, hi := 1+r.IntN(15), 1+r.IntN(15) // −7…7
				c.Codes[16*i+j] = uint8(lo | hi<<4)
			}
			c.Codes[16*i+r.IntN(16)] = []uint8{0x1f, 0xf1, 0x8f, 0x11}[r.IntN(4)]
		}
		bf16 := decoded(t, INT4{}, c, 1, cols)[0]
		m := fp8.Matrix{Data: bf16, Elem: fp8.ElemBF16, Rows: 1, Cols: cols, Stride: cols}
		got, rows := encoded(t, INT4{Range: Range7}, m)
		want := []Row{rows[0]} // statistics are not what is compared
		same(t, "range 7", got, c, rows, want)
		if p, err := RoundTrip(INT4{Range: Range7}, m); err != nil || !p.Lossless() || p.Groups != cols/32 {
			t.Fatalf("amax %#x: %v, %+v", amax, err, p)
		}
		if p, err := RoundTrip(INT4{Range: Range7Half}, m); err != nil || p.Lossless() {
			t.Fatalf("amax %#x: range 7.5: %v, %+v", amax, err, p)
		}
	}
	other := source(fp8.ElemBF16, 4, cols, cols, func(int) float64 { return r.NormFloat64() })
	if p, err := RoundTrip(INT4{Range: Range7}, other); err != nil || p.Lossless() || p.Groups != 4*cols/32 {
		t.Errorf("%v, %+v", err, p)
	}
}
