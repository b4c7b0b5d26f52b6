package group

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// cut returns the part of m from column c on, n columns wide.
func cut(m fp8.Matrix, c, n int) fp8.Matrix {
	m.Data, m.Cols = m.Data[c*m.Elem.Size():], n
	return m
}

// A matrix that is coded in parts, cut between groups and rows, gives the bytes and
// the statistics of one that is coded at once. Parts of FP8 by tensor are cut at
// multiples of 8.
func TestCuts(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, d := range distributions {
			const rows, cols = 3, 2112
			m := source(fp8.ElemBF16, rows, cols, cols, func(i int) float64 { return d.f(r, i) })
			for _, f := range formats(m) {
				l := f.Layout()
				want, wantRows := encoded(t, f, m)
				got, gotRows := dense(l, rows, cols), make([]Row, rows)
				for c := 0; c < cols; {
					n := cols
					switch {
					case l.Group > 0:
						n = l.Group * (1 + r.IntN(40)*r.IntN(2))
					case l.ScaleBytes == 0:
						n = 8 * (1 + r.IntN(100))
					}
					n = min(n, cols-c)
					part := f
					switch x := f.(type) { // weights are those of the part's columns
					case NVFP4:
						x.Search = cutSearch(x.Search, c, n)
						part = x
					case INT4:
						x.Search = cutSearch(x.Search, c, n)
						part = x
					}
					for row := 0; row < rows; row += 2 {
						height := min(2, rows-row)
						src := cut(m, c, n)
						src.Data, src.Rows = src.Data[row*m.Stride*2:], height
						dst := got
						dst.Codes = dst.Codes[row*dst.CodeStride+l.CodeBytes(c):]
						if l.ScaleBytes > 0 {
							dst.Scales = dst.Scales[row*dst.ScaleStride:]
							if l.Group > 0 {
								dst.Scales = dst.Scales[l.Scales(c)*l.ScaleBytes:]
							}
						}
						if err := part.Encode(dst, gotRows[row:row+height], src); err != nil {
							t.Fatal(err)
						}
					}
					c += n
				}
				same(t, fmt.Sprintf("%s: %s, %T in parts", p.name, d.name, f), got, want, gotRows, wantRows)
			}
		}
	}
}

func cutSearch(s Search, c, n int) Search {
	if len(s.Weights) > 0 {
		s.Weights = s.Weights[c : c+n]
	}
	return s
}

// The statistics against what the decoded values say, summed exactly.
func TestStats(t *testing.T) {
	for _, d := range distributions {
		r := rand.New(rand.NewPCG(5, 5))
		const rows, cols = 4, 1024
		m := source(fp8.ElemF32, rows, cols, cols, func(i int) float64 { return d.f(r, i) })
		w := make([]float32, rows*cols)
		m.Elem.Decode(w, m.Data)
		for _, f := range formats(m) {
			dst, stats := encoded(t, f, m)
			values := make([]float32, rows*cols)
			fp8.ElemF32.Decode(values, decoded(t, f, dst, rows, cols)[1])
			var s Stats
			finite := true
			for i := range stats {
				finite = finite && !stats[i].NonFinite()
				s.Add(&stats[i])
			}
			sq, er := new(big.Float).SetPrec(1000), new(big.Float).SetPrec(1000)
			var most float64
			var zero int64
			for i := range w {
				a, e := float64(w[i]), float64(w[i]-values[i])
				if math.IsInf(e, 0) {
					finite = false
					break
				}
				sq.Add(sq, new(big.Float).Mul(big.NewFloat(a), big.NewFloat(a)))
				er.Add(er, new(big.Float).Mul(big.NewFloat(e), big.NewFloat(e)))
				most = max(most, math.Abs(e))
				if a != 0 && values[i] == 0 {
					zero++
				}
			}
			if !finite {
				continue
			}
			what := fmt.Sprintf("%s: %T", d.name, f)
			for _, x := range []struct {
				name string
				got  float64
				want *big.Float
			}{{"SumSq", s.SumSq, sq}, {"SumErr", s.SumErr, er}} {
				want, _ := x.want.Float64()
				if math.Abs(x.got-want) > 1e-12*want {
					t.Errorf("%s: %s %v, want %v", what, x.name, x.got, want)
				}
			}
			if s.MaxErr != most {
				t.Errorf("%s: MaxErr %v, want %v", what, s.MaxErr, most)
			}
			if s.Zero > zero {
				t.Errorf("%s: %d codes 0 of weights that are not, but only %d values", what, s.Zero, zero)
			}
			if g := f.Layout().Group; g > 0 {
				var zeros int64
				for i := 0; i < len(w); i += g {
					if bytes.Count(m.Data[4*i:4*(i+g)], []byte{0})+bytes.Count(m.Data[4*i:4*(i+g)], []byte{0x80}) == 4*g {
						if amax, _ := Amax(fp8.Matrix{Data: m.Data[4*i:], Elem: fp8.ElemF32, Rows: 1, Cols: g, Stride: g}); amax == 0 {
							zeros++
						}
					}
				}
				if s.ZeroTiles != zeros || s.Tiles != int64(len(w)/g) {
					t.Errorf("%s: %d of %d groups are 0, want %d of %d", what, s.ZeroTiles, s.Tiles, zeros, len(w)/g)
				}
			}
		}
	}
}

