//go:build !noasm

package fp8

import (
	"math"
	"unsafe"
)

// archTile is a full tile as the kernels in assembly want it: of BF16 or F32.
// Ragged tiles are copied to scratch memory and padded with zeros, which changes
// no sum and no maximum; F16 and F64 tiles are converted to F32 there.
type archTile struct {
	k        *asmTileKernels
	shift    int // from the bits that amax returns to those of a float32
	src      *byte
	stride   uintptr // in bytes
	hasZeros bool    // whether a weight or the padding is 0; set by amax
	least    float32 // the smallest magnitude but 0, or 0; set by amax for fast kernels
	out      rawSums

	given tile                  // the tile as given
	bf16  [Tile * Tile * 2]byte // scratch for a ragged BF16 tile
	codes [Tile * Tile]byte     // scratch for the codes of a ragged tile
}

func (a *archTile) release() { a.src, a.given = nil, tile{} }

func (k *asmKernels) bind(ws *workspace, t tile) tileKernels {
	a := &ws.arch
	a.given = t
	size := t.elem.Size()
	full := t.rows == Tile && t.cols == Tile
	switch {
	case full && (t.elem == ElemBF16 || t.elem == ElemF32):
		_ = t.src[(127*t.stride+127)*size+size-1] // all that the kernels read
		a.src, a.stride = &t.src[0], uintptr(t.stride*size)
	case t.elem == ElemBF16:
		for r := range Tile {
			row := a.bf16[r*Tile*2:][:Tile*2]
			n := 0
			if r < t.rows {
				n = copy(row, t.src[r*t.stride*2:][:t.cols*2])
			}
			clear(row[n:])
		}
		a.src, a.stride = &a.bf16[0], Tile*2
	default:
		for r := range Tile {
			row := ws.f32[r*Tile:][:Tile]
			n := 0
			if r < t.rows {
				k.decode(row[:t.cols], t.src[r*t.stride*size:], t.elem)
				n = t.cols
			}
			clear(row[n:])
		}
		a.src, a.stride = (*byte)(unsafe.Pointer(&ws.f32[0])), Tile*4
	}
	a.k, a.shift = &k.f32, 0
	if t.elem == ElemBF16 {
		a.k, a.shift = &k.bf16, 16
	}
	return a
}

func (a *archTile) amax() (amax float32, finite bool) {
	hi, lo := a.k.amax(a.src, a.stride)
	a.hasZeros = lo == 0
	if a.k.least != nil {
		if lo == 0 {
			lo = a.k.least(a.src, a.stride)
		}
		a.least = math.Float32frombits(lo << a.shift)
	}
	hi <<= a.shift
	return math.Float32frombits(hi), hi < 0x7f800000
}

// normal says that at scale s the quotients of all weights but 0, and everything
// that the kernels without a division compute on the way to them, are normal
// numbers, so that those kernels may be used. 1/s always is one.
func (a *archTile) normal(s float32) bool {
	return a.k.least != nil && a.least >= 0x1p-100 && a.least >= s*0x1p-100
}

func (a *archTile) cost(s, factor, least float32) float32 {
	fast := a.normal(s)
	if w := a.given.weights; w != nil {
		cost := a.k.weightedCost
		if fast {
			cost = a.k.weightedCostFast
		}
		return cost(a.src, a.stride, s, factor, least, &w[0])
	}
	cost := a.k.cost
	if fast {
		cost = a.k.costFast
	}
	return cost(a.src, a.stride, s, factor, least)
}

func (a *archTile) encode(s float32, beyond bool) sums {
	t := &a.given
	codes, stride := t.codes, t.codeStride
	ragged := t.rows < Tile || t.cols < Tile
	if ragged {
		codes, stride = a.codes[:], Tile
	}
	_ = codes[127*stride+127] // all that the kernels write
	encode := a.k.encode
	switch {
	case beyond:
		encode = a.k.encodeBeyond
	case a.normal(s):
		encode = a.k.encodeFast
	}
	encode(&codes[0], uintptr(stride), a.src, a.stride, s, &a.out)
	if ragged {
		for r := range t.rows {
			copy(t.codes[r*t.codeStride:][:t.cols], a.codes[r*Tile:])
		}
	}
	var zeros uint32 // weights that are 0, padding included: their codes are 0 too
	if a.hasZeros {
		zeros = a.k.zeros(a.src, a.stride)
	}
	o := &a.out
	return sums{
		sumSq:     o.sumSq,
		sumErr:    o.sumErr,
		maxErr:    o.maxErr,
		saturated: o.saturated,
		subnormal: o.small - o.zero,
		zero:      o.zero - zeros,
	}
}
