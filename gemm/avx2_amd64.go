//go:build !noasm

package gemm

// The AVX2 kernels need FMA and F16C as well.

//go:noescape
func kernelAVX2(c *float32, ldc uintptr, a *float32, lda uintptr, b *float32, ldb uintptr, k, rows int, m mode, fetch *byte, skip uintptr, lines, fetchRows int)

//go:noescape
func packF32AVX2(dst *float32, src *byte, offsets *[16]uintptr, chunks int)

//go:noescape
func packBF16AVX2(dst *float32, src *byte, offsets *[16]uintptr, chunks int)

//go:noescape
func packE4M3AVX2(dst *float32, src *byte, offsets *[16]uintptr, chunks int, scales *[16]float32)

//go:noescape
func copyF32AVX2(dst *float32, src *byte, stride uintptr, k int, mask uint32)

//go:noescape
func copyBF16AVX2(dst *float32, src *byte, stride uintptr, k int, mask uint32)

//go:noescape
func decodeE4M3AVX2(dst *float32, codes *byte, n int, s float32)

//go:noescape
func decodeF16AVX2(dst *float32, src *byte, n int)

//go:noescape
func fewF32AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

//go:noescape
func fewF16AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

//go:noescape
func fewBF16AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)

//go:noescape
func fewE4M3AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, scales *float32, scaleStep uintptr, tile int, m mode)

var avx2Path = &path{
	name:   "avx2",
	mr:     6,
	nr:     16,
	kernel: tileAVX2,
	pack:   packersAVX2.pack,
	direct: func(cols int) bool { return cols == 16 },
	few: (&fewKernels{
		rows:       1,
		step:       16,
		decode:     packersAVX2.decodeRow,
		decodeFrom: 3,
		f32:        fewF32AVX2,
		f16:        fewF16AVX2,
		bf16:       fewBF16AVX2,
		e4m3:       fewE4M3AVX2,
	}).few,
}

var packersAVX2 = &packers{
	nr:         16,
	group:      8,
	packF32:    packF32AVX2,
	packBF16:   packBF16AVX2,
	packE4M3:   packE4M3AVX2,
	copyF32:    copyF32AVX2,
	copyBF16:   copyBF16AVX2,
	decodeE4M3: decodeE4M3AVX2,
	decodeF16:  decodeF16AVX2,
}

// tileAVX2 runs the kernel, on a copy of the tile if it has less than 16 columns.
func tileAVX2(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, rows, cols int, m mode, f fetch) {
	const nr = 16
	_ = c[(rows-1)*ldc+cols-1] // all that the kernel reads and writes
	_ = a[(rows-1)*lda+k-1]
	_ = b[(k-1)*ldb+nr-1]
	if cols == nr {
		kernelAVX2(&c[0], uintptr(ldc)*4, &a[0], uintptr(lda)*4, &b[0], uintptr(ldb)*4, k, rows, m, f.first, f.skip, f.lines, f.rows)
		return
	}
	var tile [6 * nr]float32
	for r := range rows {
		copy(tile[r*nr:], c[r*ldc:][:cols])
	}
	kernelAVX2(&tile[0], nr*4, &a[0], uintptr(lda)*4, &b[0], uintptr(ldb)*4, k, rows, m, f.first, f.skip, f.lines, f.rows)
	for r := range rows {
		copy(c[r*ldc:][:cols], tile[r*nr:])
	}
}
