package group

import (
	"encoding/binary"
	"fmt"
	"math"

	"quern/fp8"
)

// castScratch is what casting a row works with.
type castScratch struct {
	before, after []byte // the values of a row, as F32
}

func newCastScratch(cols int) *castScratch {
	return &castScratch{before: make([]byte, 4*cols), after: make([]byte, 4*cols)}
}

// row returns the view of row r alone.
func (c Coded) row(r int) Coded {
	c.Codes, c.Scales = c.Codes[r*c.CodeStride:], c.Scales[r*c.ScaleStride:]
	return c
}

// TopE8M0 returns the largest of the E8M0 scales, leaving out 255, which is NaN. A
// cast to NVFP4 needs it of all tensors that have to share a scale.
func TopE8M0(scales []byte) (top uint8) {
	for _, s := range scales {
		if s != e8m0NaN {
			top = max(top, s)
		}
	}
	return top
}

const e8m0NaN = 255

// nvfp4Span is how many powers of two below the top MXFP4's scales may lie to become
// scales of NVFP4: from 2⁸ down to 2⁻⁹ of the tensor scale.
const nvfp4Span = 17

// MXFP4ToNVFP4Scale returns the tensor scale under which MXFP4 scales up to top,
// from [TopE8M0], become block scales: 2^(top−127−8); 1 where top is 0.
func MXFP4ToNVFP4Scale(top uint8) (float32, error) {
	s := float32(math.Ldexp(1, int(top)-127-8))
	switch {
	case top == 0:
		return 1, nil
	case !(s >= leastTensorScale && s <= mostTensorScale):
		return 0, fmt.Errorf("casting: scales up to 2^%d have no tensor scale", int(top)-127)
	}
	return s, nil
}

// MXFP4ToNVFP4 rewrites rows×cols weights, with the tensor scale for top that
// [MXFP4ToNVFP4Scale] gives. Codes are copied; a group whose scale lies more than 17
// powers of two below top and that holds anything but zeros is coded anew.
func MXFP4ToNVFP4(dst, src Coded, rows, cols int, top uint8) (p Proof, err error) {
	tensor, err := MXFP4ToNVFP4Scale(top)
	if err != nil {
		return p, err
	}
	if err := src.check(mxfp4Layout, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	if err := dst.check(nvfp4Layout, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	to := NVFP4{Tensor: tensor}
	if cols == 0 {
		return p, nil
	}
	ws := newCastScratch(cols)
	for r := range rows {
		in, out := src.row(r), dst.row(r)
		if err := (MXFP4{}).Decode(ws.before, cols, fp8.ElemF32, in, 1, cols); err != nil {
			return p, err
		}
		copy(out.Codes, in.Codes[:cols/2])
		for g, k := range in.Scales[:cols/32] {
			if k == e8m0NaN || k > top {
				return p, fmt.Errorf("casting: row %d, group %d: scale %d is NaN or above %d, the largest", r, g, k, top)
			}
			if int(top)-int(k) <= nvfp4Span || allZero(in.Codes[16*g:16*g+16]) {
				s := fp8.E4M3FromFloat32(float32(math.Ldexp(1, max(int(k)-int(top)+8, -9))))
				out.Scales[2*g], out.Scales[2*g+1] = s, s
				continue
			}
			p.Requantized++
			part := Coded{Codes: out.Codes[16*g:], Scales: out.Scales[2*g:], CodeStride: 16, ScaleStride: 2}
			group := fp8.Matrix{Data: ws.before[128*g:], Elem: fp8.ElemF32, Rows: 1, Cols: 32, Stride: 32}
			if err := to.Encode(part, make([]Row, 1), group); err != nil {
				return p, err
			}
		}
		if err := to.Decode(ws.after, cols, fp8.ElemF32, out, 1, cols); err != nil {
			return p, err
		}
		p.compare(r, ws.before, ws.after, 32, func(g int) Misfit {
			return Misfit{Below: int(top) - int(in.Scales[g]), Reach: nvfp4Span}
		})
	}
	return p, nil
}

// allZero says whether E2M1 codes are all ±0.
func allZero(codes []byte) bool {
	for _, c := range codes {
		if c&0x77 != 0 {
			return false
		}
	}
	return true
}

// e4m3Pairs hold, for d powers of two below the top of a tile, the E4M3 codes of the
// two E2M1 codes of a byte, times 2^(6−d). From the last d on they are all zeros.
var e4m3Pairs = func() (t [21][256]uint16) {
	for d := range t {
		for b := range 256 {
			code := func(c uint8) uint16 {
				return uint16(fp8.E4M3FromFloat32(fp8.E2M1ToFloat32(c) * float32(math.Ldexp(1, 6-d))))
			}
			t[d][b] = code(uint8(b)) | code(uint8(b)>>4)<<8
		}
	}
	return t
}()

// fp8Span is how many powers of two below the top of a tile MXFP4's scales may lie to keep
// E2M1's numbers as E4M3: from 2⁶ down to 2⁻⁸, of which ½ is 2⁻⁹.
const fp8Span = 14

// MXFP4ToFP8 rewrites rows×cols weights as E4M3 codes with one power of two for each
// tile of 128×128, the way back being fp8.Dequantize: 2⁶ below the largest scale of
// groups that are not all zeros, at least 2⁻¹²⁶, 1 where all are zeros. Groups within
// 14 powers of two of that keep their values. scales gets ⌈rows/128⌉×⌈cols/128⌉
// entries in row-major order.
func MXFP4ToFP8(codes []byte, codeStride int, scales []float32, src Coded, rows, cols int) (p Proof, err error) {
	if err := src.check(mxfp4Layout, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	if err := fp8.CheckRows("destination", len(codes), codeStride, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	tileRows, tileCols := (rows+fp8.Tile-1)/fp8.Tile, (cols+fp8.Tile-1)/fp8.Tile
	if len(scales) != tileRows*tileCols {
		return p, fmt.Errorf("casting: %d scales for a grid of %d×%d", len(scales), tileRows, tileCols)
	}
	if cols == 0 {
		return p, nil
	}
	ws := newCastScratch(cols)
	grid := fp8.Grid{Scales: scales, Rows: tileRows, Cols: tileCols, TileRows: fp8.Tile, TileCols: fp8.Tile}
	tops := make([]int, tileCols) // E8M0 of the tiles' scales
	for r := range rows {
		if r%fp8.Tile == 0 {
			clear(tops)
			for i := r; i < min(r+fp8.Tile, rows); i++ {
				in := src.row(i)
				for g, k := range in.Scales[:cols/32] {
					switch {
					case k == e8m0NaN:
						return p, fmt.Errorf("casting: row %d, group %d: the scale is NaN", i, g)
					case !allZero(in.Codes[16*g : 16*g+16]):
						tops[g/4] = max(tops[g/4], int(k), 7) // 7: 2⁻¹²⁶ is the least scale
					}
				}
			}
			for j, top := range tops {
				s := float32(1)
				if top > 0 {
					s = fp8.E8M0ToFloat32(uint8(top - 6))
				}
				scales[r/fp8.Tile*tileCols+j] = s
			}
		}
		in, out := src.row(r), codes[r*codeStride:]
		for g, k := range in.Scales[:cols/32] {
			pairs := &e4m3Pairs[min(max(tops[g/4]-int(k), 0), len(e4m3Pairs)-1)] // above the top are zeros
			for i, b := range in.Codes[16*g : 16*g+16] {
				binary.LittleEndian.PutUint16(out[32*g+2*i:], pairs[b])
			}
		}
		if err := (MXFP4{}).Decode(ws.before, cols, fp8.ElemF32, in, 1, cols); err != nil {
			return p, err
		}
		grid.Row0 = r
		if err := fp8.Dequantize(ws.after, cols, fp8.ElemF32, out, cols, 1, cols, grid); err != nil {
			return p, err
		}
		p.compare(r, ws.before, ws.after, 32, func(g int) Misfit {
			return Misfit{Below: tops[g/4] - int(in.Scales[g]), Reach: fp8Span}
		})
	}
	return p, nil
}

// MXFP4ToMXFP8 rewrites rows×cols weights: the scales stay, and E4M3 has every number
// of E2M1.
func MXFP4ToMXFP8(dst, src Coded, rows, cols int) (p Proof, err error) {
	if err := src.check(mxfp4Layout, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	if err := dst.check(mxfp8Layout, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	if cols == 0 {
		return p, nil
	}
	ws := newCastScratch(cols)
	same := &e4m3Pairs[6] // times 1
	for r := range rows {
		in, out := src.row(r), dst.row(r)
		copy(out.Scales, in.Scales[:cols/32])
		for i, b := range in.Codes[:cols/2] {
			binary.LittleEndian.PutUint16(out.Codes[2*i:], same[b])
		}
		if err := (MXFP4{}).Decode(ws.before, cols, fp8.ElemF32, in, 1, cols); err != nil {
			return p, err
		}
		if err := (MXFP8{}).Decode(ws.after, cols, fp8.ElemF32, out, 1, cols); err != nil {
			return p, err
		}
		p.compare(r, ws.before, ws.after, 32, nil)
	}
	return p, nil
}

// FP8ToMXFP8 rewrites rows×cols E4M3 codes whose scales, those of a grid, are powers
// of two: codes stay, and each scale becomes those of the groups that it covers. Tiles
// hold whole groups.
func FP8ToMXFP8(dst Coded, codes []byte, codeStride, rows, cols int, g fp8.Grid) (p Proof, err error) {
	if err := dst.check(mxfp8Layout, rows, cols); err != nil {
		return p, fmt.Errorf("casting: %w", err)
	}
	if g.TileCols <= 0 || g.Col0 < 0 || (g.TileCols%32 != 0 && g.TileCols < g.Col0+cols) || g.Col0%32 != 0 {
		return p, fmt.Errorf("casting: tiles of %d columns, from column %d, hold no whole groups of 32", g.TileCols, g.Col0)
	}
	if cols == 0 {
		return p, nil
	}
	ws := newCastScratch(cols)
	for r := range rows {
		one := g
		one.Row0 += r
		in := codes[r*codeStride:]
		// This also checks the grid.
		if err := fp8.Dequantize(ws.before, cols, fp8.ElemF32, in, cols, 1, cols, one); err != nil {
			return p, fmt.Errorf("casting: %w", err)
		}
		i := one.Row0 / g.TileRows
		if g.RowOf != nil {
			i = g.RowOf(one.Row0)
		}
		out := dst.row(r)
		copy(out.Codes, in[:cols])
		for j := range cols / 32 {
			s := g.Scales[i*g.Cols+(g.Col0+32*j)/g.TileCols]
			k := fp8.E8M0FromFloat32(s)
			if s <= 0 || fp8.E8M0ToFloat32(k) != s {
				return p, fmt.Errorf("casting: row %d, column %d: scale %v is no power of two from 2^-127 to 2^127", r, 32*j, s)
			}
			out.Scales[j] = k
		}
		if err := (MXFP8{}).Decode(ws.after, cols, fp8.ElemF32, out, 1, cols); err != nil {
			return p, err
		}
		p.compare(r, ws.before, ws.after, 32, nil)
	}
	return p, nil
}
