package verify

import (
	"bytes"
	"fmt"
	"math"

	"quern/fp8"
	"quern/internal/ui"
)

// codesCheck asks of every code of a tensor whether it is the nearest one to its
// weight under its own stored scale, whatever that scale is: what was damaged behind
// the quantizer's back is not, and neither are codes whose scales were changed,
// swapped or rounded. Figures over a whole tensor cannot see that: one code of a large
// matrix changes its ratio in the ninth digit.
type codesCheck struct {
	exact bool // the baseline has the weights themselves, not codes of its own

	count, first int64 // codes that are not
	got, want    byte  // of the first
	weight       float32
	scale        float32
}

// tiles looks at whole rows of tiles. want are the codes of a fresh quantization, and
// tiles what it tells, or nil where none was made.
func (c *codesCheck) tiles(w *worker, e *errorCheck, at int64, codes []byte, m fp8.Matrix, scales []float32, tiles []fp8.TileStats) error {
	w.codes = grown(w.codes, int64(len(codes)))
	want := w.codes[:len(codes)]
	width := ceilDiv(m.Cols, fp8.Tile)
	for i, s := range scales {
		if tiles != nil && math.Float32bits(tiles[i].Scale) == math.Float32bits(s) {
			continue // the fresh codes are those under this scale
		}
		if !(s > 0) || s-s != 0 {
			s = 1 // no scale: the gate for scales says so, and the codes are wrong as well
		}
		part, to := m.Tile(i/width, i%width), i/width*fp8.Tile*m.Cols+i%width*fp8.Tile
		if err := fp8.Encode(want[to:], m.Cols, []fp8.TileStats{{Scale: s}}, part); err != nil {
			return fmt.Errorf("tensor %q: %w", e.codes.weight.Name, err)
		}
	}
	if bytes.Equal(want, codes) {
		return nil
	}
	var weight [4]byte
	size := m.Elem.Size()
	for i, code := range codes {
		if code == want[i] {
			continue
		}
		x := f32(widen(weight[:], m.Data[i*size:(i+1)*size], m.Elem))
		c.look(at+int64(i), code, x, scales[i/m.Cols/fp8.Tile*width+i%m.Cols/fp8.Tile])
	}
	return nil
}

// run looks at codes with one scale against weights, which are float32. The first has
// the index at. It is the twin of tiles for all other layouts.
func (c *codesCheck) run(at int64, codes, weights []byte, scale float32) {
	weights = weights[:4*len(codes)]
	for i, code := range codes {
		w := f32(weights[4*i:])
		if k, y := &within[code], w/scale; y > k[0] && y < k[1] && scale > 0 {
			continue
		}
		c.look(at+int64(i), code, w, scale)
	}
}

// within are, by code, the quotients of which it is the nearest without a doubt: those
// a little inside the midpoints to its neighbours. None are of zero, whose sign counts.
var within = func() (b [256][2]float32) {
	value := fp8.E4M3ToFloat32
	for m := uint8(1); m < 127; m++ {
		low, high := (value(m-1)+value(m))/2, float32(math.MaxFloat32)
		if m < 126 {
			high = (value(m) + value(m+1)) / 2 * (1 - 0x1p-20)
		}
		low *= 1 + 0x1p-20
		b[m], b[m|0x80] = [2]float32{low, high}, [2]float32{-high, -low}
	}
	return b
}()

// look judges one code and counts it if it is not the nearest.
func (c *codesCheck) look(i int64, code byte, w, scale float32) {
	want, ok := nearest(code, w, scale, c.exact)
	if ok {
		return
	}
	if c.count == 0 {
		c.first, c.got, c.want, c.weight, c.scale = i, code, want, w, scale
	}
	c.count++
}

const (
	// reciprocal is how far, relatively, w·(1/s) may lie from w/s: two roundings more.
	reciprocal = 0x1p-22
	// throughBF16 is how far the weight of a baseline in FP8 may lie from the one that
	// was quantized, if that was the baseline in BF16.
	throughBF16 = 0x1p-8
)

// nearest returns the code that is nearest to a weight under its scale, ties to even,
// clamped to ±448, with the weight's sign also where it is zero, and whether code may
// stand for it. It may where only the rounding of the quotient decides: quantizers
// that multiply by the reciprocal, whose quotient is off in its last bits, are as good.
// Dividing by a power of two rounds nothing, so there is nothing to allow for.
func nearest(code byte, w, scale float32, exact bool) (want byte, ok bool) {
	if w-w != 0 {
		return code, true // a weight that is not finite has no code
	}
	y := w / scale
	want = fp8.E4M3FromFloat32(y)
	slack := float32(reciprocal)
	switch {
	case code == want:
		return want, true
	case !(scale > 0) || scale-scale != 0:
		return want, false
	case !exact:
		slack = throughBF16
	case isPowerOfTwo(scale):
		return want, false
	}
	return want, code == fp8.E4M3FromFloat32(y*(1-slack)) || code == fp8.E4M3FromFloat32(y*(1+slack))
}

// problem says which codes are not the nearest, "" if all are.
func (c *codesCheck) problem(s *scaled) string {
	if c.count == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s of %s codes are not the nearest to their weights under their scales, the first at %s: 0x%02x (%v × %v) for %v, which 0x%02x (%v) is nearest to",
		title(s.weight), ui.Count(c.count), ui.Count(elements(s.weight.Shape)), index(c.first, s.weight.Shape),
		c.got, fp8.E4M3ToFloat32(c.got), c.scale, c.weight, c.want, fp8.E4M3ToFloat32(c.want))
}

// codesGate sums up the codes.
func (x *comparison) codesGate() Gate {
	t := tally{name: "codes"}
	any := false
	for _, e := range x.errors {
		if e == nil {
			continue
		}
		any = true
		if p := e.problem(); p != "" {
			t.fail("%s", p)
		}
	}
	if !any {
		return skipped("codes", "nothing is quantized")
	}
	return t.gate()
}
