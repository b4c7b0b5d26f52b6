// Registers and macros that the AVX-512 kernels share. The package's Go files say
// what a tile is and in which order sums are taken; avx512_amd64.go says what the
// kernels compute and why it is right.
//
// Constants:
//	Z31  s                                   Z25  words 16, 1 for VPMADDWD
//	Z30  mask of magnitudes                  Z24  qword order of a load of words
//	Z29  mask of the exponent                Z23  dword order of a store of codes
//	Z28  2⁻⁶                                 Z22  bytes 7
//	Z27  K = 2²⁰+8071                        Z21  0
//	Z26  low words                           Z20  bytes 0x80
//	Z16  448, or 1/s where |y| cannot exceed it
// Sums of a row: Z19 Σy², Z18 Σ(y−q)²; of the tile: Z17 max |y−q|.

#include "constants_amd64.h"

#define CONSTANTS \
	VPBROADCASTD EXPONENT, Z29; \
	VPBROADCASTD LEASTNORMAL, Z28; \
	VPBROADCASTD GRIDFACTOR, Z27; \
	VPBROADCASTD LOWWORDS, Z26; \
	VPBROADCASTD WORDS16AND1, Z25; \
	VPBROADCASTD BYTES7, Z22; \
	VPBROADCASTD CODESIGNS, Z20; \
	VPBROADCASTD MAX448, Z16; \
	VMOVDQU64 ·codeOrder(SB), Z23; \
	VPMOVZXBQ ·wordOrder(SB), Z24; \
	VPXORD Z21, Z21, Z21

#define LOADMAGNITUDES16 VPBROADCASTD MAGNITUDES16, Z30
#define LOADMAGNITUDES32 VPBROADCASTD MAGNITUDES32, Z30

// LOADBF16 reads the 64 weights from column at on: |w| of 16 columns each to Z0…Z3, words with their
// signs, in the order in which codes are packed, to Z12 and Z13.
#define LOADBF16(at) \
	VPERMQ ((at)*2)(SI), Z24, Z12; \
	VPERMQ ((at)*2+64)(SI), Z24, Z13; \
	VPANDD Z30, Z12, Z14; \
	VPANDD Z30, Z13, Z15; \
	VPUNPCKLWD Z14, Z21, Z0; \
	VPUNPCKHWD Z14, Z21, Z1; \
	VPUNPCKLWD Z15, Z21, Z2; \
	VPUNPCKHWD Z15, Z21, Z3

// LOADF32 is the same for float32; saturation keeps the signs.
#define LOADF32(at) \
	VMOVDQU32 ((at)*4)(SI), Z0; \
	VMOVDQU32 ((at)*4+64)(SI), Z1; \
	VMOVDQU32 ((at)*4+128)(SI), Z2; \
	VMOVDQU32 ((at)*4+192)(SI), Z3; \
	VPACKSSDW Z1, Z0, Z12; \
	VPACKSSDW Z3, Z2, Z13; \
	VPANDD Z30, Z0, Z0; \
	VPANDD Z30, Z1, Z1; \
	VPANDD Z30, Z2, Z2; \
	VPANDD Z30, Z3, Z3

// BINADE computes P = 2^e, where e is the exponent of |y|, at least −6.
#define BINADE(Y, P) \
	VMAXPS Z28, Y, P; \
	VPANDD Z29, P, P

// ROUND rounds |y| (or its clamped form C): T = P·K+C, then D = y−q with
// q = T−P·K, then sixteen times the code to P; it adds D² to the row's sum.
#define ROUND(Y, C, P, D, T) \
	VMOVAPS C, T; \
	VFMADD231PS Z27, P, T; \
	VMOVAPS T, D; \
	VFNMADD231PS Z27, P, D; \
	VPTERNLOGD $0xe4, Z26, P, T; \
	VSUBPS D, Y, D; \
	VPMADDWD Z25, T, P; \
	VRANGEPS $0xb, D, Z17, Z17; \
	VMULPS D, D, D; \
	VADDPS D, Z18, Z18

#define SQUARE(Y, T) \
	VMULPS Y, Y, T; \
	VADDPS T, Z19, Z19

// DIVIDE divides |w| in Z0…Z3 by s.
#define DIVIDE \
	VDIVPS Z31, Z0, Z0; \
	VDIVPS Z31, Z1, Z1; \
	VDIVPS Z31, Z2, Z2; \
	VDIVPS Z31, Z3, Z3

