//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// func rotateAVX512(x, cos, sin []float32)
TEXT ·rotateAVX512(SB), NOSPLIT, $0-72
	MOVQ x_base+0(FP), SI
	MOVQ cos_base+24(FP), R8
	MOVQ cos_len+32(FP), CX
	MOVQ sin_base+48(FP), R9
	LEAQ (SI)(CX*4), DI      // the second halves of the pairs
	SUBQ $16, CX
	JLT  rest

loop:
	VMOVUPS (SI), Z0
	VMOVUPS (DI), Z1
	VMOVUPS (R8), Z2
	VMOVUPS (R9), Z3
	VMULPS  Z2, Z0, Z4
	VMULPS  Z3, Z1, Z5
	VMULPS  Z2, Z1, Z6
	VMULPS  Z3, Z0, Z7
	VSUBPS  Z5, Z4, Z4
	VADDPS  Z7, Z6, Z6
	VMOVUPS Z4, (SI)
	VMOVUPS Z6, (DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	ADDQ    $64, R8
	ADDQ    $64, R9
	SUBQ    $16, CX
	JGE     loop

rest:
	ADDQ $16, CX
	JZ   done
	MASK16
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z (DI), K1, Z1
	VMOVUPS.Z (R8), K1, Z2
	VMOVUPS.Z (R9), K1, Z3
	VMULPS    Z2, Z0, Z4
	VMULPS    Z3, Z1, Z5
	VMULPS    Z2, Z1, Z6
	VMULPS    Z3, Z0, Z7
	VSUBPS    Z5, Z4, Z4
	VADDPS    Z7, Z6, Z6
	VMOVUPS   Z4, K1, (SI)
	VMOVUPS   Z6, K1, (DI)

done:
	VZEROUPPER
	RET

// TURN rotates the 8 pairs in Z0 by the cosines in the even lanes of Z2 and the
// sines in those of Z3. Z31 holds the sign bit in the even lanes:
// x·c − y·s is computed as x·c + y·(−s), the same number.
#define TURN \
	VMOVSLDUP Z2, Z2; \
	VMOVSLDUP Z3, Z3; \
	VPXORD Z31, Z3, Z3; \
	VPERMILPS $0xb1, Z0, Z1; \
	VMULPS Z2, Z0, Z0; \
	VMULPS Z3, Z1, Z1; \
	VADDPS Z1, Z0, Z0

// func rotateInterleavedAVX512(x, cos, sin []float32)
TEXT ·rotateInterleavedAVX512(SB), NOSPLIT, $0-72
	MOVQ         x_base+0(FP), SI
	MOVQ         cos_base+24(FP), R8
	MOVQ         cos_len+32(FP), CX
	MOVQ         sin_base+48(FP), R9
	MOVL         $0x80000000, AX
	VPBROADCASTQ AX, Z31
	SUBQ         $8, CX
	JLT          rest

loop:
	VMOVUPS   (SI), Z0
	VPMOVZXDQ (R8), Z2
	VPMOVZXDQ (R9), Z3
	TURN
	VMOVUPS   Z0, (SI)
	ADDQ      $64, SI
	ADDQ      $32, R8
	ADDQ      $32, R9
	SUBQ      $8, CX
	JGE       loop

rest:
	ADDQ $8, CX
	JZ   done
	MASK16
	ADDQ        CX, CX
	MOVL        $-1, AX
	BZHIL       CX, AX, AX
	KMOVW       AX, K2
	VMOVUPS.Z   (SI), K2, Z0
	VPMOVZXDQ.Z (R8), K1, Z2
	VPMOVZXDQ.Z (R9), K1, Z3
	TURN
	VMOVUPS     Z0, K2, (SI)

done:
	VZEROUPPER
	RET
