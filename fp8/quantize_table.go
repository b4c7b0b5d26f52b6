package fp8

import (
	"encoding/binary"
	"math"
)

// The table path is portable Go. A BF16 number has only 7 mantissa bits, so the
// weights of a tile take few distinct magnitudes: for those of the upper binades
// the division, the rounding and the squares are done once a tile, in a table by
// pattern, and not once a weight. Weights outside the table, which are few in any
// usual tile, are computed one by one: small ones, and those that saturate.
//
// The table ends above the subnormal codes and below saturation, so that only the
// weights outside it need counting.

const (
	// tableSpan is how many magnitude patterns the table covers: 12 binades.
	tableSpan = 12 << 7
	// tableSize is the power of two above, so that a mask replaces bounds checks.
	tableSize = 2048
)

// entry holds what every weight of one magnitude adds.
type entry struct {
	sq, er float32 // y², (y−q)²
	d      uint32  // bits of |y−q|
	code   uint32
}

// tableTile is a BF16 tile on the table path.
type tableTile struct {
	tile
	top     uint32             // the largest magnitude pattern
	size    uint32             // filled entries
	entries [tableSize]entry   // by top minus pattern
	errors  [tableSize]float32 // (y−q)², in the same order
}

// bindTable takes BF16 tiles; what is no BF16 it leaves to floatTile.
func bindTable(ws *workspace, t tile) tileKernels {
	if t.elem != ElemBF16 {
		f := (*floatTile)(&ws.generic)
		bindGeneric(ws, t)
		return f
	}
	k := &ws.table
	k.tile = t
	return k
}

// row16 returns row r of the source.
func (k *tableTile) row16(r int) []byte { return k.src[r*k.stride*2:][:k.cols*2] }

func (k *tableTile) amax() (amax float32, finite bool) {
	k.top = 0
	for r := range k.rows {
		k.top = max(k.top, amaxWords(k.row16(r)))
	}
	return BF16ToFloat32(uint16(k.top)), k.top < 0x7f80
}

// amaxWords returns the largest of the 16-bit words of b, sign bits dropped.
func amaxWords(b []byte) uint32 {
	var m0, m1, m2, m3 uint64 // apart, because each step waits for the one before
	for ; len(b) >= 32; b = b[32:] {
		m0 = maxWords(m0, binary.LittleEndian.Uint64(b))
		m1 = maxWords(m1, binary.LittleEndian.Uint64(b[8:]))
		m2 = maxWords(m2, binary.LittleEndian.Uint64(b[16:]))
		m3 = maxWords(m3, binary.LittleEndian.Uint64(b[24:]))
	}
	m := maxWords(maxWords(m0, m1), maxWords(m2, m3))
	top := uint32(max(m>>48, m>>32&0xffff, m>>16&0xffff, m&0xffff))
	for ; len(b) >= 2; b = b[2:] {
		top = max(top, uint32(binary.LittleEndian.Uint16(b)&0x7fff))
	}
	return top
}

// maxWords returns the larger of each of the four words of m, which have no top
// bits, and a, whose top bits it drops. With the top bit of every word set in a, no
// borrow of a−m crosses a word, and the top bit of a difference says that a ≥ m.
func maxWords(m, a uint64) uint64 {
	const tops = 0x8000800080008000
	ge := ((a | tops) - m) & tops
	ge -= ge >> 15 // 0x7fff where a ≥ m
	return a&ge | m&^ge
}

// bounds returns the largest pattern of the tile that does not saturate at scale
// s, and the largest one below the table.
func (k *tableTile) bounds(s float32) (high, low uint32) {
	high = k.top
	for high > 0 && BF16ToFloat32(uint16(high))/s > e4m3Saturates {
		high--
	}
	return high, max(high, tableSpan) - tableSpan
}

// fill makes the table for scale s and returns the pattern of its first entry.
//
// Only the first binade is computed. A pattern 128 below another is half its weight
// as long as both are normal, and then, as long as the code is normal too, halving
// commutes with everything that was rounded: y and y−q are half as large, their
// squares a quarter, the code is a binade lower.
func (k *tableTile) fill(s float32) (high uint32) {
	high, low := k.bounds(s)
	n := uint32(0)
	for p := high; p > low; p-- {
		if n >= 1<<7 && p >= 1<<7 {
			e := &k.entries[(n-1<<7)%tableSize]
			if e.code-8 <= e4m3MaxSubnormal {
				break
			}
			k.entries[n%tableSize] = entry{
				sq:   e.sq * 0.25,
				er:   e.er * 0.25,
				d:    math.Float32bits(math.Float32frombits(e.d) * 0.5),
				code: e.code - 8,
			}
			n++
			continue
		}
		y := BF16ToFloat32(uint16(p)) / s
		q, code := roundE4M3(y)
		if code <= e4m3MaxSubnormal {
			break
		}
		d := y - q
		k.entries[n%tableSize] = entry{
			sq:   y * y,
			er:   d * d,
			d:    math.Float32bits(abs(d)),
			code: code,
		}
		n++
	}
	k.size = n
	return high
}

func (k *tableTile) encode(s float32, _ bool) (u sums) {
	high := k.fill(s)
	var src [2 * Tile]byte
	var codes [Tile]byte
	for r := range k.rows {
		copy(src[:], k.row16(r)) // what follows a ragged row stays zero
		sq, er := k.encodeRow(&codes, &src, high, s, &u)
		copy(k.codes[r*k.codeStride:][:k.cols], codes[:])
		u.sumSq += sq
		u.sumErr += er
	}
	return u
}

// encodeRow encodes one row, padded with zeros, and returns its sums. It takes a
// lane at a time, so that the sums stay in registers, and two weights a turn.
func (k *tableTile) encodeRow(codes *[Tile]byte, src *[2 * Tile]byte, high uint32, s float32, u *sums) (sumSq, sumErr float32) {
	var sq, er lanes
	maxErr := math.Float32bits(u.maxErr)
	for lane := range uint(16) {
		var laneSq, laneErr float32
		var miss, top uint32
		in, out := (*[2*Tile - 30]byte)(src[2*lane:]), (*[Tile - 15]byte)(codes[lane:])
		for c := 0; c < Tile; c += 32 {
			p := uint32(in[2*c]) | uint32(in[2*c+1])<<8
			i := high - p&0x7fff // wraps above high
			miss = max(miss, i)
			e := &k.entries[i%tableSize]
			laneSq += e.sq
			laneErr += e.er
			top = max(top, e.d)
			out[c] = uint8(e.code | p>>8&0x80)

			p = uint32(in[2*c+32]) | uint32(in[2*c+33])<<8
			i = high - p&0x7fff
			miss = max(miss, i)
			e = &k.entries[i%tableSize]
			laneSq += e.sq
			laneErr += e.er
			top = max(top, e.d)
			out[c+16] = uint8(e.code | p>>8&0x80)
		}
		if miss >= k.size {
			laneSq, laneErr, top = k.encodeLane(codes, src, lane, high, s, u)
		}
		maxErr = max(maxErr, top)
		sq[lane], er[lane] = laneSq, laneErr
	}
	u.maxErr = math.Float32frombits(maxErr)
	return sq.join(), er.join()
}

// encodeLane encodes one lane that has weights outside the table.
func (k *tableTile) encodeLane(codes *[Tile]byte, src *[2 * Tile]byte, lane uint, high uint32, s float32, u *sums) (sq, er float32, top uint32) {
	for c := lane; c < Tile; c += 16 {
		p := uint32(binary.LittleEndian.Uint16(src[2*c:]))
		if i := high - p&0x7fff; i < k.size {
			e := &k.entries[i%tableSize]
			sq += e.sq
			er += e.er
			top = max(top, e.d)
			codes[c] = uint8(e.code | p>>8&0x80)
			continue
		}
		w := BF16ToFloat32(uint16(p))
		y := w / s
		code := E4M3FromFloat32(y)
		d := y - E4M3ToFloat32(code)
		u.count(code, w, y)
		sq += float32(y * y)
		er += float32(d * d)
		top = max(top, math.Float32bits(abs(d)))
		codes[c] = code
	}
	return sq, er, top
}

func (k *tableTile) cost(s, factor, least float32) float32 {
	high, low := k.bounds(s)
	n := high - low
	for i := range n {
		y := BF16ToFloat32(uint16(high-i)) / s
		q, _ := roundE4M3(y)
		d := y - q
		k.errors[i%tableSize] = d * d
	}
	u := k.columnWeights()
	var sum float32
	var src [2 * Tile]byte
	for r := range k.rows {
		copy(src[:], k.row16(r))
		if sum += k.costRow(&src, u, high, n, s); factor*sum >= least {
			break
		}
	}
	return factor * sum
}

// costRow returns Σ(y−q)²·u of one row, padded with zeros, for which the first n
// errors are tabulated.
func (k *tableTile) costRow(src *[2 * Tile]byte, u *[Tile]float32, high, n uint32, s float32) float32 {
	var er lanes
	for lane := range uint(16) {
		var sum float32
		var miss uint32
		for c := lane; c < Tile; c += 16 {
			at := 2 * c & (2*Tile - 2)
			p := uint32(src[at]) | uint32(src[at+1])<<8
			i := high - p&0x7fff
			miss = max(miss, i)
			sum += float32(k.errors[i%tableSize] * u[c%Tile])
		}
		if miss >= n {
			sum = 0
			for c := lane; c < Tile; c += 16 {
				p := binary.LittleEndian.Uint16(src[2*c:]) & 0x7fff
				if i := high - uint32(p); i < n {
					sum += float32(k.errors[i%tableSize] * u[c])
					continue
				}
				y := BF16ToFloat32(p) / s
				q, _ := roundE4M3(y)
				d := y - q
				sum += float32(float32(d*d) * u[c])
			}
		}
		er[lane] = sum
	}
	return er.join()
}

// floatTile is a tile of another type on the table path: the reference, but with a
// rounding that takes no branches.
type floatTile genericTile

func (f *floatTile) amax() (amax float32, finite bool) { return (*genericTile)(f).amax() }

func (f *floatTile) encode(s float32, _ bool) (u sums) {
	g := (*genericTile)(f)
	var maxErr uint32
	for r := range g.rows {
		var sq, er lanes
		codes := g.codes[r*g.codeStride:][:g.cols]
		for c, w := range g.row(r) {
			y := abs(w / s)
			q, code := roundE4M3(y)
			d := y - q
			sq[c&15] += float32(y * y)
			er[c&15] += float32(d * d)
			maxErr = max(maxErr, math.Float32bits(abs(d)))
			if code <= e4m3MaxSubnormal || y > e4m3Saturates {
				u.count(uint8(code), w, y)
			}
			codes[c] = uint8(code | math.Float32bits(w)>>24&0x80)
		}
		u.sumSq += sq.join()
		u.sumErr += er.join()
	}
	u.maxErr = math.Float32frombits(maxErr)
	return u
}

func (f *floatTile) cost(s, factor, least float32) float32 {
	g := (*genericTile)(f)
	u := g.columnWeights()
	var sum float32
	for r := range g.rows {
		var er lanes
		for c, w := range g.row(r) {
			y := abs(w / s)
			q, _ := roundE4M3(y)
			d := y - q
			er[c&15] += float32(float32(d*d) * u[c%Tile])
		}
		if sum += er.join(); factor*sum >= least {
			break
		}
	}
	return factor * sum
}
