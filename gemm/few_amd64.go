//go:build !noasm

package gemm

import "unsafe"

// fewKernels are the kernels of MulFew in one instruction set. They compute the
// products of some rows of x with groups of four weight rows, from w on and stride
// bytes apart. Strides are in bytes; of the modes they know add.
type fewKernels struct {
	rows int  // of x that one call takes
	step int  // a tile of codes ends where a step of so many inputs does
	anyK bool // all kernels take any k; otherwise only f32 does, the others multiples of 16

	// decode decodes part of a row of codes. With at least decodeFrom rows of x, if
	// that is not 0, it pays to decode four weight rows once instead of in every call.
	decode     func(dst []float32, w *Weight, o, i0 int)
	decodeFrom int

	f32, f16, bf16 func(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

	// Each weight row has one scale for tile codes; the scales of the next row begin
	// scaleStep bytes further.
	e4m3 func(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, scales *float32, scaleStep uintptr, tile int, m mode)
}

// fewBytes of weights stay in the first two levels of cache while they are read
// again for further rows of x.
const fewBytes = 128 << 10

// noScale is the scale of codes that have none.
var noScale = [1]float32{1}

// fewSource says where the weight rows of a run lie.
type fewSource struct {
	format    Format
	w         *byte
	stride    uintptr
	scales    *float32
	scaleStep uintptr
	tile      int
}

func (a *fewKernels) few(q *fewProduct, ws *workspace, o0, o1 int) {
	w := &q.w
	_, _, stride := w.shape()
	_ = w.at((o1-1)*stride + w.In - 1) // all that the kernels read
	_ = q.x[(q.rows-1)*q.ldx+w.In-1]
	_ = q.y[(q.rows-1)*q.ldy+o1-1] // and write
	size := w.Format.Size()
	chunk := o1 - o0
	if q.rows > a.rows {
		chunk = max(fewBytes/(w.In*size)&^3, 4)
	}
	across := 1
	if w.Scales != nil {
		across = w.tilesIn()
	}
	for o := o0; o < o1; {
		end := min(o+chunk, o1)
		s := fewSource{format: w.Format, w: w.at(o * stride), stride: uintptr(stride * size)}
		if w.Format == E4M3 {
			s.scales, s.tile = &noScale[0], w.In
			if w.Scales != nil {
				scales := w.Scales[o/w.TileOut*across:]
				if w.TileOut == 1 {
					s.scaleStep = uintptr(across) * 4
					scales = scales[:(end-o)*across]
				} else {
					end = min(end, (o/w.TileOut+1)*w.TileOut)
					scales = scales[:across]
				}
				s.scales, s.tile = &scales[0], w.TileIn
				if across > 1 && w.TileIn%a.step != 0 || anyHuge(scales) {
					s.tile = 0
				}
			}
		}
		again := a.decodeFrom > 0 && q.rows >= a.decodeFrom
		if w.Format != F32 && w.In%16 != 0 && !a.anyK || w.Format == E4M3 && (s.tile == 0 || again) {
			end = min(end, o+4)
			s = a.decoded(ws, w, o, end)
		}
		a.run(q, ws, o, end, s)
		o = end
	}
}

// anyHuge says whether 256 times a scale may not be finite.
func anyHuge(scales []float32) bool {
	for _, s := range scales {
		if hugeScale(s) {
			return true
		}
	}
	return false
}

// decoded decodes the rows o…end−1, for what no kernel takes as it is.
func (a *fewKernels) decoded(ws *workspace, w *Weight, o, end int) fewSource {
	buf := ws.decoded.take((end - o) * w.In)
	for i := range end - o {
		row := buf[i*w.In:][:w.In]
		if w.Format == E4M3 {
			a.decode(row, w, o+i, 0)
		} else {
			w.decodeRow(row, o+i, 0)
		}
	}
	return fewSource{format: F32, w: (*byte)(unsafe.Pointer(&buf[0])), stride: uintptr(w.In) * 4}
}

// run computes the outputs o…end−1 from the weight rows of s.
func (a *fewKernels) run(q *fewProduct, ws *workspace, o, end int, s fewSource) {
	var how mode
	if q.add {
		how = add
	}
	groups := (end - o) / 4
	for m := 0; m < q.rows; m += a.rows {
		n := min(a.rows, q.rows-m)
		x := &q.x[m*q.ldx]
		if groups > 0 {
			a.kernel(q, &q.y[m*q.ldy+o], uintptr(q.ldy)*4, x, n, s, groups, how)
		}
		for r := 4 * groups; r < end-o; r++ {
			// One row is left: a group of four times this row.
			one := s
			one.w = (*byte)(unsafe.Add(unsafe.Pointer(s.w), uintptr(r)*s.stride))
			one.scales = (*float32)(unsafe.Add(unsafe.Pointer(s.scales), uintptr(r)*s.scaleStep))
			one.stride, one.scaleStep = 0, 0
			tile := &ws.asm.tile
			a.kernel(q, &tile[0], 16, x, n, one, 1, 0)
			for i := range n {
				q.put(m+i, o+r, tile[4*i])
			}
		}
	}
}

func (a *fewKernels) kernel(q *fewProduct, y *float32, ldy uintptr, x *float32, n int, s fewSource, groups int, m mode) {
	ldx, k := uintptr(q.ldx)*4, q.w.In
	switch s.format {
	case F32:
		a.f32(y, ldy, x, ldx, n, s.w, s.stride, k, groups, m)
	case BF16:
		a.bf16(y, ldy, x, ldx, n, s.w, s.stride, k, groups, m)
	case F16:
		a.f16(y, ldy, x, ldx, n, s.w, s.stride, k, groups, m)
	case E4M3:
		a.e4m3(y, ldy, x, ldx, n, s.w, s.stride, k, groups, s.scales, s.scaleStep, s.tile, m)
	}
}
