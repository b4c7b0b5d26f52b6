//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// UPDATE applies OP to y and x, into y.
#define UPDATE(OP) \
	MOVQ y_base+0(FP), DI; \
	MOVQ y_len+8(FP), CX; \
	MOVQ x_base+24(FP), SI; \
	STEPS64; \
loop: \
	VMOVUPS (DI), Z0; \
	VMOVUPS 64(DI), Z1; \
	VMOVUPS 128(DI), Z2; \
	VMOVUPS 192(DI), Z3; \
	OP (SI), Z0, Z0; \
	OP 64(SI), Z1, Z1; \
	OP 128(SI), Z2, Z2; \
	OP 192(SI), Z3, Z3; \
	VMOVUPS Z0, (DI); \
	VMOVUPS Z1, 64(DI); \
	VMOVUPS Z2, 128(DI); \
	VMOVUPS Z3, 192(DI); \
	ADDQ $256, SI; \
	ADDQ $256, DI; \
	NEXT64; \
rest: \
	REST; \
tail: \
	MASK16; \
	VMOVUPS.Z (DI), K1, Z0; \
	VMOVUPS.Z (SI), K1, Z1; \
	OP Z1, Z0, Z0; \
	VMOVUPS Z0, K1, (DI); \
	ADDQ $64, SI; \
	ADDQ $64, DI; \
	NEXT16; \
done: \
	VZEROUPPER; \
	RET

// func dotAVX512(a, b []float32) float32
TEXT ·dotAVX512(SB), NOSPLIT, $0-52
	MOVQ   a_base+0(FP), SI
	MOVQ   a_len+8(FP), CX
	MOVQ   b_base+24(FP), DI
	VPXORD Z0, Z0, Z0
	STEPS64

loop:
	VMOVUPS (SI), Z1
	VMOVUPS 64(SI), Z2
	VMOVUPS 128(SI), Z3
	VMOVUPS 192(SI), Z4
	VMULPS  (DI), Z1, Z1
	VMULPS  64(DI), Z2, Z2
	VMULPS  128(DI), Z3, Z3
	VMULPS  192(DI), Z4, Z4
	VADDPS  Z1, Z0, Z0
	VADDPS  Z2, Z0, Z0
	VADDPS  Z3, Z0, Z0
	VADDPS  Z4, Z0, Z0
	ADDQ    $256, SI
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMOVUPS.Z (SI), K1, Z1
	VMULPS.Z  (DI), Z1, K1, Z1
	VADDPS    Z1, Z0, Z0
	ADDQ      $64, SI
	ADDQ      $64, DI
	NEXT16

done:
	JOIN16
	VMOVSS X0, ret+48(FP)
	VZEROUPPER
	RET

// func axpyAVX512(y []float32, alpha float32, x []float32)
TEXT ·axpyAVX512(SB), NOSPLIT, $0-56
	MOVQ         y_base+0(FP), DI
	MOVQ         y_len+8(FP), CX
	VBROADCASTSS alpha+24(FP), Z31
	MOVQ         x_base+32(FP), SI
	STEPS64

loop:
	VMULPS  (SI), Z31, Z0
	VMULPS  64(SI), Z31, Z1
	VMULPS  128(SI), Z31, Z2
	VMULPS  192(SI), Z31, Z3
	VADDPS  (DI), Z0, Z0
	VADDPS  64(DI), Z1, Z1
	VADDPS  128(DI), Z2, Z2
	VADDPS  192(DI), Z3, Z3
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMULPS.Z (SI), Z31, K1, Z0
	VADDPS.Z (DI), Z0, K1, Z0
	VMOVUPS  Z0, K1, (DI)
	ADDQ     $64, SI
	ADDQ     $64, DI
	NEXT16

done:
	VZEROUPPER
	RET

// func addAVX512(y, x []float32)
TEXT ·addAVX512(SB), NOSPLIT, $0-48
	UPDATE(VADDPS)

// func mulAVX512(y, x []float32)
TEXT ·mulAVX512(SB), NOSPLIT, $0-48
	UPDATE(VMULPS)

// func scaleAVX512(dst, x []float32, alpha float32)
TEXT ·scaleAVX512(SB), NOSPLIT, $0-52
	MOVQ         dst_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	VBROADCASTSS alpha+48(FP), Z31
	STEPS64

loop:
	VMULPS  (SI), Z31, Z0
	VMULPS  64(SI), Z31, Z1
	VMULPS  128(SI), Z31, Z2
	VMULPS  192(SI), Z31, Z3
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMULPS.Z (SI), Z31, K1, Z0
	VMOVUPS  Z0, K1, (DI)
	ADDQ     $64, SI
	ADDQ     $64, DI
	NEXT16

done:
	VZEROUPPER
	RET

// func scaleMulAVX512(dst, x, w []float32, alpha float32)
TEXT ·scaleMulAVX512(SB), NOSPLIT, $0-76
	MOVQ         dst_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	MOVQ         w_base+48(FP), BX
	VBROADCASTSS alpha+72(FP), Z31
	STEPS64

