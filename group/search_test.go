package group

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// costTwin is Σ(w−ŵ)²·u as the package comment defines it.
func costTwin(w []float32, u []float64, value func(x float32) float32) float64 {
	var lanes [8]float64
	for i, x := range w {
		d := x - value(x)
		p := float64(d) * float64(d)
		lanes[i%8] += float64(p * u[i])
	}
	for n := 4; n > 0; n /= 2 {
		for i := range n {
			lanes[i] += lanes[i+n]
		}
	}
	return lanes[0]
}

// importance returns the weights of columns as the package comment defines them.
func importance(s Search, col, n int) []float64 {
	u := make([]float64, n)
	top := 0.0
	for i := range u {
		if s.By == fp8.SearchWeighted && s.Weights != nil {
			u[i] = float64(s.Weights[col+i])
			top = max(top, u[i])
		}
	}
	for i := range u {
		u[i] = max(u[i], top*math.Exp2(-24))
		if top == 0 {
			u[i] = 1
		}
	}
	return u
}

// Every path against a twin that tries all scales: it finds the scale, and the scale
// is never worse than the plain rule's.
func TestSearch(t *testing.T) {
	const cols = 1024 + 64
	better := map[string]int{}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, d := range distributions {
			r := rand.New(rand.NewPCG(7, 7))
			m := source(fp8.ElemF32, 2, cols, cols, func(i int) float64 { return d.f(r, i) })
			w := make([]float32, m.Rows*cols)
			m.Elem.Decode(w, m.Data)
			for _, f := range formats(m) {
				l := f.Layout()
				got, rows := encoded(t, f, m)
				for i := 0; i < len(w); i += l.Group {
					if l.Group == 0 || rows[i/cols].NonFinite() {
						break
					}
					g := w[i : i+l.Group]
					var amax float32
					for _, x := range g {
						amax = max(amax, abs(x))
					}
					var tried []uint16
					var found uint16
					var costs func(scale uint16) float64
					var name string
					switch f := f.(type) {
					case NVFP4:
						if f.Search.By == fp8.SearchNone || amax == 0 {
							continue
						}
						name = "nvfp4"
						plain := fp8.E4M3FromFloat32(min(448, max(amax/(6*f.Tensor), 0x1p-9)))
						for _, k := range []int{0, -1, 1, -2, 2, -3, 3, 4, 5, 6} {
							if c := int(plain) + k; c > 0 && c < 127 {
								tried = append(tried, uint16(c))
							}
						}
						found = uint16(got.Scales[i/16])
						u := importance(f.Search, i%cols, 16)
						costs = func(c uint16) float64 {
							s := fp8.E4M3ToFloat32(uint8(c)) * f.Tensor
							return costTwin(g, u, func(x float32) float32 { return fp8.E2M1ToFloat32(fp8.E2M1FromFloat32(x/s)) * s })
						}
					case INT4:
						if f.Search.By == fp8.SearchNone || amax == 0 {
							continue
						}
						name = "int4"
						for _, k := range []int{0, -1, 1, -2, 2, -3, 3, -4, 4, -5, -6, -7, -8, -9, -10, -11, -12} {
							c := fp8.BF16FromFloat32(amax / ranges[f.Range] * (1 + float32(k)/32))
							if c == 0 && k == 0 {
								c = 0x3c00
							}
							if c != 0 {
								tried = append(tried, c)
							}
						}
						found = binary.LittleEndian.Uint16(got.Scales[i/32*2:])
						u := importance(f.Search, i%cols, 32)
						costs = func(c uint16) float64 {
							s := fp8.BF16ToFloat32(c)
							return costTwin(g, u, func(x float32) float32 {
								return float32(math.RoundToEven(math.Max(-8, math.Min(7, float64(x/s))))) * s
							})
						}
					default:
						continue
					}
					best, least := tried[0], costs(tried[0])
					plain := least
					for _, c := range tried[1:] {
						if x := costs(c); x < least {
							best, least = c, x
						}
					}
					if found != best || least > plain {
						t.Fatalf("%s: %s: %T: group %d: scale %#x, want %#x", p.name, d.name, f, i/l.Group, found, best)
					}
					if least < plain {
						better[name]++
					}
				}
			}
		}
	}
	if better["nvfp4"] < 1000 || better["int4"] < 1000 {
		t.Errorf("no search found anything: %v", better)
	}
}

// On usual weights a search gains what is worth having.
func TestSearchGains(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	m := source(fp8.ElemBF16, 16, 1024, 1024, func(int) float64 { return r.NormFloat64() * 0.02 })
	amax, _ := Amax(m)
	sqnr := func(f Format) float64 {
		var s Stats
		_, rows := encoded(t, f, m)
		for i := range rows {
			s.Add(&rows[i])
		}
		dB, _ := s.SQNR()
		return dB
	}
	mse := Search{By: fp8.SearchMSE}
	for _, c := range []struct {
		name          string
		plain, search Format
		gain          float64
	}{
		{"nvfp4", NVFP4{Tensor: NVFP4Scale(amax)}, NVFP4{Tensor: NVFP4Scale(amax), Search: mse}, 0.8},
		{"int4", INT4{}, INT4{Search: mse}, 0.5},
		{"int4, range 7", INT4{Range: Range7}, INT4{Range: Range7, Search: mse}, 0.5},
	} {
		plain, search := sqnr(c.plain), sqnr(c.search)
		t.Logf("%s: %.2f dB, %.2f dB with a search", c.name, plain, search)
		if search < plain+c.gain {
			t.Errorf("%s: %.2f dB, %.2f dB with a search", c.name, plain, search)
		}
	}
	for rule := range ScaleRule(3) {
		t.Logf("mxfp4 %v: %.2f dB", rule, sqnr(MXFP4{Rule: rule}))
	}
	t.Logf("mxfp8: %.2f dB, fp8 by row: %.2f dB", sqnr(MXFP8{}), sqnr(FP8Rows{Scale: fp8.ElemBF16}))
}
