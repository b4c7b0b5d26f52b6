package gemm

import (
	"fmt"
	"testing"
)

func TestAttn(t *testing.T) {
	usePath(t, "avx512")
	for _, rows := range []int{1, 2, 8, 24, 25, 512} {
		for _, s := range [][3]int{{32, 512, 256}, {128, 512, 1024}, {64, 100, 64}} {
			v := make([]float32, s[1]*s[2])
			for i := range v {
				v[i] = .5
			}
			x := make([]float32, rows*s[1])
			y := make([]float32, rows*s[0])
			w := Floats(v, s[0], s[1], s[2], true)
			tt := bestOf(2000, func() { Mul(y, s[0], x, s[1], rows, &w, Options{Workers: 1}) })
			fmt.Printf("PV rows %d %v: %.0f ns %.1f GFLOP/s\n", rows, s, tt, 2*float64(rows*s[0]*s[1])/tt)
			w = Floats(v, s[1], s[0], s[2], false)
			x = make([]float32, rows*s[0])
			y = make([]float32, rows*s[1])
			tt = bestOf(2000, func() { Mul(y, s[1], x, s[0], rows, &w, Options{Workers: 1}) })
			t2 := 0.0
			if rows <= 8 {
				t2 = bestOf(2000, func() { MulFew(y, s[1], x, s[0], rows, &w, Options{Workers: 1}) })
			}
			fmt.Printf("QK rows %d %v: %.0f ns %.1f GFLOP/s few %.0f ns\n", rows, s, tt, 2*float64(rows*s[0]*s[1])/tt, t2)
		}
	}
	w := Floats([]float32{1}, 1, 1, 1, false)
	x := []float32{1}
	y := []float32{1}
	fmt.Println("1x1 MulFew", bestOf(1000, func() {
		for range 100 {
			MulFew(y, 1, x, 1, 1, &w, Options{Workers: 1})
		}
	})/100, "Mul", bestOf(1000, func() {
		for range 100 {
			Mul(y, 1, x, 1, 1, &w, Options{Workers: 1})
		}
	})/100)
}
