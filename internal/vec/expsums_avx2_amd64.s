//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// e^x in float64, the operations of exp64 (expsums.go) in its order.
//
// EXP8 replaces the 4 numbers each in Y0 and Y1 by their exponentials; Y2…Y10 are
// scratch. Which register holds what is as in exp_avx2_amd64.h.
#define EXP8 \
	VBROADCASTSD ·exp64Table+0(SB), Y10; \
	VMAXPD Y0, Y10, Y0; \
	VMAXPD Y1, Y10, Y1; \
	VBROADCASTSD ·exp64Table+8(SB), Y10; \
	VMINPD Y0, Y10, Y0; \
	VMINPD Y1, Y10, Y1; \
	VBROADCASTSD ·exp64Table+16(SB), Y10; \
	VMULPD Y10, Y0, Y2; \
	VMULPD Y10, Y1, Y3; \
	VBROADCASTSD ·exp64Table+24(SB), Y10; \
	VADDPD Y10, Y2, Y2; \
	VADDPD Y10, Y3, Y3; \
	VSUBPD Y10, Y2, Y4; \
	VSUBPD Y10, Y3, Y5; \
	VBROADCASTSD ·exp64Table+32(SB), Y10; \
	VMULPD Y10, Y4, Y6; \
	VMULPD Y10, Y5, Y7; \
	VBROADCASTSD ·exp64Table+40(SB), Y10; \
	VMULPD Y10, Y4, Y4; \
	VMULPD Y10, Y5, Y5; \
	VSUBPD Y6, Y0, Y0; \
	VSUBPD Y7, Y1, Y1; \
	VSUBPD Y4, Y0, Y6; \
	VSUBPD Y5, Y1, Y7; \
	VBROADCASTSD ·exp64Table+48(SB), Y10; \
	VMULPD Y6, Y10, Y8; \
	VMULPD Y7, Y10, Y9; \
	COEF(56); \
	COEF(64); \
	COEF(72); \
	COEF(80); \
	COEF(88); \
	COEF(96); \
	COEF(104); \
	COEF(112); \
	VMULPD Y6, Y6, Y6; \
	VMULPD Y7, Y7, Y7; \
	COEF(120); \
	VSUBPD Y4, Y8, Y8; \
	VSUBPD Y5, Y9, Y9; \
	VADDPD Y8, Y0, Y0; \
	VADDPD Y9, Y1, Y1; \
	VBROADCASTSD ·exp64Table+128(SB), Y10; \
	VADDPD Y10, Y0, Y0; \
	VADDPD Y10, Y1, Y1; \
	VPSLLQ $52, Y2, Y2; \
	VPSLLQ $52, Y3, Y3; \
	VADDPD Y0, Y0, Y0; \
	VADDPD Y1, Y1, Y1; \
	VMULPD Y2, Y0, Y0; \
	VMULPD Y3, Y1, Y1

#define COEF(at) \
	VBROADCASTSD ·exp64Table+at(SB), Y10; \
	VADDPD Y10, Y8, Y8; \
	VADDPD Y10, Y9, Y9; \
	VMULPD Y6, Y8, Y8; \
	VMULPD Y7, Y9, Y9

// SHIFT subtracts the number at s from Y0 and Y1.
#define SHIFT(s) \
	VBROADCASTSD s, Y10; \
	VSUBPD Y10, Y0, Y0; \
	VSUBPD Y10, Y1, Y1

// TERMS makes D E·(x−y) where E is not 0, and 0 elsewhere, with x in D.
#define TERMS(E, D, Y, C, ZERO) \
	VSUBPD Y, D, D; \
	VCMPPD $4, ZERO, E, C; \
	VMULPD D, E, D; \
	VANDPD C, D, D

// TAIL8 loads the 8 numbers or fewer at p, by the mask at (AX), to Y and YH.
#define TAIL8(p, Y, X, YH) \
	VMOVDQU (AX), Y; \
	VMASKMOVPS (p), Y, Y; \
	VEXTRACTF128 $1, Y, X10; \
	VCVTPS2PD X, Y; \
	VCVTPS2PD X10, YH

// KEEP makes Y0 and Y1 zero where the mask at (AX) is; Y2 and Y3 are scratch.
#define KEEP \
	VPMOVSXDQ (AX), Y2; \
	VPMOVSXDQ 16(AX), Y3; \
	VANDPD Y2, Y0, Y0; \
	VANDPD Y3, Y1, Y1

