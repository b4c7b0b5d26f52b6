package fp8

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/internal/cpu/cputest"
)

// nearestE4M3 rounds x by comparing with every code in exact arithmetic: an
// encoder that shares nothing with the others.
func nearestE4M3(x *big.Float) uint8 {
	best, least := uint8(0), new(big.Float)
	a := new(big.Float).Abs(x)
	for c := range uint8(0x7f) {
		d := new(big.Float).SetFloat64(float64(E4M3ToFloat32(c)))
		d.Sub(a, d).Abs(d)
		switch d.Cmp(least) {
		case -1:
			best, least = c, d
		case 0:
			if c&1 == 0 {
				best = c
			}
		}
		if c == 0 {
			best, least = c, d
		}
	}
	if x.Signbit() {
		best |= 0x80
	}
	return best
}

// The reference against arithmetic without rounding: codes and counts exactly,
// sums within what float32 sums may lose.
func TestReferenceIndependently(t *testing.T) {
	cputest.Use(t, "generic")
	const rows, cols = 33, 47
	for _, d := range distributions {
		if strings.HasPrefix(d.name, "huge") || strings.Contains(d.name, "1") || d.name == "all binades" {
			continue // y² may be subnormal there: relative errors mean nothing
		}
		r := rand.New(rand.NewPCG(8, 8))
		m := source(ElemF32, rows, cols, cols, func(i int) float64 { return d.f(r, i) })
		q := quantize(t, m, cols, 0, Options{})
		got := q.tiles[0]

		w := make([]float32, rows*cols)
		ElemF32.decode(w, m.Data)
		var amax float32
		for _, x := range w {
			amax = max(amax, abs(x))
		}
		s := amax / 448
		if amax == 0 {
			s = 1
		}
		if got.Scale != s || got.ZeroTile != (amax == 0) {
			t.Fatalf("%s: %+v, want scale %v", d.name, got, s)
		}
		sumSq, sumErr := new(big.Float), new(big.Float)
		var want TileStats
		for i, x := range w {
			y := float64(x / s) // the contract rounds the quotient to float32
			code := nearestE4M3(big.NewFloat(y))
			if math.Signbit(float64(x)) {
				code |= 0x80
			}
			if q.codes[i] != code {
				t.Fatalf("%s: %v/%v gives %#02x, want %#02x", d.name, x, s, q.codes[i], code)
			}
			e := y - float64(E4M3ToFloat32(code))
			sumSq.Add(sumSq, big.NewFloat(y*y))
			sumErr.Add(sumErr, big.NewFloat(e*e))
			want.MaxErr = max(want.MaxErr, float32(math.Abs(e)))
			switch m := code & 0x7f; {
			case m == 0 && x != 0:
				want.Zero++
			case m > 0 && m < 8:
				want.Subnormal++
			}
		}
		if got.MaxErr != want.MaxErr || got.Zero != want.Zero || got.Subnormal != want.Subnormal || got.Saturated != 0 {
			t.Errorf("%s: %+v, want %+v", d.name, got, want)
		}
		near := func(what string, got float32, want *big.Float) {
			w, _ := want.Float64()
			if math.Abs(float64(got)-w) > 4e-6*w {
				t.Errorf("%s: %s %v, want %v", d.name, what, got, w)
			}
		}
		near("Σy²", got.SumSq, sumSq)
		near("Σ(y−q)²", got.SumErr, sumErr)
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		amax   float32
		f      ScaleFormat
		s      float32
		format string
	}{
		{448, ScaleFloat, 1, "float"},
		{1, ScaleFloat, 1.0 / 448, "float"},
		{0, ScaleFloat, 1, "zero"},
		{0, ScaleUE8M0, 1, "zero"},
		{0x1p-149, ScaleFloat, 0x1p-126, "least"},
		{0x1p-149, ScaleUE8M0, 0x1p-126, "least"},
		{448 * 0x1p-126, ScaleFloat, 0x1p-126, "least"},
		{448, ScaleUE8M0, 1, "exact"},
		{math.Nextafter32(448, 449), ScaleUE8M0, 2, "just above"},
		{math.Nextafter32(448, 0), ScaleUE8M0, 1, "just below"},
		{1, ScaleUE8M0, 0x1p-8, "above"},
		{math.MaxFloat32, ScaleUE8M0, 0x1p120, "largest"},
		{math.MaxFloat32, ScaleFloat, math.MaxFloat32 / 448, "largest"},
	} {
		if got := scaleOf(c.amax, c.f); got != c.s {
			t.Errorf("%s: amax %v, format %d: %v, want %v", c.format, c.amax, c.f, got, c.s)
		}
	}
}

