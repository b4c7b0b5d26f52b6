//go:build !noasm

#include "textflag.h"
#include "codes_avx2_amd64.h"

// HALVES collects 16 bytes each of the rows r and r+4 in Y.
#define HALVES(r, X, Y) \
	MOVQ (r)*8(R8), AX; \
	MOVQ (r)*8+32(R8), BX; \
	VMOVUPS (SI)(AX*1), X; \
	VINSERTF128 $1, (SI)(BX*1), Y, Y

// TRANSPOSE leaves dword c of all 8 rows in Y8+c: 4×4 in every half.
#define TRANSPOSE \
	HALVES(0, X0, Y0); \
	HALVES(1, X1, Y1); \
	HALVES(2, X2, Y2); \
	HALVES(3, X3, Y3); \
	VUNPCKLPS Y1, Y0, Y4; \
	VUNPCKHPS Y1, Y0, Y5; \
	VUNPCKLPS Y3, Y2, Y6; \
	VUNPCKHPS Y3, Y2, Y7; \
	VUNPCKLPD Y6, Y4, Y8; \
	VUNPCKHPD Y6, Y4, Y9; \
	VUNPCKLPD Y7, Y5, Y10; \
	VUNPCKHPD Y7, Y5, Y11

#define BEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ src+8(FP), SI; \
	MOVQ offsets+16(FP), R8; \
	MOVQ chunks+24(FP), CX

// WIDEN stores the two BF16 numbers of every dword of Y as float32, the lower
// one first.
#define WIDEN(Y, T, at) \
	VPSLLD $16, Y, T; \
	VPAND Y15, Y, Y; \
	VMOVUPS T, (at)(DI); \
	VMOVUPS Y, (at)+64(DI)

#define COPYBEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ src+8(FP), SI; \
	MOVQ stride+16(FP), BX; \
	MOVQ k+24(FP), CX

// func packF32AVX2(dst *float32, src *byte, offsets *[16]uintptr, chunks int)
TEXT ·packF32AVX2(SB), NOSPLIT, $0-32
	BEGIN

loop:
	TRANSPOSE
	VMOVUPS Y8, (DI)
	VMOVUPS Y9, 64(DI)
	VMOVUPS Y10, 128(DI)
	VMOVUPS Y11, 192(DI)
	ADDQ $16, SI
	ADDQ $256, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func packBF16AVX2(dst *float32, src *byte, offsets *[16]uintptr, chunks int)
TEXT ·packBF16AVX2(SB), NOSPLIT, $0-32
	BEGIN
	VPCMPEQD Y15, Y15, Y15
	VPSLLD $16, Y15, Y15

loop:
	TRANSPOSE
	WIDEN(Y8, Y12, 0)
	WIDEN(Y9, Y13, 128)
	WIDEN(Y10, Y12, 256)
	WIDEN(Y11, Y13, 384)
	ADDQ $16, SI
	ADDQ $512, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func copyF32AVX2(dst *float32, src *byte, stride uintptr, k int, mask uint32)
TEXT ·copyF32AVX2(SB), NOSPLIT, $0-36
	COPYBEGIN

loop:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ BX, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func copyBF16AVX2(dst *float32, src *byte, stride uintptr, k int, mask uint32)
TEXT ·copyBF16AVX2(SB), NOSPLIT, $0-36
	COPYBEGIN

loop:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPSLLD $16, Y0, Y0
	VPSLLD $16, Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ BX, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func decodeE4M3AVX2(dst *float32, codes *byte, n int, s float32)
TEXT ·decodeE4M3AVX2(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Y15
	CODESBEGIN

loop:
	CODES((SI), Y15, Y0, Y1, X0, X1)
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $16, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ  loop
	VZEROUPPER
	RET

// func decodeF16AVX2(dst *float32, src *byte, n int)
TEXT ·decodeF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

loop:
	VCVTPH2PS (SI), Y0
	VCVTPH2PS 16(SI), Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $32, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ  loop
	VZEROUPPER
	RET