// Counts of weights whose codes and scales are known.
func TestCounts(t *testing.T) {
	row := func(w ...float64) fp8.Matrix {
		return source(fp8.ElemF32, 1, 32, 32, func(i int) float64 {
			if i < len(w) {
				return w[i]
			}
			return 0
		})
	}
	for _, c := range []struct {
		name                             string
		f                                Format
		m                                fp8.Matrix
		saturated, subnormal, zero, tiny int64
	}{
		{"mxfp4 even", MXFP4{}, row(6.9, 0.25, -0.3, 0.5, 0.7, 1, 0), 0, 3, 1, 0},
		{"mxfp4 floor", MXFP4{Rule: ScaleFloor}, row(7.9, 7, -7, 6.99, 0.1), 3, 0, 1, 0},
		{"mxfp8", MXFP8{}, row(448, 0x1p-6, 0x1p-7, 0x1p-9, 0x1p-10, 0x1p-30), 0, 2, 2, 0},
		{"int4", INT4{}, row(7.5, -7.5, 3, 0.4, -0.5), 1, 0, 2, 0},
		{"fp8 by tensor", FP8Tensor{Tensor: 1}, row(464, -465, 1e9, 448), 2, 0, 0, 0},
		// amax/6 of 1/64 is the least normal scale.
		{"nvfp4", NVFP4{Tensor: 1}, row(6./64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5.9/64), 0, 0, 0, 1},
		{"nvfp4, tensor scale too small", NVFP4{Tensor: 1. / 448}, row(7, 8, -6.9, 0.1), 2, 0, 1, 0},
	} {
		for _, p := range paths() {
			cputest.Use(t, p.name)
			_, rows := encoded(t, c.f, c.m)
			var s Stats
			s.Add(&rows[0])
			if s.Saturated != c.saturated || s.Subnormal != c.subnormal || s.Zero != c.zero || s.LowGroups != c.tiny {
				t.Errorf("%s, path %s: %d saturated, %d subnormal, %d zero, %d low; want %d, %d, %d, %d", c.name, p.name,
					s.Saturated, s.Subnormal, s.Zero, s.LowGroups, c.saturated, c.subnormal, c.zero, c.tiny)
			}
		}
	}
}

// What does not fit is refused before anything is written.
func TestErrors(t *testing.T) {
	m := source(fp8.ElemBF16, 2, 64, 64, func(int) float64 { return 1 })
	bad := func(what string, err error, words string) {
		t.Helper()
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(words)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	rows := make([]Row, 2)
	for _, f := range formats(m) {
		l := f.Layout()
		full := dense(l, 2, 64)
		if l.Group > 0 {
			n := m
			n.Cols = l.Group + 8
			bad("ragged", f.Encode(full, rows, n), fmt.Sprintf("%d columns are no multiple of the group of %d", n.Cols, l.Group))
			bad("ragged", f.Decode(make([]byte, 4*128), 64, fp8.ElemF32, full, 2, n.Cols), "no multiple")
		}
		short := full
		short.Codes = short.Codes[1:]
		bad("codes", f.Encode(short, rows, m), "codes: ")
		if l.ScaleBytes > 0 {
			short = full
			short.Scales = short.Scales[1:]
			bad("scales", f.Encode(short, rows, m), "scales: ")
			bad("scales", f.Decode(make([]byte, 4*128), 64, fp8.ElemF32, short, 2, 64), "scales: ")
		}
		bad("rows", f.Encode(full, rows[:1], m), "statistics of 1 rows for 2")
		n := m
		n.Elem = 77
		bad("element", f.Encode(full, rows, n), "Elem(77) is unknown")
		n = m
		n.Data = n.Data[1:]
		bad("source", f.Encode(full, rows, n), "source: ")
		bad("destination", f.Decode(make([]byte, 4*127), 64, fp8.ElemF32, full, 2, 64), "destination: ")
		bad("destination", f.Decode(make([]byte, 8*128), 64, fp8.ElemF64, full, 2, 64), "no conversion to F64")
	}
	full := dense(nvfp4Layout, 2, 64)
	for _, s := range []float32{0, -1, float32(math.NaN()), float32(math.Inf(1)), 0x1p-118, 0x1p119} {
		bad("tensor scale", NVFP4{Tensor: s}.Encode(full, rows, m), "tensor scale")
	}
	bad("weights", NVFP4{Tensor: 1, Search: Search{By: fp8.SearchWeighted, Weights: make([]float32, 3)}}.Encode(full, rows, m), "3 weights for 64 columns")
	bad("weights", NVFP4{Tensor: 1, Search: Search{By: fp8.SearchWeighted, Weights: append(make([]float32, 63), -1)}}.Encode(full, rows, m), "weight -1 of column 63")
	bad("search", INT4{Search: Search{By: 9}}.Encode(dense(int4Layout, 2, 64), rows, m), "search 9 is unknown")
	bad("range", INT4{Range: 9}.Encode(dense(int4Layout, 2, 64), rows, m), "Range(9) is unknown")
	bad("rule", MXFP4{Rule: 9}.Encode(dense(mxfp4Layout, 2, 64), rows, m), "ScaleRule(9) is unknown")
	for _, r := range rows {
		if r != (Row{}) {
			t.Error("something was coded")
		}
	}
}
