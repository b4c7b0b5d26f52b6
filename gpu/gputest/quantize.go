package gputest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/gpu"
)

func tilesOf(n int) int { return (n + fp8.Tile - 1) / fp8.Tile }

// result is what a call has written, and what it left alone.
type result struct {
	codes  []byte
	tiles  []fp8.TileStats
	scales []float32
	amax   []float32
}

const untouched = 0xa5

func newResult(m fp8.Matrix, codeStride int) *result {
	n := tilesOf(m.Rows) * tilesOf(m.Cols)
	r := &result{
		codes: bytes.Repeat([]byte{untouched}, m.Rows*codeStride), tiles: make([]fp8.TileStats, n),
		scales: make([]float32, n), amax: make([]float32, n),
	}
	return r
}

// under is the calls of same under way.
type under struct {
	name      string
	got, want *result
	m         fp8.Matrix
	stride    int
	calls     []*gpu.Pending
}

// start runs a matrix on the device and on the processor.
func start(d gpu.Device, name string, m fp8.Matrix, codeStride int, o fp8.Options) (*under, error) {
	u := &under{name: name, got: newResult(m, codeStride), want: newResult(m, codeStride), m: m, stride: codeStride}
	u.calls = []*gpu.Pending{
		d.Quantize(u.got.codes, codeStride, u.got.tiles, m, o),
		d.Scales(u.got.scales, m, o),
		d.Amax(u.got.amax, m),
	}
	if err := fp8.Quantize(u.want.codes, codeStride, u.want.tiles, m, o); err != nil {
		return nil, err
	}
	if err := gpu.CPU().Amax(u.want.amax, m).Wait(); err != nil {
		return nil, err
	}
	return u, nil
}

// check waits and says what differs.
func (u *under) check() error {
	for _, c := range u.calls {
		if err := c.Wait(); err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
	}
	across := tilesOf(u.m.Cols)
	finite := true
	for i, want := range u.want.tiles {
		got := u.got.tiles[i]
		if want.NonFinite {
			finite = false
			if !got.NonFinite || u.got.scales[i] == u.got.scales[i] || !(math.Abs(float64(u.got.amax[i])) > math.MaxFloat32 || u.got.amax[i] != u.got.amax[i]) {
				return fmt.Errorf("%s: tile %d is not finite: %+v, scale %g, amax %g", u.name, i, got, u.got.scales[i], u.got.amax[i])
			}
			continue
		}
		if got != want {
			return fmt.Errorf("%s: tile %d: %+v, want %+v", u.name, i, got, want)
		}
		if u.got.scales[i] != want.Scale {
			return fmt.Errorf("%s: tile %d: scale %g, want %g", u.name, i, u.got.scales[i], want.Scale)
		}
		if u.got.amax[i] != u.want.amax[i] {
			return fmt.Errorf("%s: tile %d: amax %g, want %g", u.name, i, u.got.amax[i], u.want.amax[i])
		}
	}
	if finite && bytes.Equal(u.got.codes, u.want.codes) {
		return nil
	}
	for at := range u.got.codes {
		r, c := at/u.stride, at%u.stride
		if c < u.m.Cols && u.want.tiles[r/fp8.Tile*across+c/fp8.Tile].NonFinite {
			continue // unspecified
		}
		if u.got.codes[at] != u.want.codes[at] {
			return fmt.Errorf("%s: row %d, column %d: code %#02x, want %#02x", u.name, r, c, u.got.codes[at], u.want.codes[at])
		}
	}
	return nil
}

