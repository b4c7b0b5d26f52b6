//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// The frame, from R13 (aligned to 64) on: the lanes of 16 rows, then at 1024
// their 16 sums.

#define BEGIN \
	MOVQ src+0(FP), SI; \
	MOVQ srcStride+8(FP), R9; \
	VBROADCASTSS s+16(FP), Z31; \
	CONSTANTS; \
	LEAQ 63(SP), R13; \
	ANDQ $~63, R13; \
	VXORPS X19, X19, X19; \
	MOVL $8, DX

#define ROWEND \
	VMOVUPS Z18, (R14); \
	ADDQ $64, R14; \
	ADDQ R9, SI; \
	DECL CX

#define ADDROW(r) VADDSS (1024+16*((r)%4)+4*((r)/4))(R13), X19, X19

// GROUPEND adds the sums of 16 rows to X19 in index order and leaves when
// factor times that is not below least.
#define GROUPEND \
	JOIN(R13, 0, Z0); \
	VMOVUPS Z0, 1024(R13); \
	ADDROW(0); \
	ADDROW(1); \
	ADDROW(2); \
	ADDROW(3); \
	ADDROW(4); \
	ADDROW(5); \
	ADDROW(6); \
	ADDROW(7); \
	ADDROW(8); \
	ADDROW(9); \
	ADDROW(10); \
	ADDROW(11); \
	ADDROW(12); \
	ADDROW(13); \
	ADDROW(14); \
	ADDROW(15); \
	VMULSS factor+20(FP), X19, X0; \
	VUCOMISS least+24(FP), X0; \
	JCC done; \
	DECL DX

// TILE is the work of a cost kernel.
#define TILE(LOAD, QUOTIENT, WEIGH) \
group: \
	MOVQ R13, R14; \
	MOVL $16, CX; \
row: \
	VPXORD Z18, Z18, Z18; \
	LOAD(0); \
	QUOTIENT; \
	COST64(WEIGH, 0); \
	LOAD(64); \
	QUOTIENT; \
	COST64(WEIGH, 64); \
	ROWEND; \
	JNZ row; \
	GROUPEND; \
	JNZ group

// func costBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32) float32
TEXT ·costBF16AVX512(SB), 0, $1152-36
	BEGIN
	LOADMAGNITUDES16
	TILE(LOADBF16, DIVIDE, PLAIN)

done:
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func costF32AVX512(src *byte, srcStride uintptr, s, factor, least float32) float32
TEXT ·costF32AVX512(SB), 0, $1152-36
	BEGIN
	LOADMAGNITUDES32
	TILE(LOADF32, DIVIDE, PLAIN)

done:
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func costFastBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32) float32
TEXT ·costFastBF16AVX512(SB), 0, $1152-36
	BEGIN
	LOADMAGNITUDES16
	RECIPROCAL(Z17)
	TILE(LOADBF16, MULTIPLY(Z17), PLAIN)

done:
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func weightedCostBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
TEXT ·weightedCostBF16AVX512(SB), 0, $1152-44
	BEGIN
	MOVQ weights+32(FP), R10
	LOADMAGNITUDES16
	TILE(LOADBF16, DIVIDE, BYCOLUMN)

done:
	VMOVSS X0, ret+40(FP)
	VZEROUPPER
	RET

// func weightedCostF32AVX512(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
TEXT ·weightedCostF32AVX512(SB), 0, $1152-44
	BEGIN
	MOVQ weights+32(FP), R10
	LOADMAGNITUDES32
	TILE(LOADF32, DIVIDE, BYCOLUMN)

done:
	VMOVSS X0, ret+40(FP)
	VZEROUPPER
	RET

// func weightedCostFastBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
TEXT ·weightedCostFastBF16AVX512(SB), 0, $1152-44
	BEGIN
	MOVQ weights+32(FP), R10
	LOADMAGNITUDES16
	RECIPROCAL(Z17)
	TILE(LOADBF16, MULTIPLY(Z17), BYCOLUMN)

done:
	VMOVSS X0, ret+40(FP)
	VZEROUPPER
	RET
