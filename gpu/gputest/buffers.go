package gputest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"quern/fp8"
	"quern/gemm"
	"quern/gpu"
)

// buffers quantizes and dequantizes within the device's own host memory, at odd
// places of it.
func buffers(t *testing.T, d gpu.Device) {
	b, err := d.NewBuffer(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(b.Free(), b.Free()); err != nil {
			t.Error(err)
		}
	}()
	r := rand.New(rand.NewPCG(15, 16))
	for _, cols := range []int{256, 250, 132} {
		const rows = 200
		m := newMatrix(fp8.ElemBF16, rows, cols, cols, kinds[0].f(r))
		in := b.Bytes[3*cols:][:len(m.Data)]
		copy(in, m.Data)
		codes := b.Bytes[len(b.Bytes)/2+1:][:rows*cols]
		n := tilesOf(rows) * tilesOf(cols)
		got, want, wantCodes := make([]fp8.TileStats, n), make([]fp8.TileStats, n), make([]byte, rows*cols)
		if err := fp8.Quantize(wantCodes, cols, want, m, fp8.Options{}); err != nil {
			t.Fatal(err)
		}
		m.Data = in
		if err := d.Quantize(codes, cols, got, m, fp8.Options{}).Wait(); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%d columns: tile %d: %+v, want %+v", cols, i, got[i], want[i])
			}
		}
		for i := range wantCodes {
			if codes[i] != wantCodes[i] {
				t.Fatalf("%d columns: code %d: %#02x, want %#02x", cols, i, codes[i], wantCodes[i])
			}
		}
		g := fp8.Grid{Rows: tilesOf(rows), Cols: tilesOf(cols), TileRows: fp8.Tile, TileCols: fp8.Tile}
		for _, s := range want {
			g.Scales = append(g.Scales, s.Scale)
		}
		wantBack := make([]byte, 2*rows*cols)
		if err := fp8.Dequantize(wantBack, cols, fp8.ElemBF16, wantCodes, cols, rows, cols, g); err != nil {
			t.Fatal(err)
		}
		if err := d.Dequantize(in, cols, fp8.ElemBF16, codes, cols, rows, cols, g).Wait(); err != nil {
			t.Fatal(err)
		}
		for i := range wantBack {
			if in[i] != wantBack[i] {
				t.Fatalf("%d columns: byte %d of the way back: %#02x, want %#02x", cols, i, in[i], wantBack[i])
			}
		}
	}
}

// manyAtOnce keeps more calls under way than a device has room for, from one
// goroutine and from several.
func manyAtOnce(t *testing.T, d gpu.Device) {
	r := rand.New(rand.NewPCG(17, 18))
	var ms []fp8.Matrix
	for i := range 6 {
		ms = append(ms, newMatrix(fp8.ElemBF16, 130+i, 260, 260, kinds[i%2].f(r)))
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			var list []*under
			for i := range 12 {
				name := fmt.Sprintf("goroutine %d, call %d", g, i)
				u, err := start(d, name, ms[(g+i)%len(ms)], 260, options(260)[[]string{"float absmax", "ue8m0 mse"}[i%2]])
				if err != nil {
					t.Error(err)
					return
				}
				list = append(list, u)
			}
			for _, u := range list {
				if err := u.check(); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 3 {
				w := newWeight(gemm.E4M3, 141, 100, 100, r)
				x := randomRows(9, 100, r)
				y := make([]float32, 9*141)
				if err := d.Mul(y, 141, x, 100, 9, w).Wait(); err != nil {
					t.Error(err)
				} else if err := gpu.CheckMul(y, 141, x, 100, 9, w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
