package gpu_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quern/fp8"
	"quern/gemm"
	"quern/gpu"
	"quern/gpu/driver"
	"quern/gpu/internal/fakecuda"
	"quern/gpu/internal/faults"
)

// work is what a device is asked for while its driver fails.
type work struct {
	m       fp8.Matrix
	o       fp8.Options
	weight  *gemm.Weight
	x       []float32
	codes   []byte
	tiles   []fp8.TileStats
	amax    []float32
	widened []byte
}

func newWork() *work {
	const rows, cols = 200, 260
	r := rand.New(rand.NewPCG(1, 2))
	w := &work{m: fp8.Matrix{Data: make([]byte, 2*rows*cols), Elem: fp8.ElemBF16, Rows: rows, Cols: cols, Stride: cols}}
	for i := range rows * cols {
		p := fp8.BF16FromFloat32(float32(r.NormFloat64()))
		w.m.Data[2*i], w.m.Data[2*i+1] = byte(p), byte(p>>8)
	}
	w.o = fp8.Options{ScaleFormat: fp8.ScaleUE8M0, Search: fp8.SearchMSE}
	w.weight = &gemm.Weight{Data: w.m.Data, Format: gemm.BF16, Out: rows, In: cols}
	w.x = make([]float32, 3*cols)
	for i := range w.x {
		w.x[i] = r.Float32()
	}
	w.codes, w.tiles, w.amax, w.widened = make([]byte, rows*cols), make([]fp8.TileStats, 6), make([]float32, 6), make([]byte, 2*rows*cols)
	if err := errors.Join(
		fp8.Quantize(w.codes, cols, w.tiles, w.m, w.o),
		gpu.CPU().Amax(w.amax, w.m).Wait(),
		fp8.Dequantize(w.widened, cols, fp8.ElemBF16, w.codes, cols, rows, cols, w.grid()),
	); err != nil {
		panic(err)
	}
	return w
}

func (w *work) grid() fp8.Grid {
	g := fp8.Grid{Rows: 2, Cols: 3, TileRows: fp8.Tile, TileCols: fp8.Tile}
	for _, s := range w.tiles {
		g.Scales = append(g.Scales, s.Scale)
	}
	return g
}

// do asks for everything and returns what went wrong. Results of calls that
// succeeded must be right.
func (w *work) do(t *testing.T, d gpu.Device) error {
	rows, cols := w.m.Rows, w.m.Cols
	b, err := d.NewBuffer(1 << 16)
	if err == nil {
		defer func() { err = errors.Join(err, b.Free()) }()
	}
	codes, tiles, amax, scales := make([]byte, len(w.codes)), make([]fp8.TileStats, 6), make([]float32, 6), make([]float32, 6)
	widened, y := make([]byte, len(w.widened)), make([]float32, 3*rows)
	q := d.Quantize(codes, cols, tiles, w.m, w.o)
	a, s := d.Amax(amax, w.m), d.Scales(scales, w.m, w.o)
	dq := d.Dequantize(widened, cols, fp8.ElemBF16, w.codes, cols, rows, cols, w.grid())
	mul := d.Mul(y, rows, w.x, cols, 3, w.weight)
	errs := []error{err, q.Wait(), a.Wait(), s.Wait(), dq.Wait(), mul.Wait()}
	if errs[1] == nil && (!bytes.Equal(codes, w.codes) || !slices.Equal(tiles, w.tiles)) {
		t.Error("other codes or statistics")
	}
	if errs[2] == nil && !slices.Equal(amax, w.amax) {
		t.Error("other maxima")
	}
	if errs[3] == nil && !slices.Equal(scales, w.grid().Scales) {
		t.Error("other scales")
	}
	if errs[4] == nil && !bytes.Equal(widened, w.widened) {
		t.Error("other dequantized values")
	}
	if errs[5] == nil {
		if err := gpu.CheckMul(y, rows, w.x, cols, 3, w.weight); err != nil {
			t.Error(err)
		}
	}
	return errors.Join(errs...)
}

// plan says which calls of a driver fail: those from the first one on whose number
// or name match, until as many have failed as may.
type plan struct {
	n, times int64
	name     string // "" for all calls
	code     int32

	calls, failed atomic.Int64
}

func (p *plan) before(name string) int32 {
	if p.name != "" && p.name != name || p.calls.Add(1) < p.n || strings.HasSuffix(name, "cuGetErrorName") {
		return 0
	}
	if p.failed.Add(1) > p.times {
		return 0
	}
	return p.code
}

// run goes from finding a device to closing it under a plan. A device that opens
// must, with the fallback, give the right results and no errors but in closing;
// without, errors that match ErrDevice.
func (w *work) run(t *testing.T, devices func() ([]driver.Found, error), fallback bool) {
	t.Helper()
	found, err := devices()
	if err != nil || found[0].Refused != nil {
		return
	}
	d, err := gpu.NewListed(found[0]).Open(gpu.Options{ChunkBytes: 1, Slots: 2, DeviceMemory: 8 << 20})
	if err != nil {
		return
	}
	var mu sync.Mutex
	var log []string
	if fallback {
		d = gpu.WithFallback(d, func(s string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, s)
		})
	}
	for range 2 { // on a device that failed before, too
		if err := w.do(t, d); err != nil && (fallback || !errors.Is(err, gpu.ErrDevice)) {
			t.Error(err)
		}
	}
	_ = d.Close()
	if len(log) > 2 {
		t.Errorf("said more than once: %q", log)
	}
}

// Calls of the CUDA driver fail in turn: one alone, one and all that follow, one for
// want of memory. Nothing stays behind, nothing hangs, and the results are right.
func TestCUDAFaults(t *testing.T) {
	w := newWork()
	fake := func(p *plan) (func() ([]driver.Found, error), *fakecuda.Driver) {
		d := fakecuda.New(fakecuda.Twins())
		a := d.API()
		faults.Wrap(a, p.before)
		return a.Devices, d
	}
	none := &plan{n: 1 << 60}
	devices, _ := fake(none)
	w.run(t, devices, true)
	total := none.calls.Load()
	t.Logf("%d calls", total)
	for n := int64(1); n <= total && !t.Failed(); n++ {
		switch edge := n <= 80 || n > total-200; { // between them is the self-test, much of the same
		case testing.Short() && n%17 != 0, !edge && n%11 != 0:
			continue
		}
		p := []*plan{{n: n, times: 1, code: 999}, {n: n, times: 1 << 60, code: 700}, {n: n, times: 1, code: 2}}[n%3]
		devices, d := fake(p)
		w.run(t, devices, n%4 != 0)
		if s := d.Held(); s != "" {
			t.Errorf("call %d, code %d, %d times: still held: %s", n, p.code, p.times, s)
		}
	}
	if t.Failed() {
		return
	}
	// Threads and goroutines end as well.
	for range 100 {
		if runtime.NumGoroutine() < 30 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left", runtime.NumGoroutine())
}
