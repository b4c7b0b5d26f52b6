package fp8

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"quern/internal/cpu/cputest"

	"golang.org/x/sys/unix"
)

// fenced returns n bytes that end (or, if low, begin) at a page that faults on
// every access: a kernel that reads or writes one byte too far does not survive.
func fenced(t *testing.T, n int, low bool) []byte {
	t.Helper()
	page := unix.Getpagesize()
	size := (n + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(m) })
	for _, p := range [][]byte{m[:page], m[page+size:]} {
		if err := unix.Mprotect(p, unix.PROT_NONE); err != nil {
			t.Skip(err)
		}
	}
	if low {
		return m[page:][:n:n]
	}
	return m[page+size-n : page+size : page+size]
}

func TestKernelsStayInside(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, low := range []bool{false, true} {
		for _, shape := range [][3]int{{128, 128, 128}, {128, 128, 131}, {129, 127, 127}, {5, 300, 300}, {1, 1, 1}, {256, 256, 256}} {
			rows, cols, stride := shape[0], shape[1], shape[2]
			for _, e := range allElems {
				m := source(e, rows, cols, stride, func(int) float64 { return r.NormFloat64() })
				data := fenced(t, len(m.Data), low)
				copy(data, m.Data)
				m.Data = data
				codes := fenced(t, (rows-1)*stride+cols, low)
				tiles := make([]TileStats, tilesOf(rows)*tilesOf(cols))
				weights := unsafe.Slice((*float32)(unsafe.Pointer(&fenced(t, 4*cols, low)[0])), cols)
				copy(weights, channelWeights(cols))
				for _, p := range paths() {
					cputest.Use(t, p.name)
					for _, o := range allOptions {
						if o.Search == SearchWeighted {
							o.Weights = weights
						}
						if err := Quantize(codes, stride, tiles, m, o); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		// The kernels take the weights from scratch memory: here it is fenced.
		u := (*[Tile]float32)(unsafe.Pointer(&fenced(t, 4*Tile, low)[0]))
		*u = ones
		ws := getWorkspace()
		for _, e := range allElems {
			for _, p := range paths() {
				m := source(e, Tile, Tile, Tile, func(int) float64 { return r.NormFloat64() })
				k := p.bind(ws, tile{src: m.Data, elem: e, stride: Tile, rows: Tile, cols: Tile, weights: u})
				k.amax()
				k.cost(0.01, 1, 1e9)
				k.cost(1e-30, 1, 1e9)
			}
		}
		putWorkspace(ws)
		for _, n := range []int{1, 15, 16, 31, 32, 33, 63, 64, 255, 256, 257, 300, 8192, 10000} {
			codes := fenced(t, n, low)
			f32 := fenced(t, 4*n, low)
			bf16 := fenced(t, 2*n, low)
			g := Grid{Scales: []float32{1.5}, Rows: 1, Cols: 1, TileRows: 1, TileCols: n}
			for _, p := range paths() {
				cputest.Use(t, p.name)
				CountNaNCodes(codes)
				for _, e := range allElems {
					CountNonFinite(f32, e)
				}
				CastBF16(bf16, f32, ElemF32)
				if err := Dequantize(bf16, n, ElemBF16, codes, n, 1, n, g); err != nil {
					t.Fatal(err)
				}
				if err := Dequantize(f32, n, ElemF32, codes, n, 1, n, g); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
