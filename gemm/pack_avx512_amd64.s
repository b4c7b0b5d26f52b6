//go:build !noasm

#include "textflag.h"

// QUARTERS collects 16 bytes each of the rows r, r+4, r+8 and r+12 in Z.
#define QUARTERS(r, X, Z) \
	MOVQ (r)*8(R8), AX; \
	MOVQ (r)*8+32(R8), BX; \
	MOVQ (r)*8+64(R8), R9; \
	MOVQ (r)*8+96(R8), R10; \
	VMOVUPS (SI)(AX*1), X; \
	VINSERTF32X4 $1, (SI)(BX*1), Z, Z; \
	VINSERTF32X4 $2, (SI)(R9*1), Z, Z; \
	VINSERTF32X4 $3, (SI)(R10*1), Z, Z

// TRANSPOSE leaves dword c of all 16 rows in Z8+c: 4×4 in every quarter.
#define TRANSPOSE \
	QUARTERS(0, X0, Z0); \
	QUARTERS(1, X1, Z1); \
	QUARTERS(2, X2, Z2); \
	QUARTERS(3, X3, Z3); \
	VUNPCKLPS Z1, Z0, Z4; \
	VUNPCKHPS Z1, Z0, Z5; \
	VUNPCKLPS Z3, Z2, Z6; \
	VUNPCKHPS Z3, Z2, Z7; \
	VUNPCKLPD Z6, Z4, Z8; \
	VUNPCKHPD Z6, Z4, Z9; \
	VUNPCKLPD Z7, Z5, Z10; \
	VUNPCKHPD Z7, Z5, Z11

#define BEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ src+8(FP), SI; \
	MOVQ offsets+16(FP), R8; \
	MOVQ chunks+24(FP), CX

// WIDEN stores the two BF16 numbers of every dword of Y as float32, the lower
// one first.
#define WIDEN(Y, T, at) \
	VPSLLD $16, Y, T; \
	VPAND Y14, Y, Y; \
	VMOVUPS T, (at)(DI); \
	VMOVUPS Y, (at)+128(DI)

#define COPYBEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ src+8(FP), SI; \
	MOVQ stride+16(FP), BX; \
	MOVQ k+24(FP), CX; \
	MOVL mask+32(FP), AX; \
	KMOVW AX, K1; \
	SHRL $16, AX; \
	KMOVW AX, K2

DATA decode512<>+0x00(SB)/4, $0xbfffbfff // all but the bit that sign extension leaves below the sign
DATA decode512<>+0x04(SB)/4, $0x007f007f // magnitudes, and NaN
DATA decode512<>+0x08(SB)/4, $0x7e007e00 // NaN in binary16
GLOBL decode512<>(SB), RODATA|NOPTR, $0x0c

DATA codes512<>+0x00(SB)/4, $0x87f087f0 // sign and magnitude of a code moved to where BF16 has its lowest exponent bits
DATA codes512<>+0x04(SB)/4, $0x07800780 // its exponent
DATA codes512<>+0x08(SB)/4, $0x3c003c00 // what the biases of BF16 and E4M3 differ by, 120
DATA codes512<>+0x0c(SB)/4, $0x0fe00fe0 // twice the magnitude of NaN
DATA codes512<>+0x10(SB)/4, $0x7fc07fc0 // NaN in BF16
DATA codes512<>+0x14(SB)/4, $0x80008000
GLOBL codes512<>(SB), RODATA|NOPTR, $0x18

// m·2⁻⁹ in BF16, for m < 8: the codes with exponent 0.
DATA subnormal512<>+0x00(SB)/8, $0x3bc03b803b000000
DATA subnormal512<>+0x08(SB)/8, $0x3c603c403c203c00
GLOBL subnormal512<>(SB), RODATA|NOPTR, $0x10

