//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// func amaxAVX2(amax, w *float32, groups, n uintptr) (top, zeros uint32)
// of groups of n weights, a multiple of 16.
TEXT ·amaxAVX2(SB), NOSPLIT, $0-40
	MOVQ amax+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ groups+16(FP), CX
	MOVQ n+24(FP), R8
	SHRQ $4, R8
	VMOVDQU MAGNITUDES, Y7
	VPXOR X6, X6, X6 // the largest
	VPXOR X5, X5, X5 // minus the zeros
	VPXOR X4, X4, X4

group:
	VPAND (SI), Y7, Y0
	VPAND 32(SI), Y7, Y1
	ADDQ $64, SI
	MOVQ R8, DX
	DECQ DX
	JZ   fold

loop:
	VPAND (SI), Y7, Y2
	VPAND 32(SI), Y7, Y3
	VPMAXUD Y2, Y0, Y0
	VPMAXUD Y3, Y1, Y1
	ADDQ $64, SI
	DECQ DX
	JNZ  loop

fold:
	VPMAXUD Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPMAXUD X1, X0, X0
	VMOVD X0, (DI)
	VPMAXUD X0, X6, X6
	VPCMPEQD X4, X0, X0
	VPSUBD X0, X5, X5
	ADDQ $4, DI
	DECQ CX
	JNZ  group
	VMOVD X6, AX
	VMOVD X5, BX
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
