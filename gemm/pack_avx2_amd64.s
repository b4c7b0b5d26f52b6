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

// Bytes k of four dwords side by side, for k 0…3; then the dwords of both halves in turn.
DATA byteOrder<>+0x00(SB)/8, $0x0d0905010c080400
DATA byteOrder<>+0x08(SB)/8, $0x0f0b07030e0a0602
DATA byteOrder<>+0x10(SB)/8, $0x0d0905010c080400
DATA byteOrder<>+0x18(SB)/8, $0x0f0b07030e0a0602
DATA byteOrder<>+0x20(SB)/8, $0x0000000400000000
DATA byteOrder<>+0x28(SB)/8, $0x0000000500000001
DATA byteOrder<>+0x30(SB)/8, $0x0000000600000002
DATA byteOrder<>+0x38(SB)/8, $0x0000000700000003
GLOBL byteOrder<>(SB), RODATA|NOPTR, $0x40

// SCALED stores the 16 codes at X, inputs k and k+1 of 8 rows, times the rows' scales.
#define SCALED(X, k) \
	CODES(X, Y15, Y0, Y1, X0, X1); \
	VMULPS (DX), Y0, Y0; \
	VMULPS (DX), Y1, Y1; \
	VMOVUPS Y0, (k)*64(DI); \
	VMOVUPS Y1, ((k)+1)*64(DI)

// FOUR does the four codes of every dword of Y, which belong to inputs k to k+3. The
// order of the dwords is in Y7.
#define FOUR(Y, X, k) \
	VPSHUFB byteOrder<>(SB), Y, Y; \
	VPERMD Y, Y7, Y; \
	SCALED(X, k); \
	VEXTRACTI128 $1, Y, X; \
	SCALED(X, (k)+2)

// func packE4M3AVX2(dst *float32, src *byte, offsets *[16]uintptr, chunks int, scales *[16]float32)
TEXT ·packE4M3AVX2(SB), NOSPLIT, $0-40
	BEGIN
	MOVQ scales+32(FP), DX
	CODESBEGIN
	MOVL $0x43800000, AX // 256
	VMOVD AX, X15
	VBROADCASTSS X15, Y15

loop:
	TRANSPOSE
	VMOVDQU byteOrder<>+0x20(SB), Y7
	FOUR(Y8, X8, 0)
	FOUR(Y9, X9, 4)
	FOUR(Y10, X10, 8)
	FOUR(Y11, X11, 12)
	ADDQ $16, SI
	ADDQ $1024, DI
	DECQ CX
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
