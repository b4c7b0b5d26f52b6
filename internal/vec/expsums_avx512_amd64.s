//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// e^x in float64, the operations of exp64 (expsums.go) in its order.
//
// EXP32 replaces the 8 numbers each in Z0…Z3 by their exponentials, EXP16 those in
// Z0 and Z2, EXP8 those in Z0; Z4…Z19 are scratch, Z20…Z24 free for the kernels,
// Z25…Z31 constants, of which Z31 is 0.

#define EXPCONSTANTS \
	VBROADCASTSD ·exp64Table+0(SB), Z25; \
	VBROADCASTSD ·exp64Table+8(SB), Z26; \
	VBROADCASTSD ·exp64Table+16(SB), Z27; \
	VBROADCASTSD ·exp64Table+24(SB), Z28; \
	VBROADCASTSD ·exp64Table+32(SB), Z29; \
	VBROADCASTSD ·exp64Table+40(SB), Z30; \
	VPXORD Z31, Z31, Z31

#define CLAMP(X, T, R, Q, A) \
	VMAXPD X, Z25, X; \
	VMINPD X, Z26, X

#define SCALE(X, T, R, Q, A) \
	VMULPD Z27, X, T; \
	VADDPD Z28, T, T

#define INTEGER(X, T, R, Q, A) \
	VSUBPD Z28, T, R; \
	VMULPD Z29, R, Q; \
	VMULPD Z30, R, R

#define REDUCE(X, T, R, Q, A) \
	VSUBPD Q, X, X; \
	VSUBPD R, X, Q

#define COEF11(X, T, R, Q, A) VMULPD.BCST ·exp64Table+48(SB), Q, A
#define COEF10(X, T, R, Q, A) VADDPD.BCST ·exp64Table+56(SB), A, A; VMULPD Q, A, A
#define COEF9(X, T, R, Q, A) VADDPD.BCST ·exp64Table+64(SB), A, A; VMULPD Q, A, A
#define COEF8(X, T, R, Q, A) VADDPD.BCST ·exp64Table+72(SB), A, A; VMULPD Q, A, A
#define COEF7(X, T, R, Q, A) VADDPD.BCST ·exp64Table+80(SB), A, A; VMULPD Q, A, A
#define COEF6(X, T, R, Q, A) VADDPD.BCST ·exp64Table+88(SB), A, A; VMULPD Q, A, A
#define COEF5(X, T, R, Q, A) VADDPD.BCST ·exp64Table+96(SB), A, A; VMULPD Q, A, A
#define COEF4(X, T, R, Q, A) VADDPD.BCST ·exp64Table+104(SB), A, A; VMULPD Q, A, A
#define COEF3(X, T, R, Q, A) VADDPD.BCST ·exp64Table+112(SB), A, A; VMULPD Q, A, A; VMULPD Q, Q, Q
#define COEF2(X, T, R, Q, A) VADDPD.BCST ·exp64Table+120(SB), A, A; VMULPD Q, A, A
#define LINEAR(X, T, R, Q, A) VSUBPD R, A, A; VADDPD A, X, X

#define POWER(X, T, R, Q, A) \
	VADDPD.BCST ·exp64Table+128(SB), X, X; \
	VPSLLQ $52, T, T; \
	VADDPD X, X, X; \
	VMULPD T, X, X

#define ONE(STEP) STEP(Z0, Z4, Z8, Z12, Z16)

#define TWO(STEP) \
	STEP(Z0, Z4, Z8, Z12, Z16); \
	STEP(Z2, Z6, Z10, Z14, Z18)

#define FOUR(STEP) \
	STEP(Z0, Z4, Z8, Z12, Z16); \
	STEP(Z1, Z5, Z9, Z13, Z17); \
	STEP(Z2, Z6, Z10, Z14, Z18); \
	STEP(Z3, Z7, Z11, Z15, Z19)

#define EXPSTEPS(EACH) \
	EACH(CLAMP); \
	EACH(SCALE); \
	EACH(INTEGER); \
	EACH(REDUCE); \
	EACH(COEF11); \
	EACH(COEF10); \
	EACH(COEF9); \
	EACH(COEF8); \
	EACH(COEF7); \
	EACH(COEF6); \
	EACH(COEF5); \
	EACH(COEF4); \
	EACH(COEF3); \
	EACH(COEF2); \
	EACH(LINEAR); \
	EACH(POWER)

#define EXP8 EXPSTEPS(ONE)
#define EXP16 EXPSTEPS(TWO)
#define EXP32 EXPSTEPS(FOUR)

