//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// BEGIN sets up a cost kernel: R8 points to BX multipliers, SI and R10 to CX times 8
// weights and their importance, DI to the costs.
#define BEGIN \
	MOVQ cost+0(FP), DI; \
	MOVQ mult+8(FP), R8; \
	MOVQ k+16(FP), BX; \
	VMOVUPS MAGNITUDES, Y7

#define SCALEBEGIN \
	MOVQ w+24(FP), SI; \
	MOVQ u+32(FP), R10; \
	MOVQ n+40(FP), CX; \
	VBROADCASTSS (R8), Y3; \
	VXORPD Y12, Y12, Y12; \
	VXORPD Y13, Y13, Y13; \
	SHRQ $3, CX

// WEIGHED adds the squares of eight errors, w in Y0 less ŵ in Y2, to lanes 0…3 in
// Y13 and 4…7 in Y12.
#define WEIGHED \
	VSUBPS Y2, Y0, Y2; \
	VCVTPS2PD X2, Y1; \
	VEXTRACTF128 $1, Y2, X2; \
	VCVTPS2PD X2, Y2; \
	VMULPD Y1, Y1, Y1; \
	VMULPD Y2, Y2, Y2; \
	VMULPD (R10), Y1, Y1; \
	VMULPD 32(R10), Y2, Y2; \
	VADDPD Y1, Y13, Y13; \
	VADDPD Y2, Y12, Y12; \
	ADDQ $32, SI; \
	ADDQ $64, R10; \
	DECQ CX

// SCALEEND joins the lanes.
#define SCALEEND \
	VADDPD Y12, Y13, Y13; \
	VEXTRACTF128 $1, Y13, X12; \
	VADDPD X12, X13, X13; \
	VPERMILPD $1, X13, X12; \
	VADDSD X12, X13, X13; \
	VMOVSD X13, (DI); \
	ADDQ $8, DI; \
	ADDQ $4, R8; \
	DECQ BX

// func costE2M1AVX2(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)
TEXT ·costE2M1AVX2(SB), NOSPLIT, $0-48
	BEGIN

scale:
	SCALEBEGIN

loop:
	VANDPS (SI), Y7, Y0
	VDIVPS Y3, Y0, Y1
	VMINPS E2M1MAX, Y1, Y1
	GRID(Y1, E2M1LEAST, E2M1GRID, Y4, Y2)
	VADDPS Y2, Y1, Y1
	VSUBPS Y2, Y1, Y2
	VMULPS Y3, Y2, Y2
	WEIGHED
	JNZ loop
	SCALEEND
	JNZ scale
	VZEROUPPER
	RET

// func costINT4AVX2(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)
TEXT ·costINT4AVX2(SB), NOSPLIT, $0-48
	BEGIN

scale:
	SCALEBEGIN

loop:
	VMOVUPS (SI), Y0
	VDIVPS Y3, Y0, Y1
	VMAXPS MINUS8, Y1, Y1
	VMINPS SEVEN, Y1, Y1
	VROUNDPS $0, Y1, Y2
	VMULPS Y3, Y2, Y2
	WEIGHED
	JNZ loop
	SCALEEND
	JNZ scale
	VZEROUPPER
	RET
