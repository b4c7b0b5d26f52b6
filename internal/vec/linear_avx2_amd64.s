//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// UPDATE applies OP to y and x, into y.
#define UPDATE(OP) \
	MOVQ y_base+0(FP), DI; \
	MOVQ y_len+8(FP), CX; \
	MOVQ x_base+24(FP), SI; \
	STEPS16; \
loop: \
	VMOVUPS (DI), Y0; \
	VMOVUPS 32(DI), Y1; \
	OP (SI), Y0, Y0; \
	OP 32(SI), Y1, Y1; \
	VMOVUPS Y0, (DI); \
	VMOVUPS Y1, 32(DI); \
	ADDQ $64, SI; \
	ADDQ $64, DI; \
	NEXT16; \
rest: \
	REST; \
	MASKS(Y14, Y15); \
	LOAD(DI, Y14, Y15, Y0, Y1); \
	LOAD(SI, Y14, Y15, Y2, Y3); \
	OP Y2, Y0, Y0; \
	OP Y3, Y1, Y1; \
	STORE(DI, Y14, Y15, Y0, Y1); \
done: \
	VZEROUPPER; \
	RET

// func dotAVX2(a, b []float32) float32
TEXT ·dotAVX2(SB), NOSPLIT, $0-52
	MOVQ   a_base+0(FP), SI
	MOVQ   a_len+8(FP), CX
	MOVQ   b_base+24(FP), DI
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	STEPS16

loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VMULPS  (DI), Y2, Y2
	VMULPS  32(DI), Y3, Y3
	VADDPS  Y2, Y0, Y0
	VADDPS  Y3, Y1, Y1
	ADDQ    $64, SI
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y14, Y15)
	LOAD(SI, Y14, Y15, Y2, Y3)
	LOAD(DI, Y14, Y15, Y4, Y5)
	VMULPS Y4, Y2, Y2
	VMULPS Y5, Y3, Y3
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1

done:
	JOIN16
	VMOVSS X0, ret+48(FP)
	VZEROUPPER
	RET

// func axpyAVX2(y []float32, alpha float32, x []float32)
TEXT ·axpyAVX2(SB), NOSPLIT, $0-56
	MOVQ         y_base+0(FP), DI
	MOVQ         y_len+8(FP), CX
	VBROADCASTSS alpha+24(FP), Y13
	MOVQ         x_base+32(FP), SI
	STEPS16

loop:
	VMULPS  (SI), Y13, Y0
	VMULPS  32(SI), Y13, Y1
	VADDPS  (DI), Y0, Y0
	VADDPS  32(DI), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y14, Y15)
	LOAD(SI, Y14, Y15, Y0, Y1)
	LOAD(DI, Y14, Y15, Y2, Y3)
	VMULPS Y13, Y0, Y0
	VMULPS Y13, Y1, Y1
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	STORE(DI, Y14, Y15, Y0, Y1)

done:
	VZEROUPPER
	RET

// func addAVX2(y, x []float32)
TEXT ·addAVX2(SB), NOSPLIT, $0-48
	UPDATE(VADDPS)

// func mulAVX2(y, x []float32)
TEXT ·mulAVX2(SB), NOSPLIT, $0-48
	UPDATE(VMULPS)

// func scaleAVX2(dst, x []float32, alpha float32)
TEXT ·scaleAVX2(SB), NOSPLIT, $0-52
	MOVQ         dst_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	VBROADCASTSS alpha+48(FP), Y13
	STEPS16

loop:
	VMULPS  (SI), Y13, Y0
	VMULPS  32(SI), Y13, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y14, Y15)
	LOAD(SI, Y14, Y15, Y0, Y1)
	VMULPS Y13, Y0, Y0
	VMULPS Y13, Y1, Y1
	STORE(DI, Y14, Y15, Y0, Y1)

done:
	VZEROUPPER
	RET

