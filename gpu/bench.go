package gpu

import (
	"errors"
	"runtime"
	"sync"
	"time"

	"quern/fp8"
	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// Rate is how fast a device does something.
type Rate struct {
	What      string  `json:"what"`
	PerSecond float64 `json:"per_second"`
	Unit      string  `json:"unit"`              // "B/s" or "FLOP/s"
	OfCopy    float64 `json:"of_copy,omitempty"` // against copying within the device's memory
}

// Bench measures a device that has nothing else to do. Each figure takes about as
// long as spend. Kernels are measured on what lies in the device's memory, by the
// bytes that they must read and write; the ends of the list are whole calls, by the
// bytes of their source.
func Bench(d Device, spend time.Duration) ([]Rate, error) {
	var rates []Rate
	if a, ok := d.(*accelerator); ok {
		var err error
		if rates, err = a.benchKernels(spend); err != nil {
			return nil, err
		}
	} else if d.Info().Kind == "cpu" {
		rates = append(rates, benchCopy(spend))
	}
	whole, err := benchCalls(d, spend)
	if err != nil {
		return nil, err
	}
	rates = append(rates, whole...)
	for i := range rates {
		if r := &rates[i]; r.Unit == "B/s" && rates[0].What == "copy" {
			r.OfCopy = r.PerSecond / rates[0].PerSecond
		}
	}
	return rates, nil
}

// rate runs do, which does n units of work, until it took long enough.
func rate(what, unit string, n int, spend time.Duration, do func(times int) error) (Rate, error) {
	if err := do(1); err != nil { // first touch, and compilers that wait until now
		return Rate{}, err
	}
	for times := 1; ; times *= 2 {
		began := time.Now()
		if err := do(times); err != nil {
			return Rate{}, err
		}
		if spent := time.Since(began); spent >= spend/2 || times > 1<<20 {
			return Rate{What: what, Unit: unit, PerSecond: float64(n) * float64(times) / spent.Seconds()}, nil
		}
	}
}

// benchMatrix is what is quantized: more than caches hold, where that is not too
// much for a slow device.
func benchMatrix(bytes int) (rows, cols int) {
	return max(bytes/2/4096/fp8.Tile, 1) * fp8.Tile, 4096
}

// benchKernels measures kernels on buffers of their own.
func (a *accelerator) benchKernels(spend time.Duration) (rates []Rate, err error) {
	if err := a.enter(); err != nil {
		return nil, err
	}
	defer a.calls.Done()
	size := 512 << 20
	if !a.info.IsGPU {
		size = 16 << 20
	}
	size = min(size, int(a.opts.DeviceMemory/8))
	rows, cols := benchMatrix(size)
	size = 2 * rows * cols
	s := <-a.slots
	defer func() { a.slots <- s }()
	var bufs [4]driver.Buffer // src, dst, statistics, scales
	defer func() {
		for _, b := range bufs {
			if b != nil {
				err = errors.Join(err, b.Free())
			}
		}
	}()
	tiles := rows / fp8.Tile * cols / fp8.Tile
	for i, n := range []int{size, size, tiles * kernels.StatsBytes, 4 * rows} {
		if bufs[i], err = a.dev.NewBuffer(n); err != nil {
			bufs[i] = nil
			return nil, a.blame(err)
		}
	}
	if err := a.fillBench(s, bufs[0], size, func(n *noise) uint32 { return n.next()&0x80ff80ff | 0x3c003c00 }); err != nil { // BF16 around ±0.02
		return nil, a.blame(err)
	}
	if err := a.fillBench(s, bufs[3], 4*rows, func(*noise) uint32 { return 0 }); err != nil { // all rows have the first scales
		return nil, a.blame(err)
	}
	words := kernels.GroupSize
	list := []struct {
		what   string
		k      *kernels.Kernel
		groups int
		bufs   []driver.Buffer
		words  []int
		bytes  int
	}{
		// The scales of dequantize are what quantize has left in its statistics.
		{"copy", kernels.Copy, ceilDiv(size/16, words), bufs[:2], []int{size / 16}, 2 * size},
		{"amax", kernels.Amax.BF16, tiles, buffers(bufs[0], bufs[2]), []int{cols, rows}, size},
		{"quantize", kernels.Quantize.BF16, tiles, bufs[:3], []int{cols, rows, 0}, size + size/2},
		{"search mse", kernels.Scale.BF16, tiles, buffers(bufs[0], bufs[2], bufs[3]), []int{cols, rows, kernels.Search}, size},
		{"dequantize", kernels.Dequantize.BF16, ceilDiv(rows*cols/4, words), buffers(bufs[0], bufs[1], bufs[2], bufs[3]), []int{cols, rows, cols / fp8.Tile, fp8.Tile, 0}, size + size/2},
	}
	for _, l := range list {
		r, err := rate(l.what, "B/s", l.bytes, spend, func(times int) error {
			for range times {
				if err := s.launch(l.k, l.groups, l.bufs, l.words...); err != nil {
					return err
				}
			}
			return s.queue.Finish()
		})
		if err != nil {
			return nil, a.blame(err)
		}
		rates = append(rates, r)
	}
	// A product that keeps the card busy: 1024 rows by a square of weights.
	n, depth := 1024, 2048
	if !a.info.IsGPU {
		n = 64
	}
	if 2*depth*depth > size || 4*n*depth > size {
		return rates, nil
	}
	r, err := rate("product", "FLOP/s", 2*n*depth*depth, spend, func(times int) error {
		for range times {
			groups := ceilDiv(depth, kernels.GemmOuts) * ceilDiv(n, kernels.GemmRows)
			if err := s.launch(kernels.Gemm.BF16, groups, buffers(bufs[0], bufs[0], bufs[1], bufs[2], bufs[3]), n, depth, depth, 0, 1, 0); err != nil {
				return err
			}
		}
		return s.queue.Finish()
	})
	return append(rates, r), a.blame(err)
}

// fillBench fills a buffer with words.
func (a *accelerator) fillBench(s *slot, to driver.Buffer, size int, word func(*noise) uint32) error {
	host, err := s.host(&s.in, a.chunk)
	if err != nil {
		return err
	}
	n := noise(3)
	words := wordsOf(host)
	for i := range words {
		words[i] = word(&n)
	}
	for at := 0; at < size; at += len(host) {
		if err := s.queue.Write(to, at, host[:min(len(host), size-at)]); err != nil {
			return err
		}
	}
	return s.queue.Finish()
}

// benchCopy measures the processor's memory, by what is read and written.
func benchCopy(spend time.Duration) Rate {
	const n = 64 << 20
	workers := runtime.GOMAXPROCS(0)
	src, dst := make([]byte, n), make([]byte, n)
	r, _ := rate("copy", "B/s", 2*n, spend, func(times int) error {
		for range times {
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() { copy(dst[w*n/workers:(w+1)*n/workers], src[w*n/workers:(w+1)*n/workers]) })
			}
			wg.Wait()
		}
		return nil
	})
	return r
}

