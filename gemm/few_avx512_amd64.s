//go:build !noasm

#include "textflag.h"
#include "few_avx512_amd64.h"

#define LOADF32(at, K, W) VMOVUPS.Z at, K, W
#define LOADF16(at, K, W) VCVTPH2PS.Z at, K, W
#define LOADBF16(at, K, W) VPMOVZXWD.Z at, K, W; VPSLLD $16, W, W

#define WEIGHTS(LOAD, K) \
	LOAD((SI), K, Z16); \
	LOAD((SI)(R10*1), K, Z17); \
	LOAD((SI)(R10*2), K, Z18); \
	LOAD((SI)(R11*1), K, Z19)

// GROUPS is the body for one number of x rows; bytes are those of 16 weights.
#define GROUPS(LOAD, bytes, ZEROS, ADDS, LASTS, JOINS, group, step, last, join) \
group: \
	ZEROS; \
	MOVQ DI, SI; \
	MOVQ R9, R8; \
	MOVQ k+56(FP), CX; \
	SHRQ $4, CX; \
	JZ last; \
step: \
	WEIGHTS(LOAD, K5); \
	ADDS(0, Z16, Z17, Z18, Z19); \
	ADDQ $bytes, SI; \
	ADDQ $64, R8; \
	DECQ CX; \
	JNZ step; \
last: \
	TESTQ $15, k+56(FP); \
	JZ join; \
	WEIGHTS(LOAD, K1); \
	LASTS(0, Z16, Z17, Z18, Z19, K1); \
join: \
	JOINS; \
	ADDQ $16, DX; \
	LEAQ (DI)(R10*4), DI; \
	DECQ groups+64(FP); \
	JNZ group; \
	VZEROUPPER; \
	RET

#define KERNEL(LOAD, bytes) \
	FEWBEGIN; \
	MOVQ k+56(FP), CX; \
	ANDQ $15, CX; \
	MOVL $1, BX; \
	SHLL CX, BX; \
	DECL BX; \
	KMOVW BX, K1; \
	KXNORW K5, K5, K5; \
	ADDMASK(m+72(FP)); \
	CMPQ AX, $2; \
	JLT group1; \
	JEQ group2; \
	CMPQ AX, $3; \
	JEQ group3; \
	GROUPS(LOAD, bytes, ZERO4, ADD4, LAST4, JOIN4, group4, step4, last4, join4); \
	GROUPS(LOAD, bytes, ZERO3, ADD3, LAST3, JOIN3, group3, step3, last3, join3); \
	GROUPS(LOAD, bytes, ZERO2, ADD2, LAST2, JOIN2, group2, step2, last2, join2); \
	GROUPS(LOAD, bytes, ZERO1, ADD1, LAST1, JOIN1, group1, step1, last1, join1)

DATA fewdecode512<>+0x00(SB)/4, $0xbfffbfff // all but the bit that sign extension leaves below the sign
DATA fewdecode512<>+0x04(SB)/4, $0x007f007f // magnitudes, and NaN
DATA fewdecode512<>+0x08(SB)/4, $0x7e007e00 // NaN in binary16
DATA fewdecode512<>+0x0c(SB)/4, $0x43800000 // 256
GLOBL fewdecode512<>(SB), RODATA|NOPTR, $0x10

// CODES decodes 32 codes to two times 16 weights and multiplies by the scales S
// times 256. Moved up by 7, a code is the binary16 pattern of its value times 2⁻⁸,
// subnormal numbers included; only NaN is not.
#define CODES(at, K, S, LO, HI, YLO, YHI) \
	VPMOVSXBW.Z at, K, LO; \
	VPANDD Z25, LO, HI; \
	VPSLLW $7, LO, LO; \
	VPCMPEQW Z25, HI, K6; \
	VPANDD Z27, LO, LO; \
	VMOVDQU16 Z26, K6, LO; \
	VEXTRACTI64X4 $1, LO, YHI; \
	VCVTPH2PS YLO, LO; \
	VCVTPH2PS YHI, HI; \
	VMULPS S, LO, LO; \
	VMULPS S, HI, HI

#define CODES4(K) \
	CODES((SI), K, Z28, Z16, Z20, Y16, Y20); \
	CODES((SI)(R10*1), K, Z29, Z17, Z21, Y17, Y21); \
	CODES((SI)(R10*2), K, Z30, Z18, Z22, Y18, Y22); \
	CODES((SI)(R11*1), K, Z31, Z19, Z23, Y19, Y23)