// MULTIPLY gives the same quotients for BF16 weights, with R = 1/s; the Go file
// says why and when.
#define MULTIPLY(R) \
	VMULPS R, Z0, Z4; \
	VMULPS R, Z1, Z5; \
	VMULPS R, Z2, Z6; \
	VMULPS R, Z3, Z7; \
	VFNMADD231PS Z31, Z4, Z0; \
	VFNMADD231PS Z31, Z5, Z1; \
	VFNMADD231PS Z31, Z6, Z2; \
	VFNMADD231PS Z31, Z7, Z3; \
	VFMADD132PS R, Z4, Z0; \
	VFMADD132PS R, Z5, Z1; \
	VFMADD132PS R, Z6, Z2; \
	VFMADD132PS R, Z7, Z3

// RECIPROCAL broadcasts 1/s to R.
#define RECIPROCAL(R) \
	VBROADCASTSS UNIT, X0; \
	VDIVSS X31, X0, X0; \
	VBROADCASTSS X0, R

// ENCODE64 turns |w|/s in Z0…Z3 and the signs that a LOAD left into 64 codes at column at, sums and counts: R10 codes
// of at most 7, R11 codes 0.
#define ENCODE64(at) \
	BINADE(Z0, Z4); \
	BINADE(Z1, Z5); \
	BINADE(Z2, Z6); \
	BINADE(Z3, Z7); \
	SQUARE(Z0, Z14); \
	SQUARE(Z1, Z15); \
	SQUARE(Z2, Z14); \
	SQUARE(Z3, Z15); \
	ROUND(Z0, Z0, Z4, Z8, Z14); \
	ROUND(Z1, Z1, Z5, Z9, Z15); \
	ROUND(Z2, Z2, Z6, Z10, Z14); \
	ROUND(Z3, Z3, Z7, Z11, Z15); \
	PACK64(at)

// SATURATED adds the number of |y| > 464 to R12 and clamps to C.
#define SATURATED(Y, C) \
	VCMPPS.BCST $0x1e, SATURATES464, Y, K1; \
	KMOVW K1, AX; \
	POPCNTL AX, AX; \
	ADDL AX, R12; \
	VMINPS Z16, Y, C

// ENCODEBEYOND64 is ENCODE64 for scales so small that |y| may exceed 448.
#define ENCODEBEYOND64(at) \
	SQUARE(Z0, Z14); \
	SQUARE(Z1, Z15); \
	SQUARE(Z2, Z14); \
	SQUARE(Z3, Z15); \
	SATURATED(Z0, Z14); \
	BINADE(Z14, Z4); \
	ROUND(Z0, Z14, Z4, Z8, Z15); \
	SATURATED(Z1, Z14); \
	BINADE(Z14, Z5); \
	ROUND(Z1, Z14, Z5, Z9, Z15); \
	SATURATED(Z2, Z14); \
	BINADE(Z14, Z6); \
	ROUND(Z2, Z14, Z6, Z10, Z15); \
	SATURATED(Z3, Z14); \
	BINADE(Z14, Z7); \
	ROUND(Z3, Z14, Z7, Z11, Z15); \
	PACK64(at)

// PACK64 packs 16·code in Z4…Z7 to bytes, counts, adds the signs and stores.
#define PACK64(at) \
	VPACKSSDW Z5, Z4, Z4; \
	VPACKSSDW Z7, Z6, Z6; \
	VPACKSSWB Z13, Z12, Z12; \
	VPSRLW $4, Z4, Z4; \
	VPSRLW $4, Z6, Z6; \
	VPACKUSWB Z6, Z4, Z4; \
	VPCMPUB $2, Z22, Z4, K1; \
	VPTESTNMB Z4, Z4, K2; \
	VPTERNLOGD $0xf8, Z20, Z12, Z4; \
	VPERMD Z4, Z23, Z4; \
	VMOVDQU32 Z4, (at)(DI); \
	KMOVQ K1, AX; \
	KMOVQ K2, BX; \
	POPCNTQ AX, AX; \
	POPCNTQ BX, BX; \
	ADDQ AX, R10; \
	ADDQ BX, R11

