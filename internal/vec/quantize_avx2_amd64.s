//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"

// ROUND makes Y0 the E4M3 number next to Y0/s, times s.
#define ROUND \
	VDIVPS Y15, Y0, Y0; \
	VANDPS Y10, Y0, Y3; \
	VPANDN Y0, Y10, Y1; \
	VPAND Y13, Y1, Y2; \
	VPMAXUD Y12, Y2, Y2; \
	VPADDD Y11, Y2, Y2; \
	VADDPS Y2, Y1, Y1; \
	VSUBPS Y2, Y1, Y1; \
	VORPS Y3, Y1, Y1; \
	VMULPS Y15, Y1, Y0

// func quantizeAVX2(x []float32, s float32)
TEXT ·quantizeAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS s+24(FP), Y15
	VPBROADCASTD ·e4m3Table+0(SB), Y13  // exponent
	VPBROADCASTD ·e4m3Table+4(SB), Y12  // 2⁻⁶
	VPBROADCASTD ·e4m3Table+8(SB), Y11  // 20 binades
	VPBROADCASTD ·e4m3Table+12(SB), Y10 // sign
	SUBQ         $8, CX
	JLT          rest

loop:
	VMOVUPS (SI), Y0
	ROUND
	VMOVUPS Y0, (SI)
	ADDQ    $32, SI
	SUBQ    $8, CX
	JGE     loop

rest:
	ADDQ $8, CX
	JZ   done
	MASKADDRESS
	VMOVDQU    (AX), Y9
	VMASKMOVPS (SI), Y9, Y0
	ROUND
	VMASKMOVPS Y0, Y9, (SI)

done:
	VZEROUPPER
	RET