#define SCALE(at, Z) \
	VBROADCASTSS at, Z; \
	VMULPS.BCST fewdecode512<>+0x0c(SB), Z, Z

// CODEGROUPS is GROUPS for codes: BX is at the scale of row 0 of the group and the
// tile, R15 counts the inputs that are left.
#define CODEGROUPS(ZEROS, ADDS, LASTS, JOINS, group, tile, step, last, next, join) \
group: \
	ZEROS; \
	MOVQ DI, SI; \
	MOVQ R9, R8; \
	MOVQ scales+72(FP), BX; \
	MOVQ k+56(FP), R15; \
tile: \
	MOVQ scaleStep+80(FP), AX; \
	LEAQ (AX)(AX*2), CX; \
	SCALE((BX), Z28); \
	SCALE((BX)(AX*1), Z29); \
	SCALE((BX)(AX*2), Z30); \
	SCALE((BX)(CX*1), Z31); \
	ADDQ $4, BX; \
	MOVQ tile+88(FP), CX; \
	CMPQ CX, R15; \
	CMOVQGT R15, CX; \
	SUBQ CX, R15; \
	SHRQ $5, CX; \
	JZ last; \
step: \
	CODES4(K5); \
	ADDS(0, Z16, Z17, Z18, Z19); \
	ADDS(64, Z20, Z21, Z22, Z23); \
	ADDQ $32, SI; \
	ADDQ $128, R8; \
	DECQ CX; \
	JNZ step; \
	TESTQ R15, R15; \
	JNZ tile; \
last: \
	TESTQ $31, k+56(FP); \
	JZ join; \
	CODES4(K3); \
	LASTS(0, Z16, Z17, Z18, Z19, K1); \
	LASTS(64, Z20, Z21, Z22, Z23, K2); \
join: \
	JOINS; \
	ADDQ $16, DX; \
	LEAQ (DI)(R10*4), DI; \
	MOVQ scaleStep+80(FP), AX; \
	SHLQ $2, AX; \
	ADDQ AX, scales+72(FP); \
	DECQ groups+64(FP); \
	JNZ group; \
	VZEROUPPER; \
	RET

// func fewF32AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)
TEXT ·fewF32AVX512(SB), NOSPLIT, $0-80
	KERNEL(LOADF32, 64)

// func fewF16AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)
TEXT ·fewF16AVX512(SB), NOSPLIT, $0-80
	KERNEL(LOADF16, 32)

// func fewBF16AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)
TEXT ·fewBF16AVX512(SB), NOSPLIT, $0-80
	KERNEL(LOADBF16, 32)

// func fewE4M3AVX512(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, scales *float32, scaleStep uintptr, tile int, m mode)
//
// A scale holds for tile codes, a multiple of 32, of a row; the scales of the next
// row begin scaleStep bytes further.
TEXT ·fewE4M3AVX512(SB), NOSPLIT, $0-104
	FEWBEGIN
	MOVQ  k+56(FP), CX
	ANDQ  $31, CX
	MOVL  $1, BX
	SHLL  CX, BX
	DECL  BX
	KMOVD BX, K3
	KMOVW BX, K1
	SHRL  $16, BX
	KMOVW BX, K2
	KXNORD K5, K5, K5
	ADDMASK(m+96(FP))
	VPBROADCASTD fewdecode512<>+0x04(SB), Z25
	VPBROADCASTD fewdecode512<>+0x08(SB), Z26
	VPBROADCASTD fewdecode512<>+0x00(SB), Z27
	CMPQ AX, $2
	JLT group1
	JEQ group2
	CMPQ AX, $3
	JEQ group3
	CODEGROUPS(ZERO4, ADD4, LAST4, JOIN4, group4, tile4, step4, last4, next4, join4)
	CODEGROUPS(ZERO3, ADD3, LAST3, JOIN3, group3, tile3, step3, last3, next3, join3)
	CODEGROUPS(ZERO2, ADD2, LAST2, JOIN2, group2, tile2, step2, last2, next2, join2)
	CODEGROUPS(ZERO1, ADD1, LAST1, JOIN1, group1, tile1, step1, last1, next1, join1)
