//go:build !noasm

package gemm

import "unsafe"

// packers make panels in one instruction set.
type packers struct {
	nr    int // columns of a panel
	group int // weight rows that are transposed together

	// These transpose 16 bytes of each row a chunk: 4 inputs of float32, 8 of BF16.
	// Row r begins at src+offsets[r]; dst is the first of group columns.
	packF32, packBF16 func(dst *float32, src *byte, offsets *[16]uintptr, chunks int)

	// The same for 16 codes, times a scale for each row.
	packE4M3 func(dst *float32, src *byte, offsets *[16]uintptr, chunks int, scales *[16]float32)

	// These copy from weights that are stored transposed, for k inputs that begin
	// stride bytes apart: the columns in the mask, but all nr unless anyCols.
	copyF32, copyBF16 func(dst *float32, src *byte, stride uintptr, k int, mask uint32)
	anyCols           bool

	// These decode n numbers, a multiple of 32. s is a scale times 256.
	decodeE4M3 func(dst *float32, codes *byte, n int, s float32)
	decodeF16  func(dst *float32, src *byte, n int)
}

// hugeScale says whether 256·s may not be finite.
func hugeScale(s float32) bool { return !(s <= 0x1p119 && s >= -0x1p119) }

func (a *packers) pack(dst []float32, ws *workspace, w *Weight, n0, cols, k0, k int) {
	_ = dst[(k+packSlack-1)/packSlack*packSlack*a.nr-1] // all that is written
	if w.Transposed {
		a.packTransposed(dst, ws, w, n0, cols, k0, k)
		return
	}
	_, _, stride := w.shape()
	_ = w.at((n0+cols-1)*stride + k0 + k - 1) // all that is read
	size := w.Format.Size()
	offsets := &ws.asm.offsets
	for j := 0; j < cols; j += a.group {
		// Where there are less rows than a group has, the last one is repeated.
		n := min(a.group, cols-j)
		src := w.at((n0+j)*stride + k0)
		for r := range a.group {
			offsets[r] = uintptr(min(r, n-1) * stride * size)
		}
		switch w.Format {
		case F32:
			a.chunks(dst[j:], ws, a.packF32, 4, src, n, k)
		case BF16:
			a.chunks(dst[j:], ws, a.packBF16, 8, src, n, k)
		case E4M3:
			if k%16 == 0 && (w.Scales == nil || w.TileIn%16 == 0) {
				a.packCodes(dst[j:], ws, w, n0+j, n, src, k0, k)
				continue
			}
			fallthrough
		default:
			src = a.decodeRows(ws, w, n0+j, n, k0, k)
			a.chunks(dst[j:], ws, a.packF32, 4, src, n, k)
		}
	}
}

func (a *packers) packTransposed(dst []float32, ws *workspace, w *Weight, n0, cols, k0, k int) {
	_, _, stride := w.shape()
	_ = w.at((k0+k-1)*stride + n0 + cols - 1) // all that is read
	src, step := w.at(k0*stride+n0), uintptr(stride*w.Format.Size())
	switch {
	case cols < a.nr && !a.anyCols || w.Format == F16 || w.Format == E4M3:
		packGeneric(dst, ws, w, n0, cols, k0, k)
	case w.Format == F32:
		a.copyF32(&dst[0], src, step, k, columns(cols))
	default:
		a.copyBF16(&dst[0], src, step, k, columns(cols))
	}
}

// chunks packs n rows of k inputs, each of them inputs a chunk, that begin at the
// offsets from src. The last chunk, if it is not whole, is copied to where there is
// room to read all of it.
func (a *packers) chunks(dst []float32, ws *workspace, pack func(dst *float32, src *byte, offsets *[16]uintptr, chunks int), each int, src *byte, n, k int) {
	offsets, tail := &ws.asm.offsets, &ws.asm.tail
	if full := k / each; full > 0 {
		pack(&dst[0], src, offsets, full)
	}
	if rest := k % each; rest > 0 {
		size := 16 / each
		at := unsafe.Add(unsafe.Pointer(src), (k-rest)*size)
		for r := range n {
			clear(tail[16*r:][:16])
			copy(tail[16*r:], unsafe.Slice((*byte)(unsafe.Add(at, offsets[r])), rest*size))
		}
		for r := range a.group {
			offsets[r] = uintptr(min(r, n-1) * 16)
		}
		pack(&dst[(k-rest)*a.nr], &tail[0], offsets, 1)
	}
}

// packCodes packs n rows of k codes, from row o on, that begin at the offsets from
// src.
func (a *packers) packCodes(dst []float32, ws *workspace, w *Weight, o, n int, src *byte, k0, k int) {
	offsets, scales := &ws.asm.offsets, &ws.asm.scales
	if w.Scales == nil {
		for r := range scales {
			scales[r] = 1
		}
		a.packE4M3(&dst[0], src, offsets, k/16, scales)
		return
	}
	across := w.tilesIn()
	var rows [16]int // of scales
	for r := range rows {
		rows[r] = (o + min(r, n-1)) / w.TileOut * across
	}
	for i := 0; i < k; {
		t := (k0 + i) / w.TileIn
		end := min(k, (t+1)*w.TileIn-k0)
		for r, at := range rows {
			scales[r] = w.Scales[at+t]
		}
		a.packE4M3(&dst[i*a.nr], (*byte)(unsafe.Add(unsafe.Pointer(src), i)), offsets, (end-i)/16, scales)
		i = end
	}
}

// decodeRows decodes n rows, from row o on, to scratch memory and sets the offsets.
func (a *packers) decodeRows(ws *workspace, w *Weight, o, n, k0, k int) *byte {
	stride := (k+15)&^15 + 16 // not a power of two: rows would share cache sets
	buf := ws.decoded.take(a.group * stride)
	for r := range n {
		a.decodeRow(buf[r*stride:][:k], w, o+r, k0)
	}
	for r := range a.group {
		ws.asm.offsets[r] = uintptr(min(r, n-1) * stride * 4)
	}
	return (*byte)(unsafe.Pointer(&buf[0]))
}

// decodeRow is [Weight.decodeRow] for F16 and E4M3.
func (a *packers) decodeRow(dst []float32, w *Weight, o, i0 int) {
	_, _, stride := w.shape()
	src := w.Data[(o*stride+i0)*w.Format.Size():]
	if w.Format == F16 {
		n := len(dst) &^ 31
		if n > 0 {
			a.decodeF16(&dst[0], &src[:2*n][0], n)
		}
		w.decodeRow(dst[n:], o, i0+n)
		return
	}
	for i := 0; i < len(dst); {
		s, end := float32(1), len(dst)
		if w.Scales != nil {
			t := (i0 + i) / w.TileIn
			s = w.Scales[o/w.TileOut*w.tilesIn()+t]
			end = min(end, (t+1)*w.TileIn-i0)
		}
		n := (end - i) &^ 31
		if hugeScale(s) {
			n = 0
		}
		if n > 0 {
			a.decodeE4M3(&dst[i], &src[i:][:n][0], n, 256*s)
		}
		w.decodeRow(dst[i+n:end], o, i0+i+n)
		i = end
	}
}
