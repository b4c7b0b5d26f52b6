package group

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// Rows become columns on every path, and nothing else is touched.
func TestTurn(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 60 {
		rows, cols := 1+r.IntN(80), 1+r.IntN(80)
		stride := rows + r.IntN(5)
		for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
			size := e.Size()
			src, want := make([]byte, rows*cols*size), make([]byte, cols*stride*size)
			for i := range src {
				src[i] = byte(r.Uint32())
			}
			for i := range want {
				want[i] = byte(i)
			}
			got := bytes.Clone(want)
			for i := range rows {
				for k := range cols {
					copy(want[(k*stride+i)*size:][:size], src[(i*cols+k)*size:])
				}
			}
			for _, p := range paths() {
				cputest.Use(t, p.name)
				is := bytes.Clone(got)
				Turn(is, stride, src, rows, cols, e)
				if !bytes.Equal(is, want) {
					t.Fatalf("%s: %v, %d×%d with a stride of %d", p.name, e, rows, cols, stride)
				}
			}
		}
	}
}