// same runs one matrix and compares.
func same(t *testing.T, d gpu.Device, name string, m fp8.Matrix, codeStride int, o fp8.Options) {
	t.Helper()
	u, err := start(d, name, m, codeStride, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.check(); err != nil {
		t.Error(err)
	}
}

// quantize takes all 16-bit patterns and every kind of weights, in every type, with
// all options.
func quantize(t *testing.T, d gpu.Device) {
	for name, o := range options(256) {
		if testing.Short() && name != "float absmax" && name != "ue8m0 weighted" {
			continue
		}
		for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF16} {
			same(t, d, fmt.Sprintf("%s %v patterns", name, e), patterns(e, false), 256, o)
			same(t, d, fmt.Sprintf("%s %v patterns, sorted", name, e), patterns(e, true), 256, o)
		}
		for i, k := range kinds {
			for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF16, fp8.ElemF32, fp8.ElemF64} {
				r := rand.New(rand.NewPCG(uint64(i), uint64(e)))
				same(t, d, fmt.Sprintf("%s %v %s", name, e, k.name), newMatrix(e, 128, 256, 256, k.f(r)), 256, o)
			}
		}
	}
}

// shapes takes ragged tiles, odd strides and gaps between rows.
func shapes(t *testing.T, d gpu.Device) {
	r := rand.New(rand.NewPCG(3, 4))
	type shape struct{ rows, cols, stride, codes int }
	// The wide ones do not fit a small device's memory by rows.
	list := []shape{{0, 0, 0, 0}, {0, 5, 5, 5}, {5, 0, 0, 0}, {130, 1500, 1500, 1500}, {3, 2001, 2003, 2002}}
	for _, rows := range []int{1, 63, 65, 128, 257} {
		for _, cols := range []int{1, 3, 17, 127, 128, 130, 259} {
			list = append(list, shape{rows, cols, cols, cols}, shape{rows, cols, cols + 1 + r.IntN(7), cols + r.IntN(5)})
		}
	}
	for i, s := range list {
		e := []fp8.Elem{fp8.ElemBF16, fp8.ElemF32, fp8.ElemF16}[i%3]
		all := options(s.cols)
		name := []string{"float absmax", "ue8m0 mse", "float weighted", "float mse"}[i%4]
		m := newMatrix(e, s.rows, s.cols, s.stride, kinds[i%2].f(r))
		if s.rows > 0 && i%2 == 1 { // the last row may end right after its last element
			m.Data = m.Data[:((s.rows-1)*s.stride+s.cols)*e.Size()]
		}
		same(t, d, fmt.Sprintf("%s %v %d×%d, strides %d and %d", name, e, s.rows, s.cols, s.stride, s.codes), m, s.codes, all[name])
	}
}

// nonFinite puts one number that is not finite into a tile among others.
func nonFinite(t *testing.T, d gpu.Device) {
	r := rand.New(rand.NewPCG(5, 6))
	for i, x := range []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())} {
		for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF16, fp8.ElemF32, fp8.ElemF64} {
			m := newMatrix(e, 200, 300, 300, kinds[0].f(r))
			at := m.Data[(150*300+290)*e.Size():]
			put(at, e, x)
			if e == fp8.ElemF16 {
				at[0], at[1] = 0, []byte{0x7c, 0xfc, 0x7e}[i]
			}
			for name, o := range options(300) {
				if testing.Short() && name != "float mse" {
					continue
				}
				same(t, d, fmt.Sprintf("%s %v %g", name, e, x), m, 300, o)
			}
		}
	}
}

// columnWeights takes weights of odd sizes, and none.
func columnWeights(t *testing.T, d gpu.Device) {
	const cols = 300
	r := rand.New(rand.NewPCG(8, 9))
	m := newMatrix(fp8.ElemBF16, 140, cols, cols, kinds[1].f(r))
	for name, f := range map[string]func(c int) float32{
		"none":      nil,
		"zero":      func(int) float32 { return 0 },
		"one":       func(c int) float32 { return float32(c/77%2) * 3 },
		"subnormal": func(c int) float32 { return math.Float32frombits(uint32(c)) },
		"huge":      func(c int) float32 { return math.MaxFloat32 / float32(1+c*c*c) },
	} {
		o := fp8.Options{Search: fp8.SearchWeighted}
		for c := 0; f != nil && c < cols; c++ {
			o.Weights = append(o.Weights, f(c))
		}
		same(t, d, "weights "+name, m, cols, o)
		o.ScaleFormat = fp8.ScaleUE8M0
		same(t, d, "weights "+name+" ue8m0", m, cols, o)
	}
}