// TOBF16 turns the codes in the high bytes of the words of W into BF16, in A. What
// the low bytes hold does not matter.
#define TOBF16(W, A, B) \
	VPSRAW $4, W, A; \
	VPSRLW $8, W, B; \
	VPANDD Z31, A, A; \
	VPTESTNMW Z30, A, K1; \
	VPADDW A, A, Z0; \
	VPADDW Z29, A, A; \
	VPCMPEQW Z28, Z0, K2; \
	VPERMW Z27, B, K1, A; \
	VMOVDQU16 Z26, K2, A; \
	VPTERNLOGD $0xf8, Z25, W, A

// SCALED stores the two BF16 numbers of every dword of A as float32 times the
// scales of the 16 rows.
#define SCALED(A, T, lo, hi) \
	VPSLLD $16, A, T; \
	VPANDD Z22, A, A; \
	VMULPS Z23, T, T; \
	VMULPS Z23, A, A; \
	VMOVUPS T, (lo)*128(DI); \
	VMOVUPS A, (hi)*128(DI)

// CODES does the four codes of every dword of Z, which belong to inputs k to k+3.
#define CODES(Z, k) \
	VPSLLW $8, Z, Z1; \
	TOBF16(Z1, Z4, Z5); \
	TOBF16(Z, Z6, Z7); \
	SCALED(Z4, Z5, k, k+2); \
	SCALED(Z6, Z7, k+1, k+3)

// HALVES collects 16 bytes each of the rows r and r+4 of a half in Y.
#define HALVES(a, b, X, Y) \
	VMOVUPS (SI)(a*1), X; \
	VINSERTF128 $1, (SI)(b*1), Y, Y

// HALF leaves dword c of 8 rows in Y8+c: 4×4 in every half.
#define HALF \
	HALVES(AX, R11, X0, Y0); \
	HALVES(BX, R12, X1, Y1); \
	HALVES(R9, R13, X2, Y2); \
	HALVES(R10, R15, X3, Y3); \
	VUNPCKLPS Y1, Y0, Y4; \
	VUNPCKHPS Y1, Y0, Y5; \
	VUNPCKLPS Y3, Y2, Y6; \
	VUNPCKHPS Y3, Y2, Y7; \
	VUNPCKLPD Y6, Y4, Y8; \
	VUNPCKHPD Y6, Y4, Y9; \
	VUNPCKLPD Y7, Y5, Y10; \
	VUNPCKHPD Y7, Y5, Y11

// HALFBEGIN is for the next 8 rows, whose offsets are at R8. Weights a power of two
// apart lie in one set of the first-level cache, which holds 8 lines but not 16, and
// each line is read four times.
#define HALFBEGIN \
	MOVQ 0(R8), AX; \
	MOVQ 8(R8), BX; \
	MOVQ 16(R8), R9; \
	MOVQ 24(R8), R10; \
	MOVQ 32(R8), R11; \
	MOVQ 40(R8), R12; \
	MOVQ 48(R8), R13; \
	MOVQ 56(R8), R15; \
	MOVQ src+8(FP), SI; \
	MOVQ chunks+24(FP), CX; \
	MOVQ DX, DI

// HALFEND goes to next for the second half.
#define HALFEND(next) \
	ADDQ $64, R8; \
	ADDQ $32, DX; \
	MOVQ dst+0(FP), DI; \
	ADDQ $64, DI; \
	CMPQ DX, DI; \
	JNE  next; \
	VZEROUPPER; \
	RET

// func packF32AVX512(dst *float32, src *byte, offsets *[16]uintptr, chunks int)
TEXT ·packF32AVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ offsets+16(FP), R8

half:
	HALFBEGIN

loop:
	HALF
	VMOVUPS Y8, (DI)
	VMOVUPS Y9, 128(DI)
	VMOVUPS Y10, 256(DI)
	VMOVUPS Y11, 384(DI)
	ADDQ $16, SI
	ADDQ $512, DI
	DECQ CX
	JNZ  loop
	HALFEND(half)

// func packBF16AVX512(dst *float32, src *byte, offsets *[16]uintptr, chunks int)
TEXT ·packBF16AVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ offsets+16(FP), R8
	VPCMPEQD Y14, Y14, Y14
	VPSLLD $16, Y14, Y14

