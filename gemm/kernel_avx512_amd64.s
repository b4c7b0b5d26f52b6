//go:build !noasm

#include "textflag.h"
#include "mxcsr_amd64.h"
#include "fetch_amd64.h"
#include "kernel_avx512_amd64.h"

#define FETCHSKIP skip+88(FP)
#define FETCHLINES lines+96(FP)
#define FETCHROWS fetchRows+104(FP)

#define ROW(at, z, lo, hi) \
	VBROADCASTSS at, z; \
	VFMADD231PS Z24, z, lo; \
	VFMADD231PS Z25, z, hi

#define ROWS1 ROW((SI), Z26, Z0, Z1)
#define ROWS2 ROWS1; ROW((SI)(R10*1), Z27, Z2, Z3)
#define ROWS3 ROWS2; ROW((SI)(R10*2), Z28, Z4, Z5)
#define ROWS4 ROWS3; ROW((SI)(R11*1), Z29, Z6, Z7)
#define ROWS5 ROWS4; ROW((R8), Z26, Z8, Z9)
#define ROWS6 ROWS5; ROW((R8)(R10*1), Z27, Z10, Z11)
#define ROWS7 ROWS6; ROW((R8)(R10*2), Z28, Z12, Z13)
#define ROWS8 ROWS7; ROW((R8)(R11*1), Z29, Z14, Z15)
#define ROWS9 ROWS8; ROW((R9), Z26, Z16, Z17)
#define ROWS10 ROWS9; ROW((R9)(R10*1), Z27, Z18, Z19)
#define ROWS11 ROWS10; ROW((R9)(R10*2), Z28, Z20, Z21)
#define ROWS12 ROWS11; ROW((R9)(R11*1), Z29, Z22, Z23)

// func kernelAVX512(c *float32, ldc uintptr, a *float32, lda uintptr, b *float32, ldb uintptr, k int, mask uint32, rows int, m mode, fetch *byte, skip uintptr, lines, fetchRows int)
TEXT ·kernelAVX512(SB), NOSPLIT, $8-112
	BEGIN
	FLUSHON(AX, DX, loops)

loops:
	LOOPS

finish:
	FLUSHOFF(AX, end)

end:
	END