// LOAD makes X the 8 numbers at (at)(p), less SHIFT.
#define LOAD(at, p, SHIFT, X) \
	VCVTPS2PD (at)(p), X; \
	VSUBPD SHIFT, X, X

// TERMS adds E·(a−b) to Z24 where E is not 0.
#define TERMS(at, E, X, Y) \
	VCVTPS2PD (at)(SI), X; \
	VCVTPS2PD (at)(DI), Y; \
	VCMPPD $4, Z31, E, K2; \
	VSUBPD Y, X, X; \
	VMULPD X, E, X; \
	VADDPD X, Z24, K2, Z24

// func expSumsAVX512(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64)
TEXT ·expSumsAVX512(SB), NOSPLIT, $0-88
	MOVQ         a_base+0(FP), SI
	MOVQ         a_len+8(FP), CX
	MOVQ         b_base+24(FP), DI
	VBROADCASTSD shiftA+48(FP), Z20
	VBROADCASTSD shiftB+56(FP), Z21
	VPXORD       Z22, Z22, Z22
	VPXORD       Z23, Z23, Z23
	VPXORD       Z24, Z24, Z24
	EXPCONSTANTS
	SUBQ         $16, CX
	JLT          rest

loop:
	LOAD(0, SI, Z20, Z0)
	LOAD(32, SI, Z20, Z1)
	LOAD(0, DI, Z21, Z2)
	LOAD(32, DI, Z21, Z3)
	EXP32
	TERMS(0, Z0, Z4, Z5)
	TERMS(32, Z1, Z6, Z7)
	VADDPD Z0, Z22, Z22
	VADDPD Z2, Z23, Z23
	VADDPD Z1, Z22, Z22
	VADDPD Z3, Z23, Z23
	ADDQ   $64, SI
	ADDQ   $64, DI
	SUBQ   $16, CX
	JGE    loop

rest:
	ADDQ $16, CX
	JZ   done

tail:
	MASK16
	VCVTPS2PD.Z (SI), K1, Z1
	VCVTPS2PD.Z (DI), K1, Z3
	VSUBPD      Z20, Z1, Z0
	VSUBPD      Z21, Z3, Z2
	EXP16
	VCMPPD      $4, Z31, Z0, K1, K2
	VSUBPD      Z3, Z1, Z1
	VMULPD      Z1, Z0, Z1
	VADDPD      Z1, Z24, K2, Z24
	VADDPD      Z0, Z22, K1, Z22
	VADDPD      Z2, Z23, K1, Z23
	ADDQ        $32, SI
	ADDQ        $32, DI
	SUBQ        $8, CX
	JGT         tail

done:
	VMOVAPS Z22, Z0
	VMOVAPS Z23, Z1
	VMOVAPS Z24, Z2
	JOIN8(Z0, Y0, X0, Y3, X3)
	JOIN8(Z1, Y1, X1, Y4, X4)
	JOIN8(Z2, Y2, X2, Y5, X5)
	VMOVSD  X0, ea+64(FP)
	VMOVSD  X1, eb+72(FP)
	VMOVSD  X2, d+80(FP)
	VZEROUPPER
	RET

// func expSumAVX512(a []float32, shift float64) float64
TEXT ·expSumAVX512(SB), NOSPLIT, $0-40
	MOVQ         a_base+0(FP), SI
	MOVQ         a_len+8(FP), CX
	VBROADCASTSD shift+24(FP), Z20
	VPXORD       Z22, Z22, Z22
	EXPCONSTANTS
	SUBQ         $32, CX
	JLT          rest

loop:
	LOAD(0, SI, Z20, Z0)
	LOAD(32, SI, Z20, Z1)
	LOAD(64, SI, Z20, Z2)
	LOAD(96, SI, Z20, Z3)
	EXP32
	VADDPD Z0, Z22, Z22
	VADDPD Z1, Z22, Z22
	VADDPD Z2, Z22, Z22
	VADDPD Z3, Z22, Z22
	ADDQ   $128, SI
	SUBQ   $32, CX
	JGE    loop

rest:
	ADDQ $32, CX
	JZ   done

tail:
	MASK16
	VCVTPS2PD.Z (SI), K1, Z0
	VSUBPD      Z20, Z0, Z0
	EXP8
	VADDPD      Z0, Z22, K1, Z22
	ADDQ        $32, SI
	SUBQ        $8, CX
	JGT         tail

done:
	VMOVAPS Z22, Z0
	JOIN8(Z0, Y0, X0, Y1, X1)
	VMOVSD  X0, ret+32(FP)
	VZEROUPPER
	RET
