//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// BEGIN sets up a cost kernel: R8 points to BX multipliers, SI and R10 to CX times 16
// weights and their importance, DI to the costs.
#define BEGIN \
	MOVQ cost+0(FP), DI; \
	MOVQ mult+8(FP), R8; \
	MOVQ k+16(FP), BX; \
	VPBROADCASTD MAGNITUDES, Z24; \
	VPBROADCASTD EXPONENT, Z23

#define SCALEBEGIN \
	MOVQ w+24(FP), SI; \
	MOVQ u+32(FP), R10; \
	MOVQ n+40(FP), CX; \
	VBROADCASTSS (R8), Z21; \
	VPXORD Z13, Z13, Z13; \
	SHRQ $4, CX

// WEIGHED adds the squares of 16 errors, w in Z0 less ŵ in Z2, to the lanes in Z13.
#define WEIGHED \
	VSUBPS Z2, Z0, Z2; \
	VCVTPS2PD Y2, Z1; \
	VEXTRACTF64X4 $1, Z2, Y2; \
	VCVTPS2PD Y2, Z2; \
	VMULPD Z1, Z1, Z1; \
	VMULPD Z2, Z2, Z2; \
	VMULPD (R10), Z1, Z1; \
	VMULPD 64(R10), Z2, Z2; \
	VADDPD Z1, Z13, Z13; \
	VADDPD Z2, Z13, Z13; \
	ADDQ $64, SI; \
	ADDQ $128, R10; \
	DECQ CX

// SCALEEND joins the lanes.
#define SCALEEND \
	VEXTRACTF64X4 $1, Z13, Y12; \
	VADDPD Y12, Y13, Y13; \
	VEXTRACTF128 $1, Y13, X12; \
	VADDPD X12, X13, X13; \
	VPERMILPD $1, X13, X12; \
	VADDSD X12, X13, X13; \
	VMOVSD X13, (DI); \
	ADDQ $8, DI; \
	ADDQ $4, R8; \
	DECQ BX

// func costE2M1AVX512(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)
TEXT ·costE2M1AVX512(SB), NOSPLIT, $0-48
	BEGIN
	VPBROADCASTD E2M1LEAST, Z20
	VPBROADCASTD E2M1GRID, Z19
	VPBROADCASTD E2M1MAX, Z17

scale:
	SCALEBEGIN

loop:
	VPANDD (SI), Z24, Z0
	VDIVPS Z21, Z0, Z1
	VMINPS Z17, Z1, Z1
	GRID(Z1, Z20, Z19, Z4, Z2)
	VADDPS Z2, Z1, Z1
	VSUBPS Z2, Z1, Z2
	VMULPS Z21, Z2, Z2
	WEIGHED
	JNZ loop
	SCALEEND
	JNZ scale
	VZEROUPPER
	RET

// func costINT4AVX512(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)
TEXT ·costINT4AVX512(SB), NOSPLIT, $0-48
	BEGIN
	VPBROADCASTD MINUS8, Z20
	VPBROADCASTD SEVEN, Z17

scale:
	SCALEBEGIN

loop:
	VMOVUPS (SI), Z0
	VDIVPS Z21, Z0, Z1
	VMAXPS Z20, Z1, Z1
	VMINPS Z17, Z1, Z1
	VRNDSCALEPS $0, Z1, Z2
	VMULPS Z21, Z2, Z2
	WEIGHED
	JNZ loop
	SCALEEND
	JNZ scale
	VZEROUPPER
	RET
