package verify

import (
	"encoding/binary"
	"math"

	"quern/fp8"
	"quern/internal/vec"
)

// energy adds up what the figures of a comparison are made from, w against ŵ.
// Terms are float64 of exact float32 values. They are added block by block, and in a
// block as [vec.Energies] does on every machine, so that sums are the same however a
// tensor was cut.
type energy struct {
	want float64 // Σw²
	got  float64 // Σŵ²
	diff float64 // Σ(w−ŵ)²
	most float64 // max (w−ŵ)²
}

// merge adds the sums of another tensor.
func (e *energy) merge(o *energy) {
	e.want += o.want
	e.got += o.got
	e.diff += o.diff
	e.most = max(e.most, o.most)
}

// add adds a block of weights, both sides as little-endian float32.
func (e *energy) add(want, got []byte) {
	ww, gg, dd, most := vec.Energies(want, got[:len(want)])
	e.want += ww
	e.got += gg
	e.diff += dd
	e.most = max(e.most, most)
}

func f32(p []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(p)) }

// worstDB stands for ratios that have no number: of NaN, and of errors against a
// baseline of zeros.
const worstDB = -400

// sqnr returns the signal-to-noise ratio in dB, nil when nothing differs.
func (e *energy) sqnr() *float64 {
	if e.diff == 0 {
		return nil
	}
	db := 10 * math.Log10(e.want/e.diff)
	if !(db > worstDB) {
		db = worstDB
	}
	return &db
}

// relative returns √(Σ(w−ŵ)²/Σw²).
func (e *energy) relative() float64 {
	if e.diff == 0 {
		return 0
	}
	return finite(math.Sqrt(e.diff / e.want))
}

// cosine returns the cosine between w and ŵ: 1 where nothing differs, 0 where
// one of them is zero. Its scalar product follows from the other sums.
func (e *energy) cosine() float64 {
	if e.diff == 0 {
		return 1
	}
	x := (e.want + e.got - e.diff) / 2 / (math.Sqrt(e.want) * math.Sqrt(e.got))
	if math.IsNaN(x) {
		return 0
	}
	return max(-1, min(1, x))
}

// maxAbs returns max |w−ŵ|.
func (e *energy) maxAbs() float64 {
	if math.IsNaN(e.diff) {
		return math.MaxFloat64
	}
	return finite(math.Sqrt(e.most))
}

// finite keeps to numbers that JSON has.
func finite(x float64) float64 {
	if math.IsNaN(x) || x > math.MaxFloat64 {
		return math.MaxFloat64
	}
	return x
}

// widen writes elements of src as little-endian float32 and returns them; float32
// is returned as it is. F64 is rounded.
func widen(dst, src []byte, e fp8.Elem) []byte {
	if e == fp8.ElemF32 {
		return src
	}
	fp8.CastF32(dst, src, e)
	return dst[:4*(len(src)/e.Size())]
}
