package verify

import (
	"fmt"
	"math"

	"quern/fp8"
)

// returned looks at a matrix that is no codes and differs from its baseline as one does
// that was quantized and dequantized again: FP8 and back. What such a matrix may lose is
// what the codes would have lost, so it is judged by the ratio that they reach, and each
// weight by the step that they have there.
type returned struct {
	elem  fp8.Elem // of the candidate
	cols  int
	sum   energy    // of pieces in which something differs
	ideal fp8.Stats // of quantizing the baseline in those

	beyond, first int64 // weights that are further off than a code can be
}

// piece takes whole rows of tiles, the first with index at: p of the candidate, m of
// the baseline.
func (c *returned) piece(w *worker, p []byte, m fp8.Matrix, at int64) error {
	width := ceilDiv(m.Cols, fp8.Tile)
	count := ceilDiv(m.Rows, fp8.Tile) * width
	w.codes, w.tiles = grown(w.codes, int64(m.Rows*m.Cols)), grown(w.tiles, int64(count))
	tiles := w.tiles[:count]
	if err := fp8.Quantize(w.codes, m.Cols, tiles, m, fp8.Options{}); err != nil {
		return err
	}
	for i := range tiles {
		c.ideal.Add(tiles[i])
	}
	its, mine := m.Elem.Size(), c.elem.Size()
	for i := 0; i < m.Rows*m.Cols; i += blockElements {
		n := min(blockElements, m.Rows*m.Cols-i)
		want := widen(w.want, m.Data[i*its:(i+n)*its], m.Elem)
		got := widen(w.got, p[i*mine:(i+n)*mine], c.elem)
		c.sum.add(want, got)
		for k := range n {
			x, y := float64(f32(want[4*k:])), float64(f32(got[4*k:]))
			scale := float64(tiles[(i+k)/m.Cols/fp8.Tile*width+(i+k)%m.Cols/fp8.Tile].Scale)
			if !(math.Abs(x-y) <= step(math.Abs(x), scale)) {
				if c.beyond == 0 {
					c.first = at + int64(i+k)
				}
				c.beyond++
			}
		}
	}
	return nil
}

// step is how far a weight may be from the value of its code, under a scale up to twice
// that of the absolute maximum, when the value is rounded to BF16: half the distance of
// two codes, which is 2⁻⁴ of the weight or, where codes are subnormal, 2⁻¹⁰ of the scale.
// A search that saturates the largest weights takes up to a fifth off them.
func step(x, scale float64) float64 {
	most := x/16 + x/256
	if x > 448*scale*0.8 {
		most = x / 5
	}
	return max(most, 2*scale/1024)
}

// limit is what the ratio has to reach, in dB.
func (c *returned) limit() float64 {
	if db, exact := c.ideal.SQNR(); !exact {
		return min(enough, db-tolerance)
	}
	return enough
}

// least is the ratio below which a matrix has not merely been through FP8.
const least = 20

// passedThrough reports whether the candidate as a whole went through FP8: nearly all
// matrices that are quantized by default differ, and each as one does that did.
func (x *comparison) passedThrough() bool {
	all, through := 0, 0
	for _, c := range x.equals {
		if c == nil || c.back == nil {
			continue
		}
		all++
		if db := c.back.sum.sqnr(); c.count > 0 && db != nil && *db >= least {
			through++
		}
	}
	return through > 0 && 10*through >= 9*all
}

// problem says why a matrix is not what FP8 and back may have made of its baseline, ""
// if it is; ratios are the gate sqnr's.
func (c *equalCheck) returnedProblem() string {
	if c.back.beyond == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d values are further from the baseline's than FP8 and back explains, the first at %s", title(c.tensor), c.back.beyond, index(c.back.first, c.tensor.Shape))
}
