package gemm

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"quern/fp8"
	"quern/internal/cpu"
	"quern/internal/cpu/cputest"
)

// A row's result depends neither on the other rows nor on the workers.
func TestMulIsInvariant(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, format := range allFormats {
		for _, bf16 := range []bool{false, true} {
			s := shape{out: 290, in: 2*blockK + 71, format: format}
			if format == E4M3 {
				s.tileOut, s.tileIn = 128, 128
			}
			w := s.make(r, normal)
			const rows = 31
			x := floats(r, rows*s.in, normal)
			for _, p := range fastPaths() {
				cputest.Use(t, p.name)
				o := Options{Workers: 1, BF16: bf16}
				want := mul(Mul).run(t, x, s.in, rows, s.out, &w, o)
				for _, o.Workers = range []int{0, 2, 3, 8, 100} {
					got := mul(Mul).run(t, x, s.in, rows, s.out+3, &w, o)
					same(t, got, want, "path %s: %v, %+v", p.name, s, o)
				}
				for m := 0; m < rows; {
					n := min(1+r.IntN(14), rows-m)
					got := mul(Mul).run(t, x[m*s.in:], s.in, n, s.out, &w, Options{BF16: bf16})
					same(t, got, want[m*s.out:][:n*s.out], "path %s: %v, %d rows from %d", p.name, s, n, m)
					m += n
				}
			}
		}
	}
}

// Many rows are cut into blocks, and few columns into blocks of rows.
func TestMulManyRows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, s := range []shape{{out: 33, in: 40}, {out: 1, in: 300}, {out: 600, in: 17}, {out: 40, in: 400, transposed: true}} {
		w := s.make(r, normal)
		const rows = 2*blockRows + 55
		x := floats(r, rows*s.in, normal)
		for _, p := range fastPaths() {
			cputest.Use(t, p.name)
			for _, add := range []bool{false, true} {
				want := mul(Mul).run(t, x, s.in, rows, s.out, &w, Options{Workers: 1, Add: add})
				got := mul(Mul).run(t, x, s.in, rows, s.out, &w, Options{Workers: 3, Add: add})
				same(t, got, want, "path %s: %v on 3 workers", p.name, s)
				if add {
					continue
				}
				for m := 0; m < rows; m += 97 {
					for o := 0; o < s.out; o += 7 {
						same(t, want[m*s.out+o:][:1], []float32{chain(x[m*s.in:], &w, o)}, "path %s: %v, row %d, column %d", p.name, s, m, o)
					}
				}
			}
		}
	}
}

func TestMulFewIsInvariant(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, format := range allFormats {
		for _, out := range []int{3, 64, 1203} {
			s := shape{out: out, in: 1024, format: format}
			if format == E4M3 {
				s.tileOut, s.tileIn = 128, 128
			}
			w := s.make(r, normal)
			x := floats(r, MaxFew*s.in, normal)
			for _, p := range fastPaths() {
				cputest.Use(t, p.name)
				var want []float32
				for m := range MaxFew {
					want = append(want, mul(MulFew).run(t, x[m*s.in:], s.in, 1, s.out, &w, Options{Workers: 1})...)
				}
				for rows := 1; rows <= MaxFew; rows++ {
					for _, workers := range []int{0, 1, 2, 5} {
						for m := 0; m+rows <= MaxFew; m++ {
							got := mul(MulFew).run(t, x[m*s.in:], s.in, rows, s.out, &w, Options{Workers: workers})
							same(t, got, want[m*s.out:][:rows*s.out], "path %s: %v, rows %d to %d, %d workers", p.name, s, m, m+rows, workers)
						}
					}
				}
			}
		}
	}
}

