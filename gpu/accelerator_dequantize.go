package gpu

import (
	"math"

	"quern/fp8"
	"quern/gpu/kernels"
)

func (a *accelerator) Dequantize(dst []byte, dstStride int, elem fp8.Elem, codes []byte, codeStride, rows, cols int, g fp8.Grid) *Pending {
	if elem != fp8.ElemBF16 && elem != fp8.ElemF32 || rows == 0 || cols == 0 ||
		!fits(len(codes), codeStride, rows, cols) || !fits(len(dst)/elem.Size(), dstStride, rows, cols) ||
		checkGrid(&g, rows, cols) != nil || !finite(g.Scales) {
		// What is wrong is said there. The NaN that an infinite scale times zero
		// gives, say, is another one on every processor.
		return done(fp8.Dequantize(dst, dstStride, elem, codes, codeStride, rows, cols, g))
	}
	parts := a.gridParts(rows, cols, max(elem.Size(), 1), 4, &g)
	if parts == nil { // scales of very few codes
		return done(fp8.Dequantize(dst, dstStride, elem, codes, codeStride, rows, cols, g))
	}
	return a.call(func(j *job) {
		for _, p := range parts {
			if !j.piece(func(s *slot) (func(), error) {
				if err := a.upload(s, codes, p, codeStride, 1); err != nil {
					return nil, err
				}
				sent, err := s.sendGrid(&g, p)
				if err != nil {
					return nil, err
				}
				k := kernels.Dequantize.BF16
				if elem == fp8.ElemF32 {
					k = kernels.Dequantize.F32
				}
				groups := ceilDiv(p.rows*p.stride/4, kernels.GroupSize)
				if err := s.launch(k, groups, buffers(s.src, s.dst, s.small[0], s.small[1]),
					p.stride, p.rows, sent.cols, sent.tileCols, sent.col0); err != nil {
					return nil, err
				}
				return a.download(s, dst, p, dstStride, elem.Size())
			}) {
				return
			}
		}
	})
}

// gridParts cuts a matrix of codes so that every part and its scales fit, where
// size bytes on the device are the most that an element takes.
func (a *accelerator) gridParts(rows, cols, size, align int, g *fp8.Grid) []part {
	return cut(rows, cols, 1, align, align, func(stride int) int {
		scales := stride/g.TileCols + 2 // of a row, at most, and no two rows the same
		return min(a.chunk/(stride*size), a.small/(4*scales))
	})
}

// sent says which scales of a part are on the device.
type sent struct {
	cols, tileCols, col0 int
}

// sendGrid sends the scales of a part to small[0], and to small[1] which row of
// them each row of the part has. Columns that only pad the part get a scale, too.
func (s *slot) sendGrid(g *fp8.Grid, p part) (sent, error) {
	col := g.Col0 + p.col
	first, last := col/g.TileCols, (col+p.stride-1)/g.TileCols
	width := last - first + 1
	var scales []uint32
	rowOf := make([]uint32, p.rows)
	for r, row := 0, -1; r < p.rows; r++ {
		if i := gridRow(g, p.row+r); i != row {
			row = i
			for j := first; j <= last; j++ {
				x := float32(0)
				if j < g.Cols {
					x = g.Scales[i*g.Cols+j]
				}
				scales = append(scales, math.Float32bits(x))
			}
		}
		rowOf[r] = uint32(len(scales)/width - 1)
	}
	if err := s.sendSmall(0, scales); err != nil {
		return sent{}, err
	}
	return sent{width, min(g.TileCols, math.MaxInt32), col - first*g.TileCols}, s.sendSmall(1, rowOf)
}

// finite reports whether no number is NaN or infinite.
func finite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}
