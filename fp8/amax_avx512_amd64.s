//go:build !noasm

#include "textflag.h"

// Z0, Z1 hold the largest, Z2, Z3 the smallest magnitudes; Z30 the mask.
#define BEGIN(mask) \
	MOVQ src+0(FP), SI; \
	MOVQ stride+8(FP), R9; \
	VPBROADCASTD mask, Z30; \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	VPTERNLOGD $0xff, Z2, Z2, Z2; \
	VPTERNLOGD $0xff, Z3, Z3, Z3; \
	MOVL $128, CX

#define AMAX128(at, MAX, MIN) \
	VPANDD (at)(SI), Z30, Z4; \
	VPANDD (at+64)(SI), Z30, Z5; \
	MAX Z4, Z0, Z0; \
	MIN Z4, Z2, Z2; \
	MAX Z5, Z1, Z1; \
	MIN Z5, Z3, Z3

// LEAST128 takes one off the magnitudes, so that 0 becomes the largest.
#define LEAST128(at) \
	VPANDD (at)(SI), Z30, Z4; \
	VPANDD (at+64)(SI), Z30, Z5; \
	VPADDW Z6, Z4, Z4; \
	VPADDW Z6, Z5, Z5; \
	VPMINUW Z4, Z2, Z2; \
	VPMINUW Z5, Z3, Z3

// FOLD leaves four dwords or eight words of each in X0 and X2.
#define FOLD(MAX, MIN) \
	MAX Z1, Z0, Z0; \
	MIN Z3, Z2, Z2; \
	VEXTRACTI64X4 $1, Z0, Y1; \
	VEXTRACTI64X4 $1, Z2, Y3; \
	MAX Y1, Y0, Y0; \
	MIN Y3, Y2, Y2; \
	VEXTRACTI128 $1, Y0, X1; \
	VEXTRACTI128 $1, Y2, X3; \
	MAX X1, X0, X0; \
	MIN X3, X2, X2

// func amaxBF16AVX512(src *byte, stride uintptr) (hi, lo uint32)
TEXT ·amaxBF16AVX512(SB), NOSPLIT, $0-24
	BEGIN(·consts512+0x24(SB))

row:
	AMAX128(0, VPMAXUW, VPMINUW)
	AMAX128(128, VPMAXUW, VPMINUW)
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

// func amaxF32AVX512(src *byte, stride uintptr) (hi, lo uint32)
TEXT ·amaxF32AVX512(SB), NOSPLIT, $0-24
	BEGIN(·consts512+0x00(SB))

row:
	AMAX128(0, VPMAXUD, VPMINUD)
	AMAX128(128, VPMAXUD, VPMINUD)
	AMAX128(256, VPMAXUD, VPMINUD)
	AMAX128(384, VPMAXUD, VPMINUD)
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

// func leastBF16AVX512(src *byte, stride uintptr) uint32
TEXT ·leastBF16AVX512(SB), NOSPLIT, $0-20
	BEGIN(·consts512+0x24(SB))
	VPTERNLOGD $0xff, Z6, Z6, Z6

row:
	LEAST128(0)
	LEAST128(128)
	ADDQ R9, SI
	DECL CX
	JNZ  row
	FOLD(VPMAXUW, VPMINUW)
	VPHMINPOSUW X2, X2
	VMOVD X2, AX
	INCL AX
	MOVWLZX AX, AX
	MOVL AX, ret+16(FP)
	VZEROUPPER
	RET

// func zerosBF16AVX512(src *byte, stride uintptr) uint32
TEXT ·zerosBF16AVX512(SB), NOSPLIT, $0-20
	BEGIN(·consts512+0x24(SB))
	XORL DX, DX

row:
	VPTESTNMW (SI), Z30, K1
	VPTESTNMW 64(SI), Z30, K2
	VPTESTNMW 128(SI), Z30, K3
	VPTESTNMW 192(SI), Z30, K4
	KUNPCKDQ K1, K2, K1
	KUNPCKDQ K3, K4, K3
	KMOVQ K1, AX
	KMOVQ K3, BX
	POPCNTQ AX, AX
	POPCNTQ BX, BX
	ADDL AX, DX
	ADDL BX, DX
	ADDQ R9, SI
	DECL CX
	JNZ  row
	MOVL DX, ret+16(FP)
	VZEROUPPER
	RET

// func zerosF32AVX512(src *byte, stride uintptr) uint32
TEXT ·zerosF32AVX512(SB), NOSPLIT, $0-20
	BEGIN(·consts512+0x00(SB))
	XORL DX, DX

row:
	MOVL $4, BX

pair:
	VPTESTNMD (SI), Z30, K1
	VPTESTNMD 64(SI), Z30, K2
	KUNPCKWD K1, K2, K1
	KMOVD K1, AX
	POPCNTL AX, AX
	ADDL AX, DX
	ADDQ $128, SI
	DECL BX
	JNZ  pair
	SUBQ $512, SI
	ADDQ R9, SI
	DECL CX
	JNZ  row
	MOVL DX, ret+16(FP)
	VZEROUPPER
	RET