loop:
	VMULPS  (SI), Z31, Z0
	VMULPS  64(SI), Z31, Z1
	VMULPS  128(SI), Z31, Z2
	VMULPS  192(SI), Z31, Z3
	VMULPS  (BX), Z0, Z0
	VMULPS  64(BX), Z1, Z1
	VMULPS  128(BX), Z2, Z2
	VMULPS  192(BX), Z3, Z3
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, BX
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMULPS.Z (SI), Z31, K1, Z0
	VMULPS.Z (BX), Z0, K1, Z0
	VMOVUPS  Z0, K1, (DI)
	ADDQ     $64, SI
	ADDQ     $64, BX
	ADDQ     $64, DI
	NEXT16

done:
	VZEROUPPER
	RET

// func maxAVX512(x []float32) float32
//
// K3 tells whether there was a NaN; what VMAXPS makes of one does not matter then.
TEXT ·maxAVX512(SB), NOSPLIT, $0-28
	MOVQ       x_base+0(FP), SI
	MOVQ       x_len+8(FP), CX
	VPTERNLOGD $0xff, Z31, Z31, Z31
	VPSLLD     $23, Z31, Z31        // −Inf
	VMOVAPS    Z31, Z0
	VMOVAPS    Z31, Z1
	VMOVAPS    Z31, Z2
	VMOVAPS    Z31, Z3
	KXORW      K3, K3, K3
	STEPS64

loop:
	VMOVUPS (SI), Z4
	VMOVUPS 64(SI), Z5
	VMOVUPS 128(SI), Z6
	VMOVUPS 192(SI), Z7
	VCMPPS  $3, Z4, Z5, K1
	VCMPPS  $3, Z6, Z7, K2
	VMAXPS  Z0, Z4, Z0
	VMAXPS  Z1, Z5, Z1
	VMAXPS  Z2, Z6, Z2
	VMAXPS  Z3, Z7, Z3
	KORW    K1, K3, K3
	KORW    K2, K3, K3
	ADDQ    $256, SI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMOVAPS Z31, Z4
	VMOVUPS (SI), K1, Z4
	VCMPPS  $3, Z4, Z4, K2
	VMAXPS  Z0, Z4, Z0
	KORW    K2, K3, K3
	ADDQ    $64, SI
	NEXT16

done:
	KORTESTW K3, K3
	JNZ      nan
	VMAXPS   Z1, Z0, Z0
	VMAXPS   Z3, Z2, Z2
	VMAXPS   Z2, Z0, Z0
	VEXTRACTF32X8 $1, Z0, Y1
	VMAXPS   Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS   X1, X0, X0
	VPERMILPD $1, X0, X1
	VMAXPS   X1, X0, X0
	VMOVSHDUP X0, X1
	VMAXSS   X1, X0, X0
	VXORPS   X1, X1, X1
	VADDSS   X1, X0, X0             // −0 becomes +0
	VMOVSS   X0, ret+24(FP)
	VZEROUPPER
	RET

nan:
	MOVL $0x7fc00000, ret+24(FP)
	VZEROUPPER
	RET

// func absMaxAVX512(x []float32) float32
TEXT ·absMaxAVX512(SB), NOSPLIT, $0-28
	MOVQ       x_base+0(FP), SI
	MOVQ       x_len+8(FP), CX
	VPTERNLOGD $0xff, Z31, Z31, Z31
	VPSRLD     $1, Z31, Z31
	VPXORD     Z0, Z0, Z0
	VPXORD     Z1, Z1, Z1
	VPXORD     Z2, Z2, Z2
	VPXORD     Z3, Z3, Z3
	STEPS64

loop:
	VPANDD  (SI), Z31, Z4
	VPANDD  64(SI), Z31, Z5
	VPANDD  128(SI), Z31, Z6
	VPANDD  192(SI), Z31, Z7
	VPMAXUD Z4, Z0, Z0
	VPMAXUD Z5, Z1, Z1
	VPMAXUD Z6, Z2, Z2
	VPMAXUD Z7, Z3, Z3
	ADDQ    $256, SI
	NEXT64

rest:
	REST

tail:
	MASK16
	VPANDD.Z (SI), Z31, K1, Z4
	VPMAXUD  Z4, Z0, Z0
	ADDQ     $64, SI
	NEXT16

done:
	VPMAXUD Z1, Z0, Z0
	VPMAXUD Z3, Z2, Z2
	VPMAXUD Z2, Z0, Z0
	VEXTRACTI32X8 $1, Z0, Y1
	VPMAXUD Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0xee, X0, X1
	VPMAXUD X1, X0, X0
	VPSHUFD $0x55, X0, X1
	VPMAXUD X1, X0, X0
	VMOVSS  X0, ret+24(FP)
	VZEROUPPER
	RET
