//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// BEGIN sets up an encoder of CX times 32 weights; DI, SI, R8 are codes, weights and
// multipliers, R9 the row.
#define BEGIN \
	MOVQ codes+0(FP), DI; \
	MOVQ w+8(FP), SI; \
	MOVQ mult+16(FP), R8; \
	MOVQ n+24(FP), CX; \
	MOVQ r+32(FP), R9; \
	VMOVUPD 0(R9), Y15; \
	VMOVUPD 32(R9), Y14; \
	VMOVUPD 64(R9), Y13; \
	VMOVUPD 96(R9), Y12; \
	VBROADCASTSS 128(R9), Y11; \
	VPXOR Y10, Y10, Y10; \
	VPXOR Y9, Y9, Y9; \
	VPXOR Y8, Y8, Y8; \
	VMOVUPS MAGNITUDES, Y7; \
	XORL R10, R10; \
	XORL R11, R11; \
	SHRQ $5, CX

// NEXT goes to the next 32 weights.
#define NEXT(bytes) \
	ADDQ $bytes, DI; \
	ADDQ $128, SI; \
	ADDQ $8, R8; \
	DECQ CX

// SUM leaves the sum of the eight dwords of Y in R.
#define SUM(Y, X, R) \
	VEXTRACTI128 $1, Y, X0; \
	VPADDD X0, X, X; \
	VPSHUFD $0x4e, X, X0; \
	VPADDD X0, X, X; \
	VPSHUFD $0xb1, X, X0; \
	VPADDD X0, X, X; \
	VMOVD X, R

// END stores sums and counts: codes 0 less weights 0.
#define END \
	VMOVUPD Y15, 0(R9); \
	VMOVUPD Y14, 32(R9); \
	VMOVUPD Y13, 64(R9); \
	VMOVUPD Y12, 96(R9); \
	VEXTRACTF128 $1, Y11, X0; \
	VMAXPS X0, X11, X11; \
	VPERMILPD $1, X11, X0; \
	VMAXPS X0, X11, X11; \
	VMOVSHDUP X11, X0; \
	VMAXSS X0, X11, X11; \
	VMOVSS X11, 128(R9); \
	SUM(Y10, X10, AX); \
	SUM(Y9, X9, BX); \
	SUBL BX, R11; \
	ADDL AX, 132(R9); \
	ADDL R10, 136(R9); \
	ADDL R11, 140(R9); \
	VZEROUPPER

// SIGNS16 packs the signs of 16 weights, of which −0 has none if Y6 is 0, as words.
#define SIGNS16(at, S) \
	VADDPS (at)(SI), Y6, Y0; \
	VADDPS ((at)+32)(SI), Y6, Y1; \
	VPACKSSDW Y1, Y0, S

// func encodeE2M1AVX2(codes *byte, w, mult *float32, n uintptr, r *Row, zero float32)
TEXT ·encodeE2M1AVX2(SB), NOSPLIT, $0-44
	BEGIN

loop:
	VBROADCASTSS (R8), Y3
	ENCODEE2M1(0, Y4)
	ENCODEE2M1(32, Y5)
	VPACKSSDW Y5, Y4, Y4
	VBROADCASTSS 4(R8), Y3
	ENCODEE2M1(64, Y5)
	ENCODEE2M1(96, Y6)
	VPACKSSDW Y6, Y5, Y5
	VPSRLW $6, Y4, Y4
	VPSRLW $6, Y5, Y5
	VPACKUSWB Y5, Y4, Y4
	VBROADCASTSS zero+40(FP), Y6
	SIGNS16(0, Y2)
	SIGNS16(64, Y3)
	VPACKSSWB Y3, Y2, Y2
	VPCMPEQB Y8, Y4, Y0
	VPCMPEQB BYTES1, Y4, Y1
	COUNT(Y0, R11)
	COUNT(Y1, R10)
	VPSRLW $4, Y2, Y2
	VPAND BYTES8, Y2, Y2
	VPOR Y2, Y4, Y4
	NIBBLES16(Y4, X4, Y5, X5)
	NEXT(16)
	JNZ loop
	END
	RET

// func encodeE4M3AVX2(codes *byte, w, mult *float32, n uintptr, r *Row)
TEXT ·encodeE4M3AVX2(SB), NOSPLIT, $0-40
	BEGIN

loop:
	VBROADCASTSS (R8), Y3
	ENCODEE4M3(0, Y4)
	ENCODEE4M3(32, Y5)
	VPACKSSDW Y5, Y4, Y4
	VBROADCASTSS 4(R8), Y3
	ENCODEE4M3(64, Y5)
	ENCODEE4M3(96, Y6)
	VPACKSSDW Y6, Y5, Y5
	VPSRLW $4, Y4, Y4
	VPSRLW $4, Y5, Y5
	VPACKUSWB Y5, Y4, Y4
	VMOVDQU (SI), Y0
	VMOVDQU 64(SI), Y1
	VPACKSSDW 32(SI), Y0, Y0
	VPACKSSDW 96(SI), Y1, Y1
	VPACKSSWB Y1, Y0, Y2
	VPCMPEQB Y8, Y4, Y0
	VMOVDQU BYTES8, Y1
	VPCMPGTB Y4, Y1, Y1
	COUNT(Y0, R11)
	COUNT(Y1, R10)
	VPAND CODESIGNS, Y2, Y2
	VPOR Y2, Y4, Y4
	VMOVDQU ·codeOrder256(SB), Y5
	VPERMD Y4, Y5, Y4
	VMOVDQU Y4, (DI)
	NEXT(32)
	JNZ loop
	SUBL R11, R10 // R10 has codes of at most 7
	END
	RET

// func encodeINT4AVX2(codes *byte, w, mult *float32, n uintptr, r *Row)
TEXT ·encodeINT4AVX2(SB), NOSPLIT, $0-40
	BEGIN

loop:
	VBROADCASTSS (R8), Y3
	ENCODEINT4(0, Y4)
	ENCODEINT4(32, Y5)
	VPACKSSDW Y5, Y4, Y4
	VBROADCASTSS 4(R8), Y3
	ENCODEINT4(64, Y5)
	ENCODEINT4(96, Y6)
	VPACKSSDW Y6, Y5, Y5
	VPACKSSWB Y5, Y4, Y4
	VPCMPEQB Y8, Y4, Y0
	COUNT(Y0, R11)
	VPADDB BYTES8, Y4, Y4
	NIBBLES16(Y4, X4, Y5, X5)
	NEXT(16)
	JNZ loop
	END
	RET