// Every code times a scale, as fp8.Dequantize gives it: with x a row of the identity
// the product is the weight.
func TestE4M3IsDequantized(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	scales := []float32{1, 0.0123, 3e-5, 1e-38, 1e-42, 0, -2.5, 1e30, 7e35, 1e37, float32(math.Inf(1)), float32(math.NaN())}
	for _, tile := range [][2]int{{1, 256}, {1, 32}, {2, 100}, {128, 128}, {3, 7}} {
		w := Weight{Out: 24, In: 256, Format: E4M3, TileOut: tile[0], TileIn: tile[1], Data: make([]byte, 24*256)}
		for i := range w.Data {
			w.Data[i] = byte(i + i/256)
		}
		across := (w.In + tile[1] - 1) / tile[1]
		w.Scales = make([]float32, (w.Out+tile[0]-1)/tile[0]*across)
		for i := range w.Scales {
			w.Scales[i] = scales[r.IntN(len(scales))]
			if i%2 == 0 {
				w.Scales[i] = float32(math.Exp(r.NormFloat64()))
			}
		}
		data := make([]byte, 4*len(w.Data))
		if err := fp8.Dequantize(data, w.In, fp8.ElemF32, w.Data, w.In, w.Out, w.In, fp8.Grid{
			Scales: w.Scales, Rows: len(w.Scales) / across, Cols: across, TileRows: tile[0], TileCols: tile[1],
		}); err != nil {
			t.Fatal(err)
		}
		want := make([]float32, len(w.Data))
		for i := range want {
			want[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		dense := Floats(want, w.Out, w.In, 0, false)
		x := floats(r, 7*w.In, normal)
		for _, p := range paths() {
			cputest.Use(t, p.name)
			ws := getWorkspace()
			ws.p = p
			for n := 0; n < w.Out; n += p.nr {
				cols := min(p.nr, w.Out-n)
				p.pack(ws.panel, ws, &w, n, cols, 0, w.In)
				for i := range w.In {
					for c := range cols {
						same(t, ws.panel[i*p.nr+c:][:1], want[(n+c)*w.In+i:][:1], "path %s: tiles %v: weight (%d, %d)", p.name, tile, n+c, i)
					}
				}
			}
			putWorkspace(ws)
			for what, f := range map[string]mul{"Mul": Mul, "MulFew": MulFew} {
				a := f.run(t, x, w.In, 7, w.Out, &w, Options{})
				b := f.run(t, x, w.In, 7, w.Out, &dense, Options{})
				same(t, a, b, "path %s: tiles %v: %s", p.name, tile, what)
			}
		}
	}
}

// Floats views the same numbers as a matrix of bytes does.
func TestFloats(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	for _, transposed := range []bool{false, true} {
		s := shape{out: 37, in: 300, stride: 310, transposed: transposed}
		w := s.make(r, normal)
		f := make([]float32, len(w.Data)/4)
		for i := range f {
			f[i] = math.Float32frombits(binary.LittleEndian.Uint32(w.Data[4*i:]))
		}
		v := Floats(f, s.out, s.in, s.stride, transposed)
		for _, rows := range []int{1, 5, directRows, directRows + 1} {
			x := floats(r, rows*s.in, normal)
			for _, p := range paths() {
				cputest.Use(t, p.name)
				for _, o := range []Options{{}, {Add: true}, {BF16: true}} {
					same(t, mul(Mul).run(t, x, s.in, rows, s.out, &v, o), mul(Mul).run(t, x, s.in, rows, s.out, &w, o), "path %s: %v, %d rows, %+v", p.name, s, rows, o)
				}
				if rows <= MaxFew {
					same(t, mul(MulFew).run(t, x, s.in, rows, s.out, &v, Options{}), mul(MulFew).run(t, x, s.in, rows, s.out, &w, Options{}), "path %s: %v, %d rows", p.name, s, rows)
				}
			}
		}
	}
}

// Both products are within the usual bound of sums of n rounded terms.
func TestError(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	for n := range 40 {
		s := randomShape(r, allFormats[n%4], 60, 2000)
		w := s.make(r, normal)
		const rows = 5
		x := floats(r, rows*s.in, normal)
		for _, p := range fastPaths() {
			cputest.Use(t, p.name)
			long := mul(Mul).run(t, x, s.in, rows, s.out, &w, Options{})
			short := mul(MulFew).run(t, x, s.in, rows, s.out, &w, Options{})
			rough := mul(Mul).run(t, x, s.in, rows, s.out, &w, Options{BF16: true})
			for m := range rows {
				for o := range s.out {
					var sum, size float64
					for i := range s.in {
						v := float64(x[m*s.in+i]) * float64(value(&w, o, i))
						sum += v
						size += math.Abs(v)
					}
					i := m*s.out + o
					terms, steps := float64(s.in), float64(s.in)/16+5
					if s.transposed {
						steps = terms
					}
					for _, c := range []struct {
						what  string
						got   float32
						bound float64
					}{
						{"Mul", long[i], terms * 0x1p-24},
						{"MulFew", short[i], steps * 0x1p-24},
						{"Mul with BF16", rough[i], terms*0x1p-24 + 2*0x1p-8},
					} {
						if d := math.Abs(float64(c.got) - sum); !(d <= size*c.bound*1.001) {
							t.Fatalf("path %s: %v: %s: row %d, column %d: %v, want %v within %v", p.name, s, c.what, m, o, c.got, sum, size*c.bound)
						}
					}
				}
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	s := shape{out: 300, in: 400, format: BF16}
	w := s.make(r, normal)
	const rows = 40
	x := floats(r, rows*s.in, normal)
	want := mul(Mul).run(t, x, s.in, rows, s.out, &w, Options{Workers: 1})
	few := mul(MulFew).run(t, x, s.in, 3, s.out, &w, Options{Workers: 1})
	names := make([]string, 0, 3)
	for _, p := range fastPaths() {
		names = append(names, p.name)
	}
	cputest.Use(t, cpu.Path())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				if g == 0 && len(names) > 0 {
					if err := cpu.Set(names[i%len(names)]); err != nil {
						t.Error(err)
					}
				}
				y := make([]float32, rows*s.out)
				Mul(y, s.out, x, s.in, rows, &w, Options{Workers: 1 + (g+i)%3})
				if !slices.Equal(y, want) {
					t.Errorf("goroutine %d: Mul differs", g)
				}
				MulFew(y, s.out, x, s.in, 3, &w, Options{Workers: 1 + (g+i)%3})
				if !slices.Equal(y[:len(few)], few) {
					t.Errorf("goroutine %d: MulFew differs", g)
				}
			}
		})
	}
	wg.Wait()
}
