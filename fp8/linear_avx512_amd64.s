//go:build !noasm

#include "textflag.h"
#include "constants_amd64.h"

#define DECODEBEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ codes+8(FP), SI; \
	MOVQ n+16(FP), CX; \
	VBROADCASTSS s+24(FP), Z31; \
	VPBROADCASTD WITHOUTBIT14, Z30; \
	VPBROADCASTD CODEMAGNITUDES, Z29; \
	VPBROADCASTD POW8, Z28; \
	VPBROADCASTD SIGN, Z27; \
	VPBROADCASTD QUIETNAN, Z26; \
	VPBROADCASTD ONE, Z25; \
	VPBROADCASTD ALMOSTHALF, Z24

// DECODE32 turns 32 codes at SI into float32(q)·s in Z0 and Z1. Shifted left by
// 7, a code is the binary16 pattern of q·2⁻⁸, subnormal numbers included; only NaN
// is not.
#define DECODE32 \
	VPMOVSXBW (SI), Z0; \
	VPANDD Z29, Z0, Z1; \
	VPCMPEQW Z29, Z1, K1; \
	KSHIFTRD $16, K1, K2; \
	VPSLLW $7, Z0, Z0; \
	VPANDD Z30, Z0, Z0; \
	VEXTRACTI64X4 $1, Z0, Y1; \
	VCVTPH2PS Y0, Z0; \
	VCVTPH2PS Y1, Z1; \
	VMULPS Z28, Z0, Z0; \
	VMULPS Z28, Z1, Z1; \
	VPTERNLOGD $0xea, Z26, Z27, K1, Z0; \
	VPTERNLOGD $0xea, Z26, Z27, K2, Z1; \
	VMULPS Z31, Z0, Z0; \
	VMULPS Z31, Z1, Z1

// TOBF16 rounds the float32 numbers of Z (no NaN but the quiet one) to nearest
// even and leaves them in the high words.
#define TOBF16(Z, T) \
	VPSRLD $16, Z, T; \
	VPANDD Z25, T, T; \
	VPADDD Z24, Z, Z; \
	VPADDD T, Z, Z; \
	VPSRLD $16, Z, Z

// SCAN tells whether any element of n bytes (a multiple of 256) has all bits of
// the mask set: the unsigned maximum of the masked elements is the mask then.
#define SCAN(AND, MAX, CMPEQ) \
	MOVQ data+0(FP), SI; \
	MOVQ n+8(FP), CX; \
	VPBROADCASTD mask+16(FP), Z30; \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	SHRQ $8, CX; \
	JZ done; \
loop: \
	VPANDD (SI), Z30, Z2; \
	VPANDD 64(SI), Z30, Z3; \
	VPANDD 128(SI), Z30, Z4; \
	VPANDD 192(SI), Z30, Z5; \
	MAX Z2, Z0, Z0; \
	MAX Z3, Z1, Z1; \
	MAX Z4, Z0, Z0; \
	MAX Z5, Z1, Z1; \
	ADDQ $256, SI; \
	DECQ CX; \
	JNZ loop; \
done: \
	MAX Z1, Z0, Z0; \
	CMPEQ Z30, Z0, K1; \
	KORTESTQ K1, K1; \
	SETNE ret+24(FP); \
	VZEROUPPER; \
	RET

// func scan8AVX512(data *byte, n uintptr, mask uint32) bool
TEXT ·scan8AVX512(SB), NOSPLIT, $0-25
	SCAN(VPANDD, VPMAXUB, VPCMPEQB)

// func scan16AVX512(data *byte, n uintptr, mask uint32) bool
TEXT ·scan16AVX512(SB), NOSPLIT, $0-25
	SCAN(VPANDD, VPMAXUW, VPCMPEQW)

// func scan32AVX512(data *byte, n uintptr, mask uint32) bool
TEXT ·scan32AVX512(SB), NOSPLIT, $0-25
	SCAN(VPANDD, VPMAXUD, VPCMPEQD)

// func decodeBF16AVX512(dst, codes *byte, n uintptr, s float32)
TEXT ·decodeBF16AVX512(SB), NOSPLIT, $0-28
	DECODEBEGIN
	SHRQ $5, CX
	JZ   done

loop:
	DECODE32
	TOBF16(Z0, Z2)
	TOBF16(Z1, Z3)
	VPMOVDW Z0, (DI)
	VPMOVDW Z1, 32(DI)
	ADDQ $32, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func decodeF32AVX512(dst, codes *byte, n uintptr, s float32)
TEXT ·decodeF32AVX512(SB), NOSPLIT, $0-28
	DECODEBEGIN
	SHRQ $5, CX
	JZ   done

loop:
	DECODE32
	VMOVDQU32 Z0, (DI)
	VMOVDQU32 Z1, 64(DI)
	ADDQ $32, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func castF32BF16AVX512(dst, src *byte, n uintptr) uintptr
TEXT ·castF32BF16AVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VPBROADCASTD ONE, Z25
	VPBROADCASTD ALMOSTHALF, Z24
	VPBROADCASTD MAGNITUDES32, Z23
	VPBROADCASTD BEYONDBF16, Z22
	XORL AX, AX
	SHRQ $5, CX
	JZ   done

loop:
	VMOVDQU32 (SI), Z0
	VMOVDQU32 64(SI), Z1
	VPANDD Z23, Z0, Z2
	VPANDD Z23, Z1, Z3
	VPMAXUD Z2, Z3, Z2
	VPCMPUD $5, Z22, Z2, K1
	KORTESTW K1, K1
	JNE  done
	TOBF16(Z0, Z2)
	TOBF16(Z1, Z3)
	VPMOVDW Z0, (DI)
	VPMOVDW Z1, 32(DI)
	ADDQ $128, SI
	ADDQ $64, DI
	ADDQ $32, AX
	DECQ CX
	JNZ  loop

done:
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET

// func widenF16AVX512(dst *float32, src *byte, n uintptr)
TEXT ·widenF16AVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   done

loop:
	VCVTPH2PS (SI), Z0
	VMOVUPS Z0, (DI)
	ADDQ $32, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func narrowF64AVX512(dst *float32, src *byte, n uintptr)
TEXT ·narrowF64AVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   done

loop:
	VCVTPD2PS (SI), Y0
	VCVTPD2PS 64(SI), Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $128, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func widenBF16AVX512(dst *float32, src *byte, n uintptr)
TEXT ·widenBF16AVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   done

loop:
	VPMOVZXWD (SI), Z0
	VPSLLD $16, Z0, Z0
	VMOVDQU32 Z0, (DI)
	ADDQ $32, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET
