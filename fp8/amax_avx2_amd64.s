//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// Y0, Y1 hold the largest, Y2, Y3 the smallest magnitudes; Y15 the mask, Y14 zero.
#define BEGIN(mask) \
	MOVQ src+0(FP), SI; \
	MOVQ stride+8(FP), R9; \
	VMOVDQU mask, Y15; \
	VPXOR Y14, Y14, Y14; \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPCMPEQD Y2, Y2, Y2; \
	VPCMPEQD Y3, Y3, Y3; \
	MOVL $128, CX

#define AMAX64(at, MAX, MIN) \
	VPAND (at)(SI), Y15, Y4; \
	VPAND (at+32)(SI), Y15, Y5; \
	MAX Y4, Y0, Y0; \
	MIN Y4, Y2, Y2; \
	MAX Y5, Y1, Y1; \
	MIN Y5, Y3, Y3

#define AMAX256(at, MAX, MIN) \
	AMAX64(at, MAX, MIN); \
	AMAX64(at+64, MAX, MIN); \
	AMAX64(at+128, MAX, MIN); \
	AMAX64(at+192, MAX, MIN)

// FOLD leaves four dwords or eight words of each in X0 and X2.
#define FOLD(MAX, MIN) \
	MAX Y1, Y0, Y0; \
	MIN Y3, Y2, Y2; \
	VEXTRACTI128 $1, Y0, X1; \
	VEXTRACTI128 $1, Y2, X3; \
	MAX X1, X0, X0; \
	MIN X3, X2, X2

// func amaxBF16AVX2(src *byte, stride uintptr) (hi, lo uint32)
TEXT ·amaxBF16AVX2(SB), NOSPLIT, $0-24
	BEGIN(MAGNITUDES16)

row:
	AMAX256(0, VPMAXUW, VPMINUW)
	ADDQ R9, SI
	DECL CX
	JNZ  row
	FOLD(VPMAXUW, VPMINUW)
	VPCMPEQD X4, X4, X4
	VPXOR X4, X0, X0 // the largest is the complement of the smallest complement
	VPHMINPOSUW X0, X0
	VPHMINPOSUW X2, X2
	VMOVD X0, AX
	NOTL AX
	MOVWLZX AX, AX
	VMOVD X2, BX
	MOVWLZX BX, BX
	MOVL AX, hi+16(FP)
	MOVL BX, lo+20(FP)
	VZEROUPPER
	RET

// func amaxF32AVX2(src *byte, stride uintptr) (hi, lo uint32)
TEXT ·amaxF32AVX2(SB), NOSPLIT, $0-24
	BEGIN(MAGNITUDES32)

row:
	AMAX256(0, VPMAXUD, VPMINUD)
	AMAX256(256, VPMAXUD, VPMINUD)
	ADDQ R9, SI
	DECL CX
	JNZ  row
	FOLD(VPMAXUD, VPMINUD)
	VPSHUFD $0x4e, X0, X1
	VPSHUFD $0x4e, X2, X3
	VPMAXUD X1, X0, X0
	VPMINUD X3, X2, X2
	VPSHUFD $0xb1, X0, X1
	VPSHUFD $0xb1, X2, X3
	VPMAXUD X1, X0, X0
	VPMINUD X3, X2, X2
	VMOVD X0, AX
	VMOVD X2, BX
	MOVL AX, hi+16(FP)
	MOVL BX, lo+20(FP)
	VZEROUPPER
	RET

// ZEROS adds the bytes of zero elements at (SI) to DX.
#define ZEROS(at, CMPEQ) \
	VPAND (at)(SI), Y15, Y4; \
	CMPEQ Y14, Y4, Y4; \
	VPMOVMSKB Y4, AX; \
	POPCNTL AX, AX; \
	ADDL AX, DX

#define ZEROS256(at, CMPEQ) \
	ZEROS(at, CMPEQ); \
	ZEROS(at+32, CMPEQ); \
	ZEROS(at+64, CMPEQ); \
	ZEROS(at+96, CMPEQ); \
	ZEROS(at+128, CMPEQ); \
	ZEROS(at+160, CMPEQ); \
	ZEROS(at+192, CMPEQ); \
	ZEROS(at+224, CMPEQ)

// func zerosBF16AVX2(src *byte, stride uintptr) uint32
TEXT ·zerosBF16AVX2(SB), NOSPLIT, $0-20
	BEGIN(MAGNITUDES16)
	XORL DX, DX

row:
	ZEROS256(0, VPCMPEQW)
	ADDQ R9, SI
	DECL CX
	JNZ  row
	SHRL $1, DX
	MOVL DX, ret+16(FP)
	VZEROUPPER
	RET

// func zerosF32AVX2(src *byte, stride uintptr) uint32
TEXT ·zerosF32AVX2(SB), NOSPLIT, $0-20
	BEGIN(MAGNITUDES32)
	XORL DX, DX

row:
	ZEROS256(0, VPCMPEQD)
	ZEROS256(256, VPCMPEQD)
	ADDQ R9, SI
	DECL CX
	JNZ  row
	SHRL $2, DX
	MOVL DX, ret+16(FP)
	VZEROUPPER
	RET
