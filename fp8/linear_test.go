package fp8

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

// Codes of all values and lengths, at all alignments, against the product that
// float64 holds exactly.
func TestDequantizePaths(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	scales := []float32{
		1, 0.0123, 3.7e-5, 0x1p-126, 0x1p-130, 1e30, 3e38, 0x1p-20, 0, -2.5,
		float32(math.Inf(1)), float32(math.NaN()),
	}
	for n := range 301 {
		codes := make([]byte, n)
		for i := range codes {
			codes[i] = byte(i*37 + n)
		}
		s := scales[n%len(scales)]
		g := Grid{Scales: []float32{s}, Rows: 1, Cols: 1, TileRows: 1, TileCols: n + 1}
		for _, elem := range []Elem{ElemBF16, ElemF32} {
			offset := r.IntN(64)
			for _, p := range paths() {
				cputest.Use(t, p.name)
				dst, check := guarded(t, n*elem.Size(), offset)
				in := append(make([]byte, r.IntN(64)), codes...)
				in = in[len(in)-n:]
				if err := Dequantize(dst, max(n, 1), elem, in, max(n, 1), 1, n, g); err != nil {
					t.Fatal(err)
				}
				check()
				for i, c := range codes {
					var got, want uint32
					x := float32(float64(E4M3ToFloat32(c)) * float64(s)) // exact, then rounded once
					if elem == ElemBF16 {
						got = uint32(binary.LittleEndian.Uint16(dst[2*i:])) << 16
						want = uint32(BF16FromFloat32(x)) << 16
					} else {
						got = binary.LittleEndian.Uint32(dst[4*i:])
						want = math.Float32bits(x)
					}
					switch {
					case c&0x7f == 0x7f:
						want = uint32(c)>>7<<31 | 0x7fc00000
					case x != x: // a NaN that the scale made: its sign and payload are the machine's
						want |= got &^ 0x7f800000
						got |= 0x00400000
						want |= 0x00400000
					}
					if got != want {
						t.Fatalf("path %s: %v: code %#02x times %v gives %#08x, want %#08x", p.name, elem, c, s, got, want)
					}
				}
			}
		}
	}
}

func TestDequantizeGrids(t *testing.T) {
	const rows, cols = 70, 333
	codes := make([]byte, rows*(cols+5))
	r := rand.New(rand.NewPCG(4, 4))
	for i := range codes {
		codes[i] = byte(r.IntN(0x7f) | r.IntN(2)<<7)
	}
	irregular := func(r int) int { return map[bool]int{true: 0, false: 1 + r/50}[r < 10] }
	for _, c := range []struct {
		name               string
		tileRows, tileCols int
		row0, col0         int
		rowOf              func(int) int
	}{
		{"block", 128, 128, 0, 0, nil},
		{"chunk", 128, 128, 100, 77, nil},
		{"small block", 16, 32, 3, 5, nil},
		{"per row", 1, 1 << 20, 9, 0, nil},
		{"per tensor", 1 << 20, 1 << 20, 1000, 1000, nil},
		{"group", 1, 128, 0, 0, nil},
		{"single", 1, 1, 0, 0, nil},
		{"irregular", 1, 128, 2, 0, irregular},
	} {
		rowOf := c.rowOf
		if rowOf == nil {
			rowOf = func(r int) int { return r / c.tileRows }
		}
		g := Grid{
			Rows: rowOf(c.row0+rows-1) + 1, Cols: (c.col0+cols-1)/c.tileCols + 1,
			TileRows: c.tileRows, TileCols: c.tileCols,
			RowOf: c.rowOf, Row0: c.row0, Col0: c.col0,
		}
		for range g.Rows * g.Cols {
			g.Scales = append(g.Scales, r.Float32()+0.1)
		}
		for _, p := range paths() {
			cputest.Use(t, p.name)
			dst, check := guarded(t, (rows-1)*(cols+3)*2+cols*2, 2)
			if err := Dequantize(dst, cols+3, ElemBF16, codes, cols+5, rows, cols, g); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			check()
			for i := range rows {
				for j := range cols + 3 {
					at := 2 * (i*(cols+3) + j)
					if at >= len(dst) {
						continue
					}
					got := binary.LittleEndian.Uint16(dst[at:])
					want := uint16(canary<<8 | canary)
					if j < cols {
						s := g.Scales[rowOf(c.row0+i)*g.Cols+(c.col0+j)/c.tileCols]
						want = BF16FromFloat32(E4M3ToFloat32(codes[i*(cols+5)+j]) * s)
					}
					if got != want {
						t.Fatalf("%s: path %s: row %d, column %d: %#04x, want %#04x", c.name, p.name, i, j, got, want)
					}
				}
			}
		}
	}
}

func TestDequantizeErrors(t *testing.T) {
	ok := Grid{Scales: []float32{1, 1}, Rows: 1, Cols: 2, TileRows: 128, TileCols: 128}
	for _, c := range []struct {
		what string
		dst  int
		elem Elem
		rows int
		cols int
		edit func(*Grid)
	}{
		{"element type", 4096, ElemF16, 2, 200, nil},
		{"short destination", 799, ElemBF16, 2, 200, nil},
		{"negative shape", 4096, ElemBF16, -1, 200, nil},
		{"stride", 4096, ElemBF16, 2, 201, nil},
		{"tiles", 4096, ElemBF16, 2, 200, func(g *Grid) { g.TileCols = 0 }},
		{"few scales", 4096, ElemBF16, 2, 200, func(g *Grid) { g.Rows = 2 }},
		{"column", 4096, ElemBF16, 2, 200, func(g *Grid) { g.Cols = 1 }},
		{"row", 4096, ElemBF16, 2, 200, func(g *Grid) { g.Row0 = 127 }},
		{"mapped row", 4096, ElemBF16, 2, 200, func(g *Grid) { g.RowOf = func(int) int { return -1 } }},
		{"position", 4096, ElemBF16, 2, 200, func(g *Grid) { g.Row0 = -1 }},
	} {
		g := ok
		if c.edit != nil {
			c.edit(&g)
		}
		if err := Dequantize(make([]byte, c.dst), 200, c.elem, make([]byte, 400), 200, c.rows, c.cols, g); err == nil {
			t.Errorf("%s: no error", c.what)
		}
	}
	if err := Dequantize(nil, 0, ElemBF16, nil, 0, 0, 0, Grid{}); err != nil {
		t.Error(err)
	}
}

func TestCountNonFinite(t *testing.T) {
	bad := map[Elem][][]byte{
		ElemBF16: {{0x80, 0x7f}, {0x80, 0xff}, {0x01, 0x7f | 0x80}, {0xff, 0xff}},
		ElemF16:  {{0x00, 0x7c}, {0x00, 0xfc}, {0x01, 0xfc}, {0xff, 0x7f}},
		ElemF32:  {{0, 0, 0x80, 0x7f}, {0, 0, 0x80, 0xff}, {1, 0, 0x80, 0x7f}, {255, 255, 255, 255}},
		ElemF64:  {{0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, {1, 0, 0, 0, 0, 0, 0xf0, 0xff}, binary.LittleEndian.AppendUint64(nil, math.Float64bits(3.41e38))},
	}
	bad[ElemBF16][2] = []byte{0x81, 0xff}
	good := map[Elem][]byte{
		ElemBF16: {0x7f, 0x7f},
		ElemF16:  {0xff, 0x7b},
		ElemF32:  {0xff, 0xff, 0x7f, 0xff},
		ElemF64:  binary.LittleEndian.AppendUint64(nil, math.Float64bits(-math.MaxFloat32)),
	}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, e := range allElems {
			for _, n := range []int{0, 1, 2, 31, 64, 127, 128, 129, 300, 5000, 9001} {
				data := append([]byte{0}, bytes.Repeat(good[e], n)...)[1:]
				if count, first := CountNonFinite(data, e); count != 0 || first != -1 {
					t.Fatalf("path %s: %v × %d: %d, %d", p.name, e, n, count, first)
				}
				for i := 0; i < n; i += 1 + n/97 {
					d := bytes.Clone(data)
					b := bad[e][i%len(bad[e])]
					copy(d[i*e.Size():], b)
					copy(d[(n-1)*e.Size():], b)
					want := int64(2)
					if i == n-1 {
						want = 1
					}
					if count, first := CountNonFinite(d, e); count != want || first != int64(i) {
						t.Fatalf("path %s: %v × %d with %x at %d: %d, %d", p.name, e, n, b, i, count, first)
					}
				}
			}
		}
	}
}

func TestCountNaNCodes(t *testing.T) {
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, n := range []int{0, 1, 2, 63, 64, 255, 256, 257, 300, 8191, 8192, 20000} {
			codes := make([]byte, n)
			for i := range codes {
				codes[i] = byte(i%0x7f | i%2<<7)
			}
			if count, first := CountNaNCodes(codes); count != 0 || first != -1 {
				t.Fatalf("path %s: %d codes: %d, %d", p.name, n, count, first)
			}
			for i := 0; i < n; i += 1 + n/301 {
				c := bytes.Clone(codes)
				c[i], c[n-1] = 0x7f, 0xff
				want := int64(2)
				if i == n-1 {
					want = 1
				}
				if count, first := CountNaNCodes(c); count != want || first != int64(i) {
					t.Fatalf("path %s: NaN at %d of %d: %d, %d", p.name, i, n, count, first)
				}
			}
		}
	}
}

func TestCastBF16(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	special := []uint32{
		0x7f7f7fff, 0x7f7f8000, 0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fffffff, 0xffffffff,
		0, 0x80000000, 1, 0x80000001, 0x00008000, 0x00018000, 0x3f808000, 0x3f818000, 0x3f808001,
	}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for n := range 301 {
			src := make([]byte, 4*n+1)[1:]
			for i := range n {
				b := r.Uint32()
				if n%3 == 0 && r.IntN(20) == 0 {
					b = special[r.IntN(len(special))]
				} else if b&0x7f800000 == 0x7f800000 && n%2 == 0 {
					b &^= 0x40000000
				}
				binary.LittleEndian.PutUint32(src[4*i:], b)
			}
			dst, check := guarded(t, 2*n, n%64)
			count, first := CastBF16(dst, src, ElemF32)
			check()
			wantCount, wantFirst := int64(0), int64(-1)
			for i := range n {
				x := math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
				want := BF16FromFloat32(x)
				if got := binary.LittleEndian.Uint16(dst[2*i:]); got != want {
					t.Fatalf("path %s: %v gives %#04x, want %#04x", p.name, x, got, want)
				}
				if want&0x7fff == 0x7f80 && !math.IsInf(float64(x), 0) {
					if wantCount++; wantFirst < 0 {
						wantFirst = int64(i)
					}
				}
			}
			if count != wantCount || first != wantFirst {
				t.Fatalf("path %s: overflow %d, %d, want %d, %d", p.name, count, first, wantCount, wantFirst)
			}
		}
	}
	f64 := []float64{1, 1e300, math.Inf(1), -3.4e38, 1 + 0x1p-8 + 0x1p-30, math.NaN(), -1e39}
	var src []byte
	for _, x := range f64 {
		src = binary.LittleEndian.AppendUint64(src, math.Float64bits(x))
	}
	dst := make([]byte, 2*len(f64))
	count, first := CastBF16(dst, src, ElemF64)
	// 1+2⁻⁸+2⁻³⁰ becomes the tie 1+2⁻⁸ in float32 and goes to even from there.
	want := "803f807f807f80ff803fc07f80ff"
	if got := fmt.Sprintf("%x", dst); got != want || count != 3 || first != 1 {
		t.Errorf("F64: %s, %d, %d, want %s, 3, 1", got, count, first, want)
	}
	f16 := []byte{0x00, 0x3c, 0xff, 0x7b, 0x00, 0x7c, 0x01, 0x00}
	dst = make([]byte, 8)
	count, first = CastBF16(dst, f16, ElemF16)
	if got := fmt.Sprintf("%x", dst); got != "803f8047807f8033" || count != 0 || first != -1 {
		t.Errorf("F16: %s, %d, %d", got, count, first)
	}
	if CastBF16(dst[:4], f16[:4], ElemBF16); !bytes.Equal(dst[:4], f16[:4]) {
		t.Errorf("BF16: %x", dst[:4])
	}
}

// Every length, at all alignments, against Decode on the scalar path.
func TestCastF32(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, e := range []Elem{ElemBF16, ElemF16, ElemF32, ElemF64} {
		for n := range 100 {
			src := make([]byte, n*e.Size()+e.Size()-1) // and a part of an element
			for i := range src {
				src[i] = byte(r.Uint32())
			}
			want := make([]float32, n)
			e.decode(want, src)
			for _, p := range paths() {
				cputest.Use(t, p.name)
				dst, check := guarded(t, 4*n, r.IntN(64))
				CastF32(dst, src, e)
				check()
				for i, w := range want {
					if got := binary.LittleEndian.Uint32(dst[4*i:]); got != math.Float32bits(w) {
						t.Fatalf("path %s: %v of %d: element %d is %#08x, want %#08x", p.name, e, n, i, got, math.Float32bits(w))
					}
				}
			}
		}
	}
	CastF32(nil, []byte{1, 2}, Elem(9)) // no type, nothing
}