// func expSumsAVX2(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64)
//
// ea is in Y11 and Y12, eb in Y13 and Y14, d in Y15 and on the stack.
TEXT ·expSumsAVX2(SB), NOSPLIT, $32-88
	MOVQ    a_base+0(FP), SI
	MOVQ    a_len+8(FP), CX
	MOVQ    b_base+24(FP), DI
	VXORPS  Y11, Y11, Y11
	VXORPS  Y12, Y12, Y12
	VXORPS  Y13, Y13, Y13
	VXORPS  Y14, Y14, Y14
	VXORPS  Y15, Y15, Y15
	VMOVUPS Y15, d1-32(SP)
	SUBQ    $8, CX
	JLT     rest

loop:
	VCVTPS2PD (SI), Y0
	VCVTPS2PD 16(SI), Y1
	SHIFT(shiftA+48(FP))
	EXP8
	VADDPD    Y0, Y11, Y11
	VADDPD    Y1, Y12, Y12
	VCVTPS2PD (SI), Y4
	VCVTPS2PD 16(SI), Y5
	VCVTPS2PD (DI), Y6
	VCVTPS2PD 16(DI), Y7
	VXORPS    Y8, Y8, Y8
	TERMS(Y0, Y4, Y6, Y2, Y8)
	TERMS(Y1, Y5, Y7, Y3, Y8)
	VADDPD    Y4, Y15, Y15
	VADDPD    d1-32(SP), Y5, Y5
	VMOVUPS   Y5, d1-32(SP)
	VMOVAPS   Y6, Y0
	VMOVAPS   Y7, Y1
	SHIFT(shiftB+56(FP))
	EXP8
	VADDPD    Y0, Y13, Y13
	VADDPD    Y1, Y14, Y14
	ADDQ      $32, SI
	ADDQ      $32, DI
	SUBQ      $8, CX
	JGE       loop

rest:
	ADDQ $8, CX
	JZ   done
	MASKADDRESS
	TAIL8(SI, Y0, X0, Y1)
	SHIFT(shiftA+48(FP))
	EXP8
	KEEP
	VADDPD  Y0, Y11, Y11
	VADDPD  Y1, Y12, Y12
	TAIL8(SI, Y4, X4, Y5)
	TAIL8(DI, Y6, X6, Y7)
	VXORPS  Y8, Y8, Y8
	TERMS(Y0, Y4, Y6, Y2, Y8)
	TERMS(Y1, Y5, Y7, Y3, Y8)
	VADDPD  Y4, Y15, Y15
	VADDPD  d1-32(SP), Y5, Y5
	VMOVUPS Y5, d1-32(SP)
	VMOVAPS Y6, Y0
	VMOVAPS Y7, Y1
	SHIFT(shiftB+56(FP))
	EXP8
	KEEP
	VADDPD  Y0, Y13, Y13
	VADDPD  Y1, Y14, Y14

done:
	VMOVUPS d1-32(SP), Y0
	JOIN8(Y11, X11, Y12, X12)
	JOIN8(Y13, X13, Y14, X14)
	JOIN8(Y15, X15, Y0, X0)
	VMOVSD  X11, ea+64(FP)
	VMOVSD  X13, eb+72(FP)
	VMOVSD  X15, d+80(FP)
	VZEROUPPER
	RET

// func expSumAVX2(a []float32, shift float64) float64
TEXT ·expSumAVX2(SB), NOSPLIT, $0-40
	MOVQ   a_base+0(FP), SI
	MOVQ   a_len+8(FP), CX
	VXORPS Y11, Y11, Y11
	VXORPS Y12, Y12, Y12
	SUBQ   $8, CX
	JLT    rest

loop:
	VCVTPS2PD (SI), Y0
	VCVTPS2PD 16(SI), Y1
	SHIFT(shift+24(FP))
	EXP8
	VADDPD    Y0, Y11, Y11
	VADDPD    Y1, Y12, Y12
	ADDQ      $32, SI
	SUBQ      $8, CX
	JGE       loop

rest:
	ADDQ $8, CX
	JZ   done
	MASKADDRESS
	TAIL8(SI, Y0, X0, Y1)
	SHIFT(shift+24(FP))
	EXP8
	KEEP
	VADDPD Y0, Y11, Y11
	VADDPD Y1, Y12, Y12

done:
	JOIN8(Y11, X11, Y12, X12)
	VMOVSD X11, ret+32(FP)
	VZEROUPPER
	RET
