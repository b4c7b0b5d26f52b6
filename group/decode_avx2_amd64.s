//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// BEGIN sets up a decoder of CX times 16 codes at SI with the multipliers at R8.
#define BEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ codes+8(FP), SI; \
	MOVQ mult+16(FP), R8; \
	MOVQ n+24(FP), CX; \
	VMOVDQU ·nibbleShifts(SB), Y15; \
	VMOVDQU ·e2m1Magnitudes(SB), Y14; \
	VMOVDQU ALMOSTHALF, Y13; \
	VMOVDQU ONES, Y12; \
	SHRQ $4, CX

// NEXT goes to the next 16 codes.
#define NEXT(codes, values) \
	ADDQ $codes, SI; \
	ADDQ $values, DI; \
	ADDQ $4, R8; \
	DECQ CX

// E2M1 turns the 16 codes at (SI) into values times the multiplier in Y0 and Y1.
#define E2M1 \
	VBROADCASTSS (R8), Y2; \
	VPBROADCASTD (SI), Y4; \
	VPBROADCASTD 4(SI), Y5; \
	VPSRLVD Y15, Y4, Y4; \
	VPSRLVD Y15, Y5, Y5; \
	VPERMPS Y14, Y4, Y0; \
	VPERMPS Y14, Y5, Y1; \
	VPSLLD $28, Y4, Y4; \
	VPSLLD $28, Y5, Y5; \
	VPAND SIGN, Y4, Y4; \
	VPAND SIGN, Y5, Y5; \
	VMULPS Y2, Y0, Y0; \
	VMULPS Y2, Y1, Y1; \
	VPXOR Y4, Y0, Y0; \
	VPXOR Y5, Y1, Y1

// INT4 is the same for integers.
#define INT4 \
	VBROADCASTSS (R8), Y2; \
	VPBROADCASTD (SI), Y4; \
	VPBROADCASTD 4(SI), Y5; \
	VPSRLVD Y15, Y4, Y4; \
	VPSRLVD Y15, Y5, Y5; \
	VPAND FIFTEEN, Y4, Y4; \
	VPAND FIFTEEN, Y5, Y5; \
	VPSUBD EIGHT, Y4, Y4; \
	VPSUBD EIGHT, Y5, Y5; \
	VCVTDQ2PS Y4, Y0; \
	VCVTDQ2PS Y5, Y1; \
	VMULPS Y2, Y0, Y0; \
	VMULPS Y2, Y1, Y1

// E4M3 is the same for E4M3. Shifted left by 7, a code is the binary16 pattern of
// q·2⁻⁸, subnormal numbers included; only NaN is not: it comes out as ±480.
#define E4M3 \
	VPMOVSXBW (SI), Y0; \
	VPSLLW $7, Y0, Y0; \
	VPAND WITHOUTBIT14, Y0, Y0; \
	VEXTRACTI128 $1, Y0, X1; \
	VCVTPH2PS X0, Y0; \
	VCVTPH2PS X1, Y1; \
	VBROADCASTSS (R8), Y2; \
	VMULPS POW8, Y0, Y0; \
	VMULPS POW8, Y1, Y1; \
	NANS(Y0); \
	NANS(Y1); \
	VMULPS Y2, Y0, Y0; \
	VMULPS Y2, Y1, Y1

#define NANS(Y) \
	VANDPS MAGNITUDES, Y, Y4; \
	VCMPPS $0, NAN480, Y4, Y4; \
	VANDPS SIGN, Y, Y5; \
	VORPS QUIETNAN, Y5, Y5; \
	VBLENDVPS Y4, Y5, Y, Y

// STOREBF16 rounds Y0 and Y1, in which no NaN but the quiet one is, to nearest even.
#define STOREBF16 \
	VPSRLD $16, Y0, Y4; \
	VPSRLD $16, Y1, Y5; \
	VPAND Y12, Y4, Y4; \
	VPAND Y12, Y5, Y5; \
	VPADDD Y13, Y0, Y0; \
	VPADDD Y13, Y1, Y1; \
	VPADDD Y4, Y0, Y0; \
	VPADDD Y5, Y1, Y1; \
	VPSRLD $16, Y0, Y0; \
	VPSRLD $16, Y1, Y1; \
	VPACKUSDW Y1, Y0, Y0; \
	VPERMQ $0xd8, Y0, Y0; \
	VMOVDQU Y0, (DI)

#define STOREF32 \
	VMOVUPS Y0, (DI); \
	VMOVUPS Y1, 32(DI)

#define DECODER(DECODE, STORE, codes, values) \
	BEGIN; \
loop: \
	DECODE; \
	STORE; \
	NEXT(codes, values); \
	JNZ loop; \
	VZEROUPPER; \
	RET

// func decodeE2M1BF16AVX2(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE2M1BF16AVX2(SB), NOSPLIT, $0-32
	DECODER(E2M1, STOREBF16, 8, 32)

// func decodeE2M1F32AVX2(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE2M1F32AVX2(SB), NOSPLIT, $0-32
	DECODER(E2M1, STOREF32, 8, 64)

// func decodeINT4BF16AVX2(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeINT4BF16AVX2(SB), NOSPLIT, $0-32
	DECODER(INT4, STOREBF16, 8, 32)

// func decodeINT4F32AVX2(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeINT4F32AVX2(SB), NOSPLIT, $0-32
	DECODER(INT4, STOREF32, 8, 64)

// func decodeE4M3BF16AVX2(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE4M3BF16AVX2(SB), NOSPLIT, $0-32
	DECODER(E4M3, STOREBF16, 16, 32)

// func decodeE4M3F32AVX2(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE4M3F32AVX2(SB), NOSPLIT, $0-32
	DECODER(E4M3, STOREF32, 16, 64)
