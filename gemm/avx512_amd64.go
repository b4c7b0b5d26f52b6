//go:build !noasm

package gemm

// The AVX-512 kernels need F, BW, DQ and VL.

//go:noescape
func kernelAVX512(c *float32, ldc uintptr, a *float32, lda uintptr, b *float32, ldb uintptr, k int, mask uint32, rows int, m mode, fetch *byte, skip uintptr, lines, fetchRows int)

//go:noescape
func dotAVX512(c *float32, ldc uintptr, a *float32, lda uintptr, b *float32, ldb uintptr, k int, mask uint32, rows int, m mode, fetch *byte, skip uintptr, lines, fetchRows int)

//go:noescape
func roundRowAVX512(dst, src *float32, k int)

//go:noescape
func pairPanelAVX512(panel *float32, pairs int)

//go:noescape
func packF32AVX512(dst *float32, src *byte, offsets *[16]uintptr, chunks int)

//go:noescape
func packBF16AVX512(dst *float32, src *byte, offsets *[16]uintptr, chunks int)

//go:noescape
func packE4M3AVX512(dst *float32, src *byte, offsets *[16]uintptr, chunks int, scales *[16]float32)

//go:noescape
func copyF32AVX512(dst *float32, src *byte, stride uintptr, k int, mask uint32)

//go:noescape
func copyBF16AVX512(dst *float32, src *byte, stride uintptr, k int, mask uint32)

//go:noescape
func decodeE4M3AVX512(dst *float32, codes *byte, n int, s float32)

//go:noescape
func decodeF16AVX512(dst *float32, src *byte, n int)

//go:noescape
func fewF32AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

//go:noescape
func fewF16AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

//go:noescape
func fewBF16AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

//go:noescape
func fewE4M3AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, scales *float32, scaleStep uintptr, tile int, m mode)

var avx512Path = &path{
	name:   "avx512",
	mr:     12,
	nr:     32,
	kernel: tileAVX512,
	pack:   packersAVX512.pack,
	direct: func(int) bool { return true },
	few: (&fewKernels{
		rows:   4,
		step:   32,
		anyK:   true,
		decode: packersAVX512.decodeRow,
		f32:    fewF32AVX512,
		f16:    fewF16AVX512,
		bf16:   fewBF16AVX512,
		e4m3:   fewE4M3AVX512,
	}).few,
}

var packersAVX512 = &packers{
	nr:         32,
	group:      16,
	anyCols:    true,
	packF32:    packF32AVX512,
	packBF16:   packBF16AVX512,
	packE4M3:   packE4M3AVX512,
	copyF32:    copyF32AVX512,
	copyBF16:   copyBF16AVX512,
	decodeE4M3: decodeE4M3AVX512,
	decodeF16:  decodeF16AVX512,
}

func tileAVX512(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, rows, cols int, m mode, f fetch) {
	_ = c[(rows-1)*ldc+cols-1] // all that the kernel reads and writes
	_ = a[(rows-1)*lda+k-1]
	_ = b[(k-1)*ldb+cols-1]
	kernelAVX512(&c[0], uintptr(ldc)*4, &a[0], uintptr(lda)*4, &b[0], uintptr(ldb)*4, k, columns(cols), rows, m, f.first, f.skip, f.lines, f.rows)
}

// columns returns the mask of the first n of 32 columns.
func columns(n int) uint32 { return uint32(1<<n - 1) }

// bf16AVX512 needs AVX512_BF16.
var bf16AVX512 = &pairs{
	kernel: func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, rows, cols int, m mode, f fetch) {
		_ = c[(rows-1)*ldc+cols-1] // all that the kernel reads and writes
		_ = a[(rows-1)*lda+k-1]
		_ = b[(k-1)*ldb+cols-1]
		dotAVX512(&c[0], uintptr(ldc)*4, &a[0], uintptr(lda)*4, &b[0], uintptr(ldb)*4, k, columns(cols), rows, m, f.first, f.skip, f.lines, f.rows)
	},
	roundRow: func(dst, src []float32) {
		_ = dst[(len(src)+1)/2-1]
		roundRowAVX512(&dst[0], &src[0], len(src))
	},
	roundPanel: func(panel []float32, rows int) {
		_ = panel[rows*32-1]
		pairPanelAVX512(&panel[0], rows/2)
	},
}
