//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"
#include "exp_avx2_amd64.h"

// SIGNBITS makes Y13 −0 in all lanes.
#define SIGNBITS \
	VPCMPEQD Y13, Y13, Y13; \
	VPSLLD $31, Y13, Y13

// QUOTIENTS makes Y0 and Y1, numbers e, the quotients A/(1+e) and B/(1+e).
#define QUOTIENTS(A, B) \
	VADDPS Y15, Y0, Y0; \
	VADDPS Y15, Y1, Y1; \
	VDIVPS Y0, A, Y0; \
	VDIVPS Y1, B, Y1

// Gates and ups are taken apart by VSHUFPS within 128 bits, which leaves 8 of them
// in the order 0 1 4 5 2 3 6 7; VPERMPD in INORDER is the way back.
#define INORDER \
	VPERMPD $0xd8, Y0, Y0; \
	VPERMPD $0xd8, Y1, Y1

// GATES makes A and B the clamped gates of Y6…Y9, UPS the clamped ups (Y12 is the
// limit, Y13 −limit).
#define GATES(A, B) \
	VSHUFPS $0x88, Y7, Y6, A; \
	VSHUFPS $0x88, Y9, Y8, B; \
	VMINPS A, Y12, A; \
	VMINPS B, Y12, B

#define UPS(A, B) \
	VSHUFPS $0xdd, Y7, Y6, A; \
	VSHUFPS $0xdd, Y9, Y8, B; \
	VMINPS A, Y12, A; \
	VMINPS B, Y12, B; \
	VMAXPS A, Y13, A; \
	VMAXPS B, Y13, B

// GLU makes Y0 and Y1, e^(−alpha·gate), the results of Y6…Y9.
#define GLU \
	GATES(Y2, Y3); \
	QUOTIENTS(Y2, Y3); \
	UPS(Y4, Y5); \
	VADDPS Y15, Y4, Y4; \
	VADDPS Y15, Y5, Y5; \
	VMULPS Y0, Y4, Y0; \
	VMULPS Y1, Y5, Y1; \
	INORDER

// PAIRS loads 32 numbers, PAIRSTAIL twice as many as are left, by the masks at (AX).
#define PAIRS \
	VMOVUPS (SI), Y6; \
	VMOVUPS 32(SI), Y7; \
	VMOVUPS 64(SI), Y8; \
	VMOVUPS 96(SI), Y9

#define PAIRSTAIL \
	MASKEDPAIRS(0, Y6); \
	MASKEDPAIRS(32, Y7); \
	MASKEDPAIRS(64, Y8); \
	MASKEDPAIRS(96, Y9)

// VPMOVSXDQ doubles every lane of the mask.
#define MASKEDPAIRS(at, Y) \
	VPMOVSXDQ (at/2)(AX), Y; \
	VMASKMOVPS (at)(SI), Y, Y

// func expAVX2(dst, x []float32)
TEXT ·expAVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	MOVQ x_len+32(FP), CX
	EXPCONSTANTS
	STEPS16

loop:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	EXP16
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y11, Y12)
	LOAD(SI, Y11, Y12, Y0, Y1)
	EXP16
	STORE(DI, Y11, Y12, Y0, Y1)

done:
	VZEROUPPER
	RET

// func sigmoidAVX2(dst, x []float32)
TEXT ·sigmoidAVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	MOVQ x_len+32(FP), CX
	EXPCONSTANTS
	SIGNBITS
	STEPS16

loop:
	VXORPS  (SI), Y13, Y0
	VXORPS  32(SI), Y13, Y1
	EXP16
	QUOTIENTS(Y15, Y15)
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y11, Y12)
	LOAD(SI, Y11, Y12, Y0, Y1)
	VXORPS Y0, Y13, Y0
	VXORPS Y1, Y13, Y1
	EXP16
	QUOTIENTS(Y15, Y15)
	STORE(DI, Y11, Y12, Y0, Y1)

done:
	VZEROUPPER
	RET

// func softExpAVX2(x []float32, m float32) float32
TEXT ·softExpAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS m+24(FP), Y13
	VXORPS       Y11, Y11, Y11
	VXORPS       Y12, Y12, Y12
	EXPCONSTANTS
	STEPS16

loop:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VSUBPS  Y13, Y0, Y0
	VSUBPS  Y13, Y1, Y1
	EXPLOW16
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	VADDPS  Y0, Y11, Y11
	VADDPS  Y1, Y12, Y12
	ADDQ    $64, SI
	NEXT16

rest:
	REST
	MASKS(Y2, Y3)
	LOAD(SI, Y2, Y3, Y0, Y1)
	VSUBPS Y13, Y0, Y0
	VSUBPS Y13, Y1, Y1
	EXPLOW16
	MASKS(Y2, Y3)
	STORE(SI, Y2, Y3, Y0, Y1)
	VANDPS Y2, Y0, Y0
	VANDPS Y3, Y1, Y1
	VADDPS Y0, Y11, Y11
	VADDPS Y1, Y12, Y12

done:
	VMOVAPS Y11, Y0
	VMOVAPS Y12, Y1
	JOIN16
	VMOVSS  X0, ret+32(FP)
	VZEROUPPER
	RET

// func siluMulAVX2(dst, gate, up []float32)
TEXT ·siluMulAVX2(SB), NOSPLIT, $0-72
	MOVQ dst_base+0(FP), DI
	MOVQ gate_base+24(FP), SI
	MOVQ gate_len+32(FP), CX
	MOVQ up_base+48(FP), BX
	EXPCONSTANTS
	SIGNBITS
	STEPS16

loop:
	VMOVUPS (SI), Y11
	VMOVUPS 32(SI), Y12
	VXORPS  Y11, Y13, Y0
	VXORPS  Y12, Y13, Y1
	EXP16
	QUOTIENTS(Y11, Y12)
	VMULPS  (BX), Y0, Y0
	VMULPS  32(BX), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, BX
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y2, Y3)
	LOAD(SI, Y2, Y3, Y11, Y12)
	VXORPS Y11, Y13, Y0
	VXORPS Y12, Y13, Y1
	EXP16
	QUOTIENTS(Y11, Y12)
	MASKS(Y2, Y3)
	LOAD(BX, Y2, Y3, Y4, Y5)
	VMULPS Y4, Y0, Y0
	VMULPS Y5, Y1, Y1
	STORE(DI, Y2, Y3, Y0, Y1)

done:
	VZEROUPPER
	RET

// func clampedSwiGLUAVX2(dst, gateUp []float32, alpha, limit float32)
TEXT ·clampedSwiGLUAVX2(SB), NOSPLIT, $0-56
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), CX
	MOVQ         gateUp_base+24(FP), SI
	SIGNBITS
	VBROADCASTSS alpha+48(FP), Y11
	VBROADCASTSS limit+52(FP), Y12
	VXORPS       Y13, Y11, Y11          // −alpha
	VXORPS       Y13, Y12, Y13          // −limit
	EXPCONSTANTS
	STEPS16

loop:
	PAIRS
	GATES(Y0, Y1)
	VMULPS  Y11, Y0, Y0
	VMULPS  Y11, Y1, Y1
	EXP16
	PAIRS
	GLU
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $128, SI
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	PAIRSTAIL
	GATES(Y0, Y1)
	VMULPS Y11, Y0, Y0
	VMULPS Y11, Y1, Y1
	EXP16
	PAIRSTAIL
	GLU
	MASKS(Y2, Y3)
	STORE(DI, Y2, Y3, Y0, Y1)

done:
	VZEROUPPER
	RET
