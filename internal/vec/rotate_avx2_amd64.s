//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// TURNHALVES makes Y4 and Y6 the turned points of Y0 and Y1 by the cosines in Y2
// and the sines in Y3.
#define TURNHALVES \
	VMULPS Y2, Y0, Y4; \
	VMULPS Y3, Y1, Y5; \
	VMULPS Y2, Y1, Y6; \
	VMULPS Y3, Y0, Y7; \
	VSUBPS Y5, Y4, Y4; \
	VADDPS Y7, Y6, Y6

// TURN rotates the 4 pairs in Y0 by the cosines in the even lanes of Y2 and the
// sines in those of Y3.
#define TURN \
	VMOVSLDUP Y2, Y2; \
	VMOVSLDUP Y3, Y3; \
	VPERMILPS $0xb1, Y0, Y1; \
	VMULPS Y2, Y0, Y0; \
	VMULPS Y3, Y1, Y1; \
	VADDSUBPS Y1, Y0, Y0

// func rotateAVX2(x, cos, sin []float32)
TEXT ·rotateAVX2(SB), NOSPLIT, $0-72
	MOVQ x_base+0(FP), SI
	MOVQ cos_base+24(FP), R8
	MOVQ cos_len+32(FP), CX
	MOVQ sin_base+48(FP), R9
	LEAQ (SI)(CX*4), DI      // the second halves of the pairs
	SUBQ $8, CX
	JLT  rest

loop:
	VMOVUPS (SI), Y0
	VMOVUPS (DI), Y1
	VMOVUPS (R8), Y2
	VMOVUPS (R9), Y3
	TURNHALVES
	VMOVUPS Y4, (SI)
	VMOVUPS Y6, (DI)
	ADDQ    $32, SI
	ADDQ    $32, DI
	ADDQ    $32, R8
	ADDQ    $32, R9
	SUBQ    $8, CX
	JGE     loop

rest:
	ADDQ $8, CX
	JZ   done
	MASKADDRESS
	VMOVDQU    (AX), Y15
	VMASKMOVPS (SI), Y15, Y0
	VMASKMOVPS (DI), Y15, Y1
	VMASKMOVPS (R8), Y15, Y2
	VMASKMOVPS (R9), Y15, Y3
	TURNHALVES
	VMASKMOVPS Y4, Y15, (SI)
	VMASKMOVPS Y6, Y15, (DI)

done:
	VZEROUPPER
	RET

// func rotateInterleavedAVX2(x, cos, sin []float32)
TEXT ·rotateInterleavedAVX2(SB), NOSPLIT, $0-72
	MOVQ x_base+0(FP), SI
	MOVQ cos_base+24(FP), R8
	MOVQ cos_len+32(FP), CX
	MOVQ sin_base+48(FP), R9
	SUBQ $4, CX
	JLT  rest

loop:
	VMOVUPS   (SI), Y0
	VPMOVZXDQ (R8), Y2
	VPMOVZXDQ (R9), Y3
	TURN
	VMOVUPS   Y0, (SI)
	ADDQ      $32, SI
	ADDQ      $16, R8
	ADDQ      $16, R9
	SUBQ      $4, CX
	JGE       loop

rest:
	ADDQ $4, CX
	JZ   done
	MASKADDRESS
	VMOVDQU    (AX), X14
	VPMOVSXDQ  X14, Y15
	VMASKMOVPS (SI), Y15, Y0
	VMASKMOVPS (R8), X14, X2
	VMASKMOVPS (R9), X14, X3
	VPMOVZXDQ  X2, Y2
	VPMOVZXDQ  X3, Y3
	TURN
	VMASKMOVPS Y0, Y15, (SI)

done:
	VZEROUPPER
	RET