func TestZeroTileKeepsSigns(t *testing.T) {
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, e := range allElems {
			for _, o := range allOptions {
				m := source(e, 3, 5, 5, func(i int) float64 { return math.Copysign(0, float64(i%2)-0.5) })
				q := quantize(t, m, 5, 0, o)
				if want := (TileStats{Scale: 1, ZeroTile: true}); q.tiles[0] != want {
					t.Fatalf("path %s: %+v", p.name, q.tiles[0])
				}
				for i, c := range q.codes {
					if want := byte(1-i%2) << 7; c != want {
						t.Fatalf("path %s: code %d is %#02x, want %#02x", p.name, i, c, want)
					}
				}
			}
		}
	}
}

func TestQuantizeErrors(t *testing.T) {
	good := func() (codes []byte, stride int, tiles []TileStats, m Matrix, o Options) {
		return make([]byte, 200*200), 200, make([]TileStats, 4), Matrix{make([]byte, 2*200*200), ElemBF16, 200, 200, 200}, Options{}
	}
	for what, call := range map[string]func() error{
		"short codes": func() error {
			c, s, ti, m, o := good()
			return Quantize(c[1:], s, ti, m, o)
		},
		"short source": func() error {
			c, s, ti, m, o := good()
			m.Data = m.Data[:len(m.Data)-1]
			return Quantize(c, s, ti, m, o)
		},
		"code stride": func() error {
			c, _, ti, m, o := good()
			return Quantize(c, 199, ti, m, o)
		},
		"source stride": func() error {
			c, s, ti, m, o := good()
			m.Stride = 199
			return Quantize(c, s, ti, m, o)
		},
		"huge shape": func() error {
			c, s, ti, m, o := good()
			m.Rows = math.MaxInt
			return Quantize(c, s, ti, m, o)
		},
		"negative shape": func() error {
			c, s, ti, m, o := good()
			m.Rows = -1
			return Quantize(c, s, ti, m, o)
		},
		"tiles": func() error {
			c, s, ti, m, o := good()
			return Quantize(c, s, ti[1:], m, o)
		},
		"element type": func() error {
			c, s, ti, m, o := good()
			m.Elem = 77
			return Quantize(c, s, ti, m, o)
		},
		"scale format": func() error {
			c, s, ti, m, _ := good()
			return Quantize(c, s, ti, m, Options{ScaleFormat: 9})
		},
		"search": func() error {
			c, s, ti, m, _ := good()
			return Quantize(c, s, ti, m, Options{Search: 9})
		},
		"weights": func() error {
			c, s, ti, m, _ := good()
			return Quantize(c, s, ti, m, Options{Search: SearchWeighted, Weights: make([]float32, 199)})
		},
	} {
		if err := call(); err == nil || !strings.HasPrefix(err.Error(), "quantizing: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	c, s, ti, m, o := good()
	if err := Quantize(c, s, ti, m, o); err != nil {
		t.Error(err)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -0x1p-149} {
		w := make([]float32, 200)
		w[137] = float32(bad)
		err := Quantize(c, s, ti, m, Options{Search: SearchWeighted, Weights: w})
		if err == nil || !strings.Contains(err.Error(), "column 137") {
			t.Errorf("weight %v: %v", bad, err)
		}
		if err := Quantize(c, s, ti, m, Options{Search: SearchMSE, Weights: w}); err != nil {
			t.Errorf("weight %v, not asked for: %v", bad, err)
		}
	}
	if err := Quantize(nil, 0, nil, Matrix{Rows: 0, Cols: 5}, Options{}); err != nil {
		t.Error(err)
	}
}

func TestQuantizeDoesNotAllocate(t *testing.T) {
	m := benchMatrix(ElemBF16)
	m.Rows = Tile
	codes := make([]byte, m.Rows*m.Cols)
	tiles := make([]TileStats, len(codes)/(Tile*Tile))
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, o := range []Options{{}, {Search: SearchWeighted, Weights: channelWeights(m.Cols)}} {
			n := testing.AllocsPerRun(5, func() {
				if err := Quantize(codes, m.Cols, tiles, m, o); err != nil {
					t.Fatal(err)
				}
			})
			if n > 1 { // the pool may be emptied by a collection
				t.Errorf("path %s, search %d: %v allocations", p.name, o.Search, n)
			}
		}
	}
}

func TestStats(t *testing.T) {
	var s Stats
	if dB, exact := s.SQNR(); !exact || dB != 0 || s.RelativeError() != 0 {
		t.Errorf("empty: %v, %v, %v", dB, exact, s.RelativeError())
	}
	s.Add(TileStats{Scale: 1, ZeroTile: true})
	s.Add(TileStats{Scale: 2, SumSq: 250, SumErr: 2.5, MaxErr: 0.5, Saturated: 1, Subnormal: 2, Zero: 3})
	s.Add(TileStats{Scale: 0.5, SumSq: 4000, SumErr: 40, MaxErr: 1, Subnormal: 1})
	want := Stats{
		SumSq: 2000, SumErr: 20, MaxErr: 1,
		Saturated: 1, Subnormal: 3, Zero: 3, ZeroTiles: 1, Tiles: 3,
	}
	if s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	if dB, exact := s.SQNR(); exact || math.Abs(dB-20) > 1e-12 {
		t.Errorf("SQNR %v, %v", dB, exact)
	}
	if e := s.RelativeError(); math.Abs(e-0.1) > 1e-15 {
		t.Errorf("relative error %v", e)
	}
}

// Quantizing what was dequantized gives the same codes back (float scales), or at
// least the same values (ue8m0).
func TestRequantize(t *testing.T) {
	const rows, cols = 200, 300
	for _, o := range allOptions[:2] {
		r := rand.New(rand.NewPCG(12, 12))
		m := source(ElemBF16, rows, cols, cols, func(int) float64 { return r.NormFloat64() })
		q := quantize(t, m, cols, 0, o)
		g := Grid{Rows: 2, Cols: 3, TileRows: Tile, TileCols: Tile}
		for _, s := range q.tiles {
			g.Scales = append(g.Scales, s.Scale)
		}
		back := make([]byte, 4*rows*cols)
		if err := Dequantize(back, cols, ElemF32, q.codes, cols, rows, cols, g); err != nil {
			t.Fatal(err)
		}
		again := quantize(t, Matrix{Data: back, Elem: ElemF32, Rows: rows, Cols: cols, Stride: cols}, cols, 0, o)
		for i, c := range q.codes {
			j := i/cols/Tile*3 + i%cols/Tile
			a := E4M3ToFloat32(c) * q.tiles[j].Scale
			b := E4M3ToFloat32(again.codes[i]) * again.tiles[j].Scale
			if c != again.codes[i] && o.ScaleFormat == ScaleFloat || a != b && o.ScaleFormat == ScaleUE8M0 {
				t.Fatalf("%+v: code %d: %#02x·%v became %#02x·%v", o, i, c, q.tiles[j].Scale, again.codes[i], again.tiles[j].Scale)
			}
		}
	}
}

// All paths agree on any bytes, and the dequantized weights are near.
func FuzzQuantizePaths(f *testing.F) {
	f.Add([]byte{0x80, 0x3f, 0x00, 0xc0, 0x01, 0x00}, uint8(1), uint8(0), uint8(0))
	f.Add([]byte("any text will do as weights, more or less"), uint8(5), uint8(2), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, cols, elem, option uint8) {
		e := allElems[elem%4]
		o := allOptions[int(option)%len(allOptions)]
		m := Matrix{Elem: e, Cols: int(cols) + 1, Stride: int(cols) + 1}
		// Repeat the bytes, so that few of them make several tiles.
		for len(data) > 0 && len(data) < 150*m.Cols*e.Size() {
			data = append(data, data...)
		}
		m.Data = data
		m.Rows = len(data) / e.Size() / m.Cols
		if m.Rows = min(m.Rows, 150); m.Rows == 0 {
			return
		}
		if o.Search == SearchWeighted {
			for c := range m.Cols { // zeros, subnormal and huge ones included
				p := uint16(data[c*3%len(data)])<<8 | uint16(data[c*7%len(data)])
				o.Weights = append(o.Weights, BF16ToFloat32(min(p&0x7fff, 0x7f7f)))
			}
		}
		q := comparePaths(t, "fuzz", m, m.Cols, 3, o)
		w := make([]float32, m.Rows*m.Cols)
		e.decode(w, m.Data)
		for i, x := range w {
			s := q.tiles[i/m.Cols/Tile*tilesOf(m.Cols)+i%m.Cols/Tile]
			if s.NonFinite || s.Saturated > 0 {
				continue
			}
			err := math.Abs(float64(x) - float64(E4M3ToFloat32(q.codes[i]))*float64(s.Scale))
			bound := max(math.Abs(float64(x))/16, float64(s.Scale)*0x1p-10)
			if err > bound*(1+0x1p-20) {
				t.Fatalf("weight %v, code %#02x, scale %v: error %v", x, q.codes[i], s.Scale, err)
			}
		}
	})
}

// Little-endian is what the kernels read; this pins the order of bytes down.
func TestSourceIsLittleEndian(t *testing.T) {
	data := binary.LittleEndian.AppendUint16(nil, 0x43e0) // 448
	var code [1]byte
	var st [1]TileStats
	for _, p := range paths() {
		cputest.Use(t, p.name)
		if err := Quantize(code[:], 1, st[:], Matrix{data, ElemBF16, 1, 1, 1}, Options{}); err != nil || code[0] != 0x7e || st[0].Scale != 1 {
			t.Errorf("path %s: %#02x, %+v, %v", p.name, code, st[0], err)
		}
	}
}
