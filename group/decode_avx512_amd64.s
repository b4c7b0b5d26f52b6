//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// BEGIN sets up a decoder of CX times 16 codes at SI with the multipliers at R8.
#define BEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ codes+8(FP), SI; \
	MOVQ mult+16(FP), R8; \
	MOVQ n+24(FP), CX; \
	VPBROADCASTD ALMOSTHALF, Z13; \
	VPBROADCASTD ONES, Z12; \
	SHRQ $4, CX

// TABLE readies the values of four bits.
#define TABLE(values) \
	VMOVDQU32 values(SB), Z14; \
	VMOVDQU32 ·nibbleShifts512(SB), Z15; \
	VMOVDQU32 ·halves(SB), Z11

// NEXT goes to the next 16 codes.
#define NEXT(codes, values) \
	ADDQ $codes, SI; \
	ADDQ $values, DI; \
	ADDQ $4, R8; \
	DECQ CX

// NIBBLES16 turns the 16 codes at (SI) into values times the multiplier in Z0.
#define NIBBLES16 \
	VMOVQ (SI), X0; \
	VPERMD Z0, Z11, Z0; \
	VPSRLVD Z15, Z0, Z0; \
	VPERMPS Z14, Z0, Z0; \
	VMULPS.BCST (R8), Z0, Z0

// E4M3 is the same for E4M3. Shifted left by 7, a code is the binary16 pattern of
// q·2⁻⁸, subnormal numbers included; only NaN is not: it comes out as ±480.
#define E4M3 \
	VPMOVSXBW (SI), Y0; \
	VPSLLW $7, Y0, Y0; \
	VPANDD Y15, Y0, Y0; \
	VCVTPH2PS Y0, Z0; \
	VMULPS Z14, Z0, Z0; \
	VPANDD Z10, Z0, Z1; \
	VPCMPEQD Z11, Z1, K1; \
	VPTERNLOGD $0xba, Z9, Z10, K1, Z0; \
	VMULPS.BCST (R8), Z0, Z0

// E4M3BEGIN readies its constants.
#define E4M3BEGIN \
	VPBROADCASTD WITHOUTBIT14, Y15; \
	VPBROADCASTD POW8, Z14; \
	VPBROADCASTD NAN480, Z11; \
	VPBROADCASTD MAGNITUDES, Z10; \
	VPBROADCASTD QUIETNAN, Z9

// STOREBF16 rounds Z0, in which no NaN but the quiet one is, to nearest even.
#define STOREBF16 \
	VPSRLD $16, Z0, Z4; \
	VPANDD Z12, Z4, Z4; \
	VPADDD Z13, Z0, Z0; \
	VPADDD Z4, Z0, Z0; \
	VPSRLD $16, Z0, Z0; \
	VPMOVDW Z0, (DI)

#define STOREF32 VMOVUPS Z0, (DI)

#define DECODER(DECODE, STORE, codes, values) \
loop: \
	DECODE; \
	STORE; \
	NEXT(codes, values); \
	JNZ loop; \
	VZEROUPPER; \
	RET

// func decodeE2M1BF16AVX512(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE2M1BF16AVX512(SB), NOSPLIT, $0-32
	BEGIN
	TABLE(·e2m1Values)
	DECODER(NIBBLES16, STOREBF16, 8, 32)

// func decodeE2M1F32AVX512(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE2M1F32AVX512(SB), NOSPLIT, $0-32
	BEGIN
	TABLE(·e2m1Values)
	DECODER(NIBBLES16, STOREF32, 8, 64)

// func decodeINT4BF16AVX512(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeINT4BF16AVX512(SB), NOSPLIT, $0-32
	BEGIN
	TABLE(·int4Values)
	DECODER(NIBBLES16, STOREBF16, 8, 32)

// func decodeINT4F32AVX512(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeINT4F32AVX512(SB), NOSPLIT, $0-32
	BEGIN
	TABLE(·int4Values)
	DECODER(NIBBLES16, STOREF32, 8, 64)

// func decodeE4M3BF16AVX512(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE4M3BF16AVX512(SB), NOSPLIT, $0-32
	BEGIN
	E4M3BEGIN
	DECODER(E4M3, STOREBF16, 16, 32)

// func decodeE4M3F32AVX512(dst, codes *byte, mult *float32, n uintptr)
TEXT ·decodeE4M3F32AVX512(SB), NOSPLIT, $0-32
	BEGIN
	E4M3BEGIN
	DECODER(E4M3, STOREF32, 16, 64)
