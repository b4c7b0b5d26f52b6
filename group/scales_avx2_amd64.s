//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// MAX16 leaves the largest magnitudes of 16 weights in the lanes of Y, MAX32 those of
// 32.
#define MAX16(at, Y) \
	VPAND (at)(SI), Y15, Y; \
	VPAND ((at)+32)(SI), Y15, Y8; \
	VPMAXUD Y8, Y, Y

#define MAX32(at, Y) \
	MAX16(at, Y); \
	MAX16((at)+64, Y9); \
	VPMAXUD Y9, Y, Y

// FOLD joins A and B: two lanes of each become one, so that all of them work.
#define FOLD(LOW, HIGH, A, B) \
	LOW B, A, Y8; \
	HIGH B, A, A; \
	VPMAXUD Y8, A, A

// FOLD8 leaves the largest of Y0…Y7 in the lanes of Y0.
#define FOLD8 \
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, Y0, Y1); \
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, Y2, Y3); \
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, Y4, Y5); \
	FOLD(VPUNPCKLDQ, VPUNPCKHDQ, Y6, Y7); \
	FOLD(VPUNPCKLQDQ, VPUNPCKHQDQ, Y0, Y2); \
	FOLD(VPUNPCKLQDQ, VPUNPCKHQDQ, Y4, Y6); \
	VPERM2I128 $0x20, Y4, Y0, Y8; \
	VPERM2I128 $0x31, Y4, Y0, Y0; \
	VPMAXUD Y8, Y0, Y0

// GROUPS8 takes eight groups of n weights.
#define GROUPS8(MAX, n) \
	MAX(0*4*n, Y0); \
	MAX(1*4*n, Y1); \
	MAX(2*4*n, Y2); \
	MAX(3*4*n, Y3); \
	MAX(4*4*n, Y4); \
	MAX(5*4*n, Y5); \
	MAX(6*4*n, Y6); \
	MAX(7*4*n, Y7); \
	FOLD8; \
	VMOVDQU Y0, (DI); \
	VPMAXUD Y0, Y14, Y14; \
	VPCMPEQD Y11, Y0, Y0; \
	VPSUBD Y0, Y13, Y13; \
	ADDQ $(8*4*n), SI; \
	ADDQ $32, DI; \
	SUBQ $8, CX

// func amaxAVX2(amax, w *float32, groups, n uintptr) (top, zeros uint32)
// of groups of n weights, a multiple of 16. Y14 has the largest, Y13 minus the zeros.
TEXT ·amaxAVX2(SB), NOSPLIT, $0-40
	MOVQ amax+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ n+24(FP), R8
	VMOVDQU MAGNITUDES, Y15
	VPXOR Y14, Y14, Y14
	VPXOR Y13, Y13, Y13
	VPXOR Y11, Y11, Y11
	CMPQ R8, $16
	JEQ  next16
	CMPQ R8, $32
	JEQ  next32
	JMP  next

loop16:
	GROUPS8(MAX16, 16)

next16:
	CMPQ CX, $8
	JCC  loop16
	JMP  next

loop32:
	GROUPS8(MAX32, 32)

next32:
	CMPQ CX, $8
	JCC  loop32
	JMP  next

group: // one group, of any size
	MAX16(0, Y0)
	ADDQ $64, SI
	MOVQ R8, DX
	SUBQ $16, DX
	JZ   fold

loop:
	MAX16(0, Y1)
	VPMAXUD Y1, Y0, Y0
	ADDQ $64, SI
	SUBQ $16, DX
	JNZ  loop

fold:
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPMAXUD X1, X0, X0
	VMOVD X0, AX
	MOVL AX, (DI)
	VMOVD AX, X0 // clears the other lanes
	VPMAXUD Y0, Y14, Y14
	VPCMPEQD Y11, Y0, Y0
	VMOVD X0, AX
	VMOVD AX, X0
	VPSUBD Y0, Y13, Y13
	ADDQ $4, DI
	DECQ CX

next:
	TESTQ CX, CX
	JNZ  group
	VEXTRACTI128 $1, Y14, X0
	VEXTRACTI128 $1, Y13, X1
	VPMAXUD X0, X14, X14
	VPADDD X1, X13, X13
	VPSHUFD $0x4e, X14, X0
	VPSHUFD $0x4e, X13, X1
	VPMAXUD X0, X14, X14
	VPADDD X1, X13, X13
	VPSHUFD $0xb1, X14, X0
	VPSHUFD $0xb1, X13, X1
	VPMAXUD X0, X14, X14
	VPADDD X1, X13, X13
	VMOVD X14, AX
	VMOVD X13, BX
	MOVL AX, top+32(FP)
	MOVL BX, zeros+36(FP)
	VZEROUPPER
	RET