// benchCalls measures calls of Quantize that are kept under way by several
// goroutines, as an engine does.
func benchCalls(d Device, spend time.Duration) ([]Rate, error) {
	info := d.Info()
	workers, size := max(runtime.GOMAXPROCS(0), 4), 8<<20
	if info.Kind == "cpu" {
		workers = runtime.GOMAXPROCS(0)
	} else if !info.IsGPU {
		workers, size = 2, 2<<20
	}
	rows, cols := benchMatrix(size)
	var rates []Rate
	for _, v := range []struct {
		what   string
		own    bool // memory of the device's
		search fp8.Search
	}{
		{"quantize, from and to memory", false, fp8.SearchNone},
		{"quantize, from and to buffers", true, fp8.SearchNone},
		{"quantize with search mse, from and to buffers", true, fp8.SearchMSE},
	} {
		if v.own && info.Kind == "cpu" {
			if v.search == fp8.SearchNone {
				continue // the same
			}
			v.what = "quantize with search mse, from and to memory"
		}
		in, out := make([]*Buffer, workers), make([]*Buffer, workers)
		free := func() {
			for i := range workers {
				for _, b := range []*Buffer{in[i], out[i]} {
					if b != nil {
						_ = b.Free()
					}
				}
			}
		}
		for i := range workers {
			of := CPU()
			if v.own {
				of = d
			}
			var err error
			if in[i], err = of.NewBuffer(2 * rows * cols); err == nil {
				out[i], err = of.NewBuffer(rows * cols)
			}
			if err != nil {
				free()
				return nil, err
			}
			n := noise(4)
			for at := 0; at < len(in[i].Bytes); at += 4 {
				wordsOf(in[i].Bytes[at : at+4])[0] = n.next()&0x80ff80ff | 0x3c003c00
			}
		}
		tiles := rows / fp8.Tile * cols / fp8.Tile
		r, err := rate(v.what, "B/s", workers*2*rows*cols, spend, func(times int) error {
			var wg sync.WaitGroup
			errs := make([]error, workers)
			for i := range workers {
				wg.Go(func() {
					stats := make([]fp8.TileStats, tiles)
					m := fp8.Matrix{Data: in[i].Bytes, Elem: fp8.ElemBF16, Rows: rows, Cols: cols, Stride: cols}
					for range times {
						if err := d.Quantize(out[i].Bytes, cols, stats, m, fp8.Options{Search: v.search}).Wait(); err != nil {
							errs[i] = err
							return
						}
					}
				})
			}
			wg.Wait()
			return errors.Join(errs...)
		})
		free()
		if err != nil {
			return nil, err
		}
		rates = append(rates, r)
	}
	return rates, nil
}