// COST16 adds (y−q)² of the 16 quotients from column at on to the row's sum, as
// WEIGH wants them.
#define COST16(Y, T, P, Q, WEIGH, at) \
	VMINPS Z16, Y, T; \
	BINADE(T, P); \
	VFMADD231PS Z27, P, T; \
	VMOVAPS T, Q; \
	VFNMADD231PS Z27, P, Q; \
	VSUBPS Q, Y, Y; \
	VMULPS Y, Y, Y; \
	WEIGH(Y, at) \
	VADDPS Y, Z18, Z18

#define COST64(WEIGH, at) \
	COST16(Z0, Z4, Z8, Z12, WEIGH, at); \
	COST16(Z1, Z5, Z9, Z13, WEIGH, (at)+16); \
	COST16(Z2, Z6, Z10, Z14, WEIGH, (at)+32); \
	COST16(Z3, Z7, Z11, Z15, WEIGH, (at)+48)

// Ways to weigh squares: not at all, or by the float32 weights of the columns at
// R10. Each brings its own semicolon.
#define PLAIN(Y, at)
#define BYCOLUMN(Y, at) VMULPS ((at)*4)(R10), Y, Y;

// The lanes of 16 rows at o(p) (64 bytes each) are joined in four steps; every
// step joins two registers, so that all lanes work.
// JOIN8 adds l[i]+l[i+8] of rows r and r+1.
#define JOIN8(p, o, r, D, T) \
	VMOVUPS ((o)+(r)*64)(p), D; \
	VSHUFF64X2 $0xee, ((o)+(r)*64+64)(p), D, T; \
	VSHUFF64X2 $0x44, ((o)+(r)*64+64)(p), D, D; \
	VADDPS T, D, D

// JOIN4 adds l[i]+l[i+4] of the rows in D and S.
#define JOIN4(S, D, T) \
	VSHUFF64X2 $0xdd, S, D, T; \
	VSHUFF64X2 $0x88, S, D, D; \
	VADDPS T, D, D

#define JOIN2(S, D, T) \
	VUNPCKHPD S, D, T; \
	VUNPCKLPD S, D, D; \
	VADDPS T, D, D

#define JOIN1(S, D, T) \
	VSHUFPS $0xdd, S, D, T; \
	VSHUFPS $0x88, S, D, D; \
	VADDPS T, D, D

// JOIN leaves the sums of 16 rows in D: row 4j+i in float 4i+j.
#define JOIN(p, o, D) \
	JOIN8(p, o, 0, D, Z8); \
	JOIN8(p, o, 2, Z1, Z9); \
	JOIN4(Z1, D, Z8); \
	JOIN8(p, o, 4, Z2, Z9); \
	JOIN8(p, o, 6, Z3, Z10); \
	JOIN4(Z3, Z2, Z9); \
	JOIN2(Z2, D, Z8); \
	JOIN8(p, o, 8, Z4, Z9); \
	JOIN8(p, o, 10, Z5, Z10); \
	JOIN4(Z5, Z4, Z9); \
	JOIN8(p, o, 12, Z6, Z10); \
	JOIN8(p, o, 14, Z7, Z11); \
	JOIN4(Z7, Z6, Z10); \
	JOIN2(Z6, Z4, Z9); \
	JOIN1(Z4, D, Z8)

// ADDPAIR adds the joined pair of one row to the running pair (Σy², Σ(y−q)²).
#define ADDPAIR(q, at) VADDPS (at)(q), X0, X0

// ADDROWS adds the pairs of 16 rows in index order. They lie as JOIN and the
// interleaving left them: row 4j+i at 16i+8j for j < 2, at 64+16i+8(j−2) else.
#define ADDROWS(p, o) \
	ADDPAIR(p, (o)+0); \
	ADDPAIR(p, (o)+16); \
	ADDPAIR(p, (o)+32); \
	ADDPAIR(p, (o)+48); \
	ADDPAIR(p, (o)+8); \
	ADDPAIR(p, (o)+24); \
	ADDPAIR(p, (o)+40); \
	ADDPAIR(p, (o)+56); \
	ADDPAIR(p, (o)+64); \
	ADDPAIR(p, (o)+80); \
	ADDPAIR(p, (o)+96); \
	ADDPAIR(p, (o)+112); \
	ADDPAIR(p, (o)+72); \
	ADDPAIR(p, (o)+88); \
	ADDPAIR(p, (o)+104); \
	ADDPAIR(p, (o)+120)