// func scaleMulAVX2(dst, x, w []float32, alpha float32)
TEXT ·scaleMulAVX2(SB), NOSPLIT, $0-76
	MOVQ         dst_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	MOVQ         w_base+48(FP), BX
	VBROADCASTSS alpha+72(FP), Y13
	STEPS16

loop:
	VMULPS  (SI), Y13, Y0
	VMULPS  32(SI), Y13, Y1
	VMULPS  (BX), Y0, Y0
	VMULPS  32(BX), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, BX
	ADDQ    $64, DI
	NEXT16

rest:
	REST
	MASKS(Y14, Y15)
	LOAD(SI, Y14, Y15, Y0, Y1)
	LOAD(BX, Y14, Y15, Y2, Y3)
	VMULPS Y13, Y0, Y0
	VMULPS Y13, Y1, Y1
	VMULPS Y2, Y0, Y0
	VMULPS Y3, Y1, Y1
	STORE(DI, Y14, Y15, Y0, Y1)

done:
	VZEROUPPER
	RET

// func maxAVX2(x []float32) float32
//
// Y13 tells whether there was a NaN; what VMAXPS makes of one does not matter then.
TEXT ·maxAVX2(SB), NOSPLIT, $0-28
	MOVQ     x_base+0(FP), SI
	MOVQ     x_len+8(FP), CX
	VPCMPEQD Y12, Y12, Y12
	VPSLLD   $23, Y12, Y12    // −Inf
	VMOVAPS  Y12, Y0
	VMOVAPS  Y12, Y1
	VXORPS   Y13, Y13, Y13
	STEPS16

loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VCMPPS  $3, Y2, Y3, Y4
	VMAXPS  Y0, Y2, Y0
	VMAXPS  Y1, Y3, Y1
	VORPS   Y4, Y13, Y13
	ADDQ    $64, SI
	NEXT16

rest:
	REST
	MASKS(Y14, Y15)
	LOAD(SI, Y14, Y15, Y2, Y3)
	VBLENDVPS Y14, Y2, Y12, Y2
	VBLENDVPS Y15, Y3, Y12, Y3
	VCMPPS    $3, Y2, Y3, Y4
	VMAXPS    Y0, Y2, Y0
	VMAXPS    Y1, Y3, Y1
	VORPS     Y4, Y13, Y13

done:
	VPTEST       Y13, Y13
	JNZ          nan
	VMAXPS       Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS       X1, X0, X0
	VPERMILPD    $1, X0, X1
	VMAXPS       X1, X0, X0
	VMOVSHDUP    X0, X1
	VMAXSS       X1, X0, X0
	VXORPS       X1, X1, X1
	VADDSS       X1, X0, X0       // −0 becomes +0
	VMOVSS       X0, ret+24(FP)
	VZEROUPPER
	RET

nan:
	MOVL $0x7fc00000, ret+24(FP)
	VZEROUPPER
	RET

// func absMaxAVX2(x []float32) float32
TEXT ·absMaxAVX2(SB), NOSPLIT, $0-28
	MOVQ     x_base+0(FP), SI
	MOVQ     x_len+8(FP), CX
	VPCMPEQD Y13, Y13, Y13
	VPSRLD   $1, Y13, Y13
	VPXOR    Y0, Y0, Y0
	VPXOR    Y1, Y1, Y1
	STEPS16

loop:
	VPAND   (SI), Y13, Y2
	VPAND   32(SI), Y13, Y3
	VPMAXUD Y2, Y0, Y0
	VPMAXUD Y3, Y1, Y1
	ADDQ    $64, SI
	NEXT16

rest:
	REST
	MASKS(Y14, Y15)
	LOAD(SI, Y14, Y15, Y2, Y3)
	VPAND   Y2, Y13, Y2
	VPAND   Y3, Y13, Y3
	VPMAXUD Y2, Y0, Y0
	VPMAXUD Y3, Y1, Y1

done:
	VPMAXUD      Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0xee, X0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0x55, X0, X1
	VPMAXUD      X1, X0, X0
	VMOVSS       X0, ret+24(FP)
	VZEROUPPER
	RET
