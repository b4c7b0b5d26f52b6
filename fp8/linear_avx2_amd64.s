//go:build !noasm

#include "textflag.h"
#include "constants_amd64.h"

// DECODE16 turns the 16 codes at (at)(SI) into float32(q)·s in Y0 and Y1. Shifted
// left by 7, a code is the binary16 pattern of q·2⁻⁸, subnormal numbers included;
// only NaN is not: it comes out as ±480.
#define DECODE16(at) \
	VPMOVSXBW (at)(SI), Y0; \
	VPSLLW $7, Y0, Y0; \
	VPAND WITHOUTBIT14, Y0, Y0; \
	VEXTRACTI128 $1, Y0, X1; \
	VCVTPH2PS X0, Y0; \
	VCVTPH2PS X1, Y1; \
	VMULPS POW8, Y0, Y0; \
	VMULPS POW8, Y1, Y1; \
	NANS(Y0); \
	NANS(Y1); \
	VMULPS Y15, Y0, Y0; \
	VMULPS Y15, Y1, Y1

#define NANS(Y) \
	VANDPS MAGNITUDES32, Y, Y4; \
	VCMPPS $0, NAN480, Y4, Y4; \
	VANDPS SIGN, Y, Y5; \
	VORPS QUIETNAN, Y5, Y5; \
	VBLENDVPS Y4, Y5, Y, Y

// TOBF16 rounds the float32 numbers of Y (no NaN but the quiet one) to nearest
// even and moves them to the low words.
#define TOBF16(Y) \
	VPSRLD $16, Y, Y4; \
	VPAND ONE, Y4, Y4; \
	VPADDD ALMOSTHALF, Y, Y; \
	VPADDD Y4, Y, Y; \
	VPSRLD $16, Y, Y

#define STOREBF16(at) \
	TOBF16(Y0); \
	TOBF16(Y1); \
	VPACKUSDW Y1, Y0, Y0; \
	VPERMQ $0xd8, Y0, Y0; \
	VMOVDQU Y0, (at)(DI)

#define DECODEBEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ codes+8(FP), SI; \
	MOVQ n+16(FP), CX; \
	VBROADCASTSS s+24(FP), Y15

// SCAN tells whether any element of n bytes (a multiple of 256) has all bits of
// the mask set: the unsigned maximum of the masked elements is the mask then.
#define SCAN(MAX, CMPEQ) \
	MOVQ data+0(FP), SI; \
	MOVQ n+8(FP), CX; \
	VPBROADCASTD mask+16(FP), Y15; \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	SHRQ $7, CX; \
	JZ done; \
loop: \
	VPAND (SI), Y15, Y2; \
	VPAND 32(SI), Y15, Y3; \
	VPAND 64(SI), Y15, Y4; \
	VPAND 96(SI), Y15, Y5; \
	MAX Y2, Y0, Y0; \
	MAX Y3, Y1, Y1; \
	MAX Y4, Y0, Y0; \
	MAX Y5, Y1, Y1; \
	ADDQ $128, SI; \
	DECQ CX; \
	JNZ loop; \
done: \
	MAX Y1, Y0, Y0; \
	CMPEQ Y15, Y0, Y0; \
	VPTEST Y0, Y0; \
	SETNE ret+24(FP); \
	VZEROUPPER; \
	RET

// func scan8AVX2(data *byte, n uintptr, mask uint32) bool
TEXT ·scan8AVX2(SB), NOSPLIT, $0-25
	SCAN(VPMAXUB, VPCMPEQB)

// func scan16AVX2(data *byte, n uintptr, mask uint32) bool
TEXT ·scan16AVX2(SB), NOSPLIT, $0-25
	SCAN(VPMAXUW, VPCMPEQW)

// func scan32AVX2(data *byte, n uintptr, mask uint32) bool
TEXT ·scan32AVX2(SB), NOSPLIT, $0-25
	SCAN(VPMAXUD, VPCMPEQD)

// func decodeBF16AVX2(dst, codes *byte, n uintptr, s float32)
TEXT ·decodeBF16AVX2(SB), NOSPLIT, $0-28
	DECODEBEGIN
	SHRQ $4, CX
	JZ   done

loop:
	DECODE16(0)
	STOREBF16(0)
	ADDQ $16, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func decodeF32AVX2(dst, codes *byte, n uintptr, s float32)
TEXT ·decodeF32AVX2(SB), NOSPLIT, $0-28
	DECODEBEGIN
	SHRQ $4, CX
	JZ   done

loop:
	DECODE16(0)
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $16, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func castF32BF16AVX2(dst, src *byte, n uintptr) uintptr
TEXT ·castF32BF16AVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVDQU MAGNITUDES32, Y14
	VMOVDQU MAXBF16, Y13
	XORL AX, AX
	SHRQ $4, CX
	JZ   done

loop:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPAND Y14, Y0, Y2
	VPAND Y14, Y1, Y3
	VPMAXUD Y2, Y3, Y2
	VPCMPGTD Y13, Y2, Y2
	VPTEST Y2, Y2
	JNE  done
	STOREBF16(0)
	ADDQ $64, SI
	ADDQ $32, DI
	ADDQ $16, AX
	DECQ CX
	JNZ  loop

done:
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET

// func widenF16AVX2(dst *float32, src *byte, n uintptr)
TEXT ·widenF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   done

loop:
	VCVTPH2PS (SI), Y0
	VCVTPH2PS 16(SI), Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $32, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func narrowF64AVX2(dst *float32, src *byte, n uintptr)
TEXT ·narrowF64AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   done

loop:
	VCVTPD2PSY (SI), X0
	VCVTPD2PSY 32(SI), X1
	VCVTPD2PSY 64(SI), X2
	VCVTPD2PSY 96(SI), X3
	VMOVUPS X0, (DI)
	VMOVUPS X1, 16(DI)
	VMOVUPS X2, 32(DI)
	VMOVUPS X3, 48(DI)
	ADDQ $128, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET

// func widenBF16AVX2(dst *float32, src *byte, n uintptr)
TEXT ·widenBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	SHRQ $4, CX
	JZ   done

loop:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPSLLD $16, Y0, Y0
	VPSLLD $16, Y1, Y1
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	ADDQ $32, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	RET