half:
	HALFBEGIN

loop:
	HALF
	WIDEN(Y8, Y12, 0)
	WIDEN(Y9, Y13, 256)
	WIDEN(Y10, Y12, 512)
	WIDEN(Y11, Y13, 768)
	ADDQ $16, SI
	ADDQ $1024, DI
	DECQ CX
	JNZ  loop
	HALFEND(half)

// func copyF32AVX512(dst *float32, src *byte, stride uintptr, k int, mask uint32)
TEXT ·copyF32AVX512(SB), NOSPLIT, $0-36
	COPYBEGIN

loop:
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z 64(SI), K2, Z1
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	ADDQ BX, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func copyBF16AVX512(dst *float32, src *byte, stride uintptr, k int, mask uint32)
TEXT ·copyBF16AVX512(SB), NOSPLIT, $0-36
	COPYBEGIN

loop:
	VPMOVZXWD.Z (SI), K1, Z0
	VPMOVZXWD.Z 32(SI), K2, Z1
	VPSLLD $16, Z0, Z0
	VPSLLD $16, Z1, Z1
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	ADDQ BX, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func decodeE4M3AVX512(dst *float32, codes *byte, n int, s float32)
//
// Moved up by 7, a code is the binary16 pattern of its value times 2⁻⁸, subnormal
// numbers included; only NaN is not.
TEXT ·decodeE4M3AVX512(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Z31
	VPBROADCASTD decode512<>+0x00(SB), Z30
	VPBROADCASTD decode512<>+0x04(SB), Z29
	VPBROADCASTD decode512<>+0x08(SB), Z28

loop:
	VPMOVSXBW (SI), Z0
	VPSLLW $7, Z0, Z1
	VPANDD Z29, Z0, Z2
	VPANDD Z30, Z1, Z1
	VPCMPEQW Z29, Z2, K1
	VMOVDQU16 Z28, K1, Z1
	VEXTRACTI64X4 $1, Z1, Y2
	VCVTPH2PS Y1, Z1
	VCVTPH2PS Y2, Z2
	VMULPS Z31, Z1, Z1
	VMULPS Z31, Z2, Z2
	VMOVUPS Z1, (DI)
	VMOVUPS Z2, 64(DI)
	ADDQ $32, SI
	ADDQ $128, DI
	SUBQ $32, CX
	JNZ  loop
	VZEROUPPER
	RET

// func decodeF16AVX512(dst *float32, src *byte, n int)
TEXT ·decodeF16AVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

loop:
	VCVTPH2PS (SI), Z0
	VCVTPH2PS 32(SI), Z1
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	ADDQ $64, SI
	ADDQ $128, DI
	SUBQ $32, CX
	JNZ  loop
	VZEROUPPER
	RET

// func packE4M3AVX512(dst *float32, src *byte, offsets *[16]uintptr, chunks int, scales *[16]float32)
TEXT ·packE4M3AVX512(SB), NOSPLIT, $0-40
	BEGIN
	MOVQ scales+32(FP), DX
	VMOVUPS (DX), Z23
	VPBROADCASTD codes512<>+0x00(SB), Z31
	VPBROADCASTD codes512<>+0x04(SB), Z30
	VPBROADCASTD codes512<>+0x08(SB), Z29
	VPBROADCASTD codes512<>+0x0c(SB), Z28
	VPBROADCASTD codes512<>+0x10(SB), Z26
	VPBROADCASTD codes512<>+0x14(SB), Z25
	VBROADCASTI32X4 subnormal512<>(SB), Z27
	MOVL $0xffff0000, AX
	VPBROADCASTD AX, Z22

loop:
	TRANSPOSE
	CODES(Z8, 0)
	CODES(Z9, 4)
	CODES(Z10, 8)
	CODES(Z11, 12)
	ADDQ $16, SI
	ADDQ $2048, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET
