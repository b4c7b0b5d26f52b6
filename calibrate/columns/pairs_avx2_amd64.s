//go:build !noasm

#include "textflag.h"

// PAIRS makes the entries of the four pairs in Y: without the sign, the bucket from
// the base (Y15) on, within the table; the second of a pair is in the upper half of 64
// bits.
#define PAIRS(OFFSET, Y, T) \
	VMOVDQU OFFSET(SI), Y; \
	VPSLLD $1, Y, Y; \
	VPSRLD $21, Y, Y; \
	VPSUBD Y15, Y, Y; \
	VPMAXSD Y14, Y, Y; \
	VPMINSD Y13, Y, Y; \
	VPSRLQ $25, Y, T; \
	VPOR T, Y, Y; \
	VMOVDQU Y, OFFSET(SP)

// func pairsAVX2(table *[Buckets * Buckets]uint32, base uint32, x []float32)
TEXT ·pairsAVX2(SB), NOSPLIT, $128-40
	MOVQ         table+0(FP), DI
	MOVQ         x_base+16(FP), SI
	MOVQ         x_len+24(FP), CX
	MOVL         base+8(FP), AX
	VMOVD        AX, X15
	VPBROADCASTD X15, Y15
	VPXOR        Y14, Y14, Y14
	MOVL         $127, AX
	VMOVD        AX, X13
	VPBROADCASTD X13, Y13

step:
	PAIRS(0, Y0, Y4)
	PAIRS(32, Y1, Y5)
	PAIRS(64, Y2, Y6)
	PAIRS(96, Y3, Y7)
	MOVWLZX 0(SP), R8
	INCL    (DI)(R8*4)
	MOVWLZX 8(SP), R9
	INCL    (DI)(R9*4)
	MOVWLZX 16(SP), R10
	INCL    (DI)(R10*4)
	MOVWLZX 24(SP), R11
	INCL    (DI)(R11*4)
	MOVWLZX 32(SP), R8
	INCL    (DI)(R8*4)
	MOVWLZX 40(SP), R9
	INCL    (DI)(R9*4)
	MOVWLZX 48(SP), R10
	INCL    (DI)(R10*4)
	MOVWLZX 56(SP), R11
	INCL    (DI)(R11*4)
	MOVWLZX 64(SP), R8
	INCL    (DI)(R8*4)
	MOVWLZX 72(SP), R9
	INCL    (DI)(R9*4)
	MOVWLZX 80(SP), R10
	INCL    (DI)(R10*4)
	MOVWLZX 88(SP), R11
	INCL    (DI)(R11*4)
	MOVWLZX 96(SP), R8
	INCL    (DI)(R8*4)
	MOVWLZX 104(SP), R9
	INCL    (DI)(R9*4)
	MOVWLZX 112(SP), R10
	INCL    (DI)(R10*4)
	MOVWLZX 120(SP), R11
	INCL    (DI)(R11*4)
	ADDQ $128, SI
	SUBQ $32, CX
	JNZ  step
	VZEROUPPER
	RET
