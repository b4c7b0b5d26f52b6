package verify

import (
	"encoding/binary"
	"math"

	"quern/fp8"
)

// energy adds up what the figures of a comparison are made from, w against ŵ.
// Terms are float64 of exact float32 values. They are added block by block, and in
// a block in two lanes, so that sums are the same however a tensor was cut.
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

// add adds a block of weights, both sides as little-endian float32. The
// conversions forbid fused multiply-adds, on which architectures differ.
func (e *energy) add(want, got []byte) {
	var w0, w1, g0, g1, d0, d1 float64
	most := e.most
	got = got[:len(want)]
	for len(want) >= 8 && len(got) >= 8 {
		w, g := float64(f32(want)), float64(f32(got))
		d := w - g
		q := float64(d * d)
		w0 += float64(w * w)
		g0 += float64(g * g)
		d0 += q
		if q > most {
			most = q
		}
		w, g = float64(f32(want[4:])), float64(f32(got[4:]))
		d = w - g
		q = float64(d * d)
		w1 += float64(w * w)
		g1 += float64(g * g)
		d1 += q
		if q > most {
			most = q
		}
		want, got = want[8:], got[8:]
	}
	if len(want) >= 4 { // the last of an odd number
		w, g := float64(f32(want)), float64(f32(got))
		d := w - g
		w0 += float64(w * w)
		g0 += float64(g * g)
		d0 += float64(d * d)
		most = max(most, float64(d*d))
	}
	e.want += w0 + w1
	e.got += g0 + g1
	e.diff += d0 + d1
	e.most = most
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
	put := func(i int, x float32) { binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x)) }
	n := len(src) / e.Size()
	switch e {
	case fp8.ElemBF16:
		out := dst[:4*n]
		for len(src) >= 8 && len(out) >= 16 {
			u := binary.LittleEndian.Uint64(src)
			binary.LittleEndian.PutUint64(out, u<<16&0xffff0000|u<<32&0xffff0000_00000000)
			binary.LittleEndian.PutUint64(out[8:], u>>16&0xffff0000|u&0xffff0000_00000000)
			src, out = src[8:], out[16:]
		}
		for ; len(src) >= 2; src, out = src[2:], out[4:] {
			binary.LittleEndian.PutUint32(out, uint32(binary.LittleEndian.Uint16(src))<<16)
		}
	case fp8.ElemF32:
		return src
	case fp8.ElemF16:
		for i := range n {
			put(i, fp8.F16ToFloat32(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case fp8.ElemF64:
		for i := range n {
			put(i, float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))))
		}
	}
	return dst[:4*n]
}