// BYTES stores the low bytes of the eight dwords of Y.
#define BYTES(Y, X, T) \
	VEXTRACTI128 $1, Y, T; \
	VPACKSSDW T, X, X; \
	VPACKUSWB X, X, X; \
	VMOVQ X, (DI)

// TWICE stores the eight dwords of Y, each twice.
#define TWICE(Y, T, S, XS) \
	VPUNPCKLDQ Y, Y, T; \
	VPUNPCKHDQ Y, Y, S; \
	VPERM2I128 $0x20, S, T, Y; \
	VPERM2I128 $0x31, S, T, T; \
	VMOVDQU Y, (R8); \
	VMOVDQU T, 32(R8)

// func nvfp4ScalesAVX2(scales *byte, mult, amax *float32, n uintptr, tensor, six float32) (low uint32)
TEXT ·nvfp4ScalesAVX2(SB), NOSPLIT, $0-44
	MOVQ scales+0(FP), DI
	MOVQ mult+8(FP), R8
	MOVQ amax+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS tensor+32(FP), Y15
	VBROADCASTSS six+36(FP), Y14
	VXORPS Y13, Y13, Y13
	VMOVUPS ONE, Y12
	XORL R10, R10
	SHRQ $3, CX

loop:
	VMOVUPS (SI), Y0
	VDIVPS Y14, Y0, Y1
	VCMPPS $0, Y13, Y0, Y2
	VBLENDVPS Y2, Y12, Y1, Y1
	VCMPPS $0x11, E4M3LEAST, Y1, Y2 // below 2⁻⁶
	VMOVMSKPS Y2, AX
	POPCNTL AX, AX
	ADDL AX, R10
	VMAXPS LEASTSCALE, Y1, Y1
	VMINPS E4M3MAX, Y1, Y1
	ROUND(Y1, E4M3LEAST, E4M3GRID, E4M3STEPS, Y3, Y2)
	VMULPS Y15, Y2, Y2
	VPSRLD $4, Y3, Y3
	VMOVUPS Y2, (R8)
	BYTES(Y3, X3, X4)
	ADDQ $8, DI
	ADDQ $32, R8
	ADDQ $32, SI
	DECQ CX
	JNZ  loop
	MOVL R10, low+40(FP)
	VZEROUPPER
	RET

// func e8m0ScalesAVX2(scales *byte, mult, amax *float32, n uintptr, rule *e8m0Rule)
TEXT ·e8m0ScalesAVX2(SB), NOSPLIT, $0-40
	MOVQ scales+0(FP), DI
	MOVQ mult+8(FP), R8
	MOVQ amax+16(FP), SI
	MOVQ n+24(FP), CX
	MOVQ rule+32(FP), R9
	VBROADCASTSS 0(R9), Y15
	VPBROADCASTD 4(R9), Y14
	VPBROADCASTD 8(R9), Y13
	VPBROADCASTD 12(R9), Y12
	VPXOR Y11, Y11, Y11
	SHRQ $3, CX

loop:
	VMOVUPS (SI), Y0
	VDIVPS Y15, Y0, Y0
	VPCMPGTD Y12, Y0, Y1
	VPADDD Y14, Y0, Y0
	VPSRLD $23, Y0, Y0
	VPSUBUSW Y13, Y0, Y0
	VPAND Y1, Y0, Y0
	VPCMPEQD Y11, Y0, Y1
	VPAND HALFLEAST, Y1, Y1
	VPSLLD $23, Y0, Y2
	VPOR Y1, Y2, Y2
	BYTES(Y0, X0, X1)
	TWICE(Y2, Y3, Y4, X4)
	ADDQ $8, DI
	ADDQ $64, R8
	ADDQ $32, SI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func int4ScalesAVX2(scales *byte, mult, amax *float32, n uintptr, divisor float32)
TEXT ·int4ScalesAVX2(SB), NOSPLIT, $0-36
	MOVQ scales+0(FP), DI
	MOVQ mult+8(FP), R8
	MOVQ amax+16(FP), SI
	MOVQ n+24(FP), CX
	VBROADCASTSS divisor+32(FP), Y15
	VPXOR Y11, Y11, Y11
	SHRQ $3, CX

loop:
	VMOVUPS (SI), Y0
	VDIVPS Y15, Y0, Y0
	VPSRLD $16, Y0, Y1
	VPAND ONES, Y1, Y1
	VPADDD ALMOSTHALF, Y0, Y0
	VPADDD Y1, Y0, Y0
	VPSRLD $16, Y0, Y0
	VPCMPEQD Y11, Y0, Y1
	VPAND ZEROSCALE, Y1, Y1
	VPOR Y1, Y0, Y0
	VPSLLD $16, Y0, Y2
	VEXTRACTI128 $1, Y0, X1
	VPACKUSDW X1, X0, X0
	VMOVDQU X0, (DI)
	TWICE(Y2, Y3, Y4, X4)
	ADDQ $16, DI
	ADDQ $64, R8
	ADDQ $32, SI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET
