package gemm

import (
	"quern/fp8"
	"quern/internal/cpu"
)

// pairs are a path's kernels for products that are rounded to BF16 first, where
// the machine multiplies pairs of BF16 numbers. A pair takes the place of one
// float32; the number with the even index is in the lower half.
type pairs struct {
	kernel kernel // over pairs: k, lda and ldb count them

	roundRow   func(dst, src []float32)        // to ⌈len(src)/2⌉ pairs, the last one filled up with 0
	roundPanel func(panel []float32, rows int) // in place, to rows/2 rows of pairs
}

// FastBF16 says that products in BF16 take less time than exact ones, on this processor
// and the path in use.
func FastBF16() bool { return cpu.FastBF16 && current.Load().pairs != nil }

// Without such kernels the usual ones do the same on float32 numbers that are
// rounded to BF16, with the numbers of every pair swapped, because VDPBF16PS adds
// the product of the second numbers first; and with subnormal numbers flushed.

// roundA makes t read its rows of x rounded, from scratch memory.
func (j *product) roundA(t *tiles, ws *workspace, m0, k0 int) {
	k, lda := t.k, (t.k+1)/2
	if p := j.p.pairs; p != nil {
		t.kernel = p.kernel
	} else {
		t.mode |= flushToZero
		lda *= 2
	}
	a := ws.rounded.take(t.rows * lda)
	for m := range t.rows {
		src, dst := j.x[(m0+m)*j.ldx+k0:][:k], a[m*lda:][:lda]
		if p := j.p.pairs; p != nil {
			p.roundRow(dst, src)
		} else {
			roundSwapped(dst, src)
		}
	}
	t.a, t.lda, t.k = a, lda, lda
}

// roundB rounds the panel of t, of k inputs.
func (j *product) roundB(t *tiles, k int) {
	nr := t.ldb
	if k%2 != 0 {
		clear(t.b[k*nr:][:nr])
		k++
	}
	if p := j.p.pairs; p != nil {
		p.roundPanel(t.b, k)
		return
	}
	for i := 0; i < k; i += 2 {
		even, odd := t.b[i*nr:][:nr], t.b[(i+1)*nr:][:nr]
		for n, x := range even {
			even[n], odd[n] = toBF16(odd[n]), toBF16(x)
		}
	}
}

// roundSwapped rounds src and swaps the numbers of every pair; an odd last number is
// paired with 0.
func roundSwapped(dst, src []float32) {
	for i, x := range src {
		dst[i^1] = toBF16(x)
	}
	if n := len(src); n%2 != 0 {
		dst[n-1] = 0
	}
}

// toBF16 rounds x to BF16 as VCVTNE2PS2BF16 does: subnormal numbers are zeros.
func toBF16(x float32) float32 { return fp8.BF16ToFloat32(fp8.BF16FromFloat32(flush(x))) }
