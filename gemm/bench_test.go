package gemm

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"quern/internal/cpu/cputest"
)

// fastest runs f as often as the benchmark asks and reports work per nanosecond of
// the fastest run: the machine may be shared, and the slow runs are the others'.
func fastest(b *testing.B, work float64, unit string, f func()) {
	b.Helper()
	best := time.Duration(1 << 62)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(work/float64(best), "best-"+unit)
}

// benchWeight is a matrix with block scales where the format has them.
func benchWeight(out, in int, f Format) Weight {
	s := shape{out: out, in: in, format: f}
	if f == E4M3 {
		s.tileOut, s.tileIn = 128, 128
	}
	return s.make(rand.New(rand.NewPCG(1, 2)), normal)
}

// BenchmarkKernel is the peak: the largest tile, all data in the first-level cache.
func BenchmarkKernel(b *testing.B) {
	for _, p := range paths() {
		b.Run(p.name, func(b *testing.B) {
			const k, runs = 128, 100
			r := rand.New(rand.NewPCG(1, 1))
			x, w := floats(r, p.mr*k, normal), floats(r, p.nr*k, normal)
			c := aligned(p.mr * p.nr)
			fastest(b, 2*runs*k*float64(p.mr*p.nr), "GFLOP/s", func() {
				for range runs {
					p.kernel(c, p.nr, x, k, w, p.nr, k, p.mr, p.nr, 0, fetch{})
				}
			})
		})
	}
}

var benchShapes = []struct{ rows, out, in int }{
	{512, 512, 512},
	{64, 2048, 7168},
	{12, 2048, 7168},
	{2600, 64, 256}, // the shapes of tinyseek
	{2600, 256, 64},
	{512, 448, 256},
	{512, 384, 96},
	{512, 512, 48},
}

func BenchmarkMul(b *testing.B) {
	for _, p := range paths()[1:] {
		for _, workers := range []int{1, 2} {
			for _, s := range benchShapes {
				for _, f := range allFormats {
					b.Run(fmt.Sprintf("%s/workers=%d/%d×%d×%d/%v", p.name, workers, s.rows, s.out, s.in, f), func(b *testing.B) {
						cputest.Use(b, p.name)
						w := benchWeight(s.out, s.in, f)
						x := floats(rand.New(rand.NewPCG(1, 1)), s.rows*s.in, normal)
						y := make([]float32, s.rows*s.out)
						fastest(b, 2*float64(s.rows)*float64(s.out)*float64(s.in), "GFLOP/s", func() {
							Mul(y, s.out, x, s.in, s.rows, &w, Options{Workers: workers})
						})
					})
				}
			}
		}
	}
}

// BenchmarkPack counts the bytes of the weights.
func BenchmarkPack(b *testing.B) {
	for _, p := range paths() {
		for _, f := range allFormats {
			b.Run(fmt.Sprintf("%s/%v", p.name, f), func(b *testing.B) {
				w := benchWeight(128, 1024, f)
				ws := getWorkspace()
				defer putWorkspace(ws)
				ws.p = p
				fastest(b, float64(len(w.Data)), "GB/s", func() {
					for n := 0; n < w.Out; n += p.nr {
						for k := 0; k < w.In; k += blockK {
							p.pack(ws.panel, ws, &w, n, p.nr, k, blockK)
						}
					}
				})
			})
		}
	}
}

// BenchmarkMulFew counts the bytes of the weights; the large matrix is also copied.
func BenchmarkMulFew(b *testing.B) {
	for _, p := range paths()[1:] {
		for _, s := range [][2]int{{64, 256}, {256, 256}, {2048, 256}} {
			for _, f := range allFormats {
				for _, rows := range []int{1, 2, 4, 8} {
					benchFew(b, p, s[0], s[1], f, rows, 1)
				}
			}
		}
	}
	dst, src := make([]byte, 64<<20), make([]byte, 64<<20)
	for _, p := range paths()[1:] {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("copy 64 MiB/workers=%d", workers), func(b *testing.B) {
				fastest(b, float64(len(src)), "GB/s", func() {
					done := make(chan struct{})
					for i := range workers {
						go func() {
							n := len(src) / workers
							copy(dst[i*n:][:n], src[i*n:])
							done <- struct{}{}
						}()
					}
					for range workers {
						<-done
					}
				})
			})
			for _, rows := range []int{1, 2, 4, 8} {
				benchFew(b, p, 4096, 8192, BF16, rows, workers)
				benchFew(b, p, 8192, 8192, E4M3, rows, workers)
			}
		}
	}
}

func benchFew(b *testing.B, p *path, out, in int, f Format, rows, workers int) {
	b.Run(fmt.Sprintf("%s/workers=%d/%d×%d×%d/%v", p.name, workers, rows, out, in, f), func(b *testing.B) {
		cputest.Use(b, p.name)
		w := benchWeight(out, in, f)
		x := floats(rand.New(rand.NewPCG(1, 1)), rows*in, normal)
		y := make([]float32, rows*out)
		fastest(b, float64(len(w.Data)), "GB/s", func() {
			MulFew(y, out, x, in, rows, &w, Options{Workers: workers})
		})
	})
}
