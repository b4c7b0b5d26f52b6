//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// BEGIN sets up a cost kernel; X11 is the running sum.
#define BEGIN \
	MOVQ src+0(FP), SI; \
	MOVQ srcStride+8(FP), R9; \
	VBROADCASTSS s+16(FP), Y15; \
	VXORPS X11, X11, X11; \
	MOVL $128, CX

#define ROWBEGIN \
	VXORPS Y12, Y12, Y12; \
	VXORPS Y13, Y13, Y13

// ROWEND joins the lanes, adds the row and leaves when factor times the sum is
// not below least.
#define ROWEND \
	VADDPS Y13, Y12, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS X1, X0, X0; \
	VPERMILPD $1, X0, X1; \
	VADDPS X1, X0, X0; \
	VMOVSHDUP X0, X1; \
	VADDSS X1, X0, X0; \
	VADDSS X0, X11, X11; \
	VMULSS factor+20(FP), X11, X0; \
	VUCOMISS least+24(FP), X0; \
	JCC done; \
	ADDQ R9, SI; \
	DECL CX

// TILE is the work of a cost kernel.
#define TILE(LOAD, WEIGH) \
row: \
	ROWBEGIN; \
	COST16(LOAD, WEIGH, 0); \
	COST16(LOAD, WEIGH, 16); \
	COST16(LOAD, WEIGH, 32); \
	COST16(LOAD, WEIGH, 48); \
	COST16(LOAD, WEIGH, 64); \
	COST16(LOAD, WEIGH, 80); \
	COST16(LOAD, WEIGH, 96); \
	COST16(LOAD, WEIGH, 112); \
	ROWEND; \
	JNZ row

// func costBF16AVX2(src *byte, srcStride uintptr, s, factor, least float32) float32
TEXT ·costBF16AVX2(SB), NOSPLIT, $0-36
	BEGIN
	TILE(LOADBF16, PLAIN)

done:
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func costF32AVX2(src *byte, srcStride uintptr, s, factor, least float32) float32
TEXT ·costF32AVX2(SB), NOSPLIT, $0-36
	BEGIN
	TILE(LOADF32, PLAIN)

done:
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// func weightedCostBF16AVX2(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
TEXT ·weightedCostBF16AVX2(SB), NOSPLIT, $0-44
	BEGIN
	MOVQ weights+32(FP), R10
	TILE(LOADBF16, BYCOLUMN)

done:
	VMOVSS X0, ret+40(FP)
	VZEROUPPER
	RET

// func weightedCostF32AVX2(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
TEXT ·weightedCostF32AVX2(SB), NOSPLIT, $0-44
	BEGIN
	MOVQ weights+32(FP), R10
	TILE(LOADF32, BYCOLUMN)

done:
	VMOVSS X0, ret+40(FP)
	VZEROUPPER
	RET
