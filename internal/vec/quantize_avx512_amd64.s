//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"

// func quantizeAVX512(x []float32, s float32)
TEXT ·quantizeAVX512(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS s+24(FP), Z31
	VPBROADCASTD ·e4m3Table+0(SB), Z29  // exponent
	VPBROADCASTD ·e4m3Table+4(SB), Z28  // 2⁻⁶
	VPBROADCASTD ·e4m3Table+8(SB), Z27  // 20 binades
	VPBROADCASTD ·e4m3Table+12(SB), Z26 // sign
	TESTQ        CX, CX
	JZ           done

tail:
	MASK16
	VMOVUPS.Z  (SI), K1, Z0
	VDIVPS     Z31, Z0, Z0
	VPANDND    Z0, Z26, Z1
	VPANDD     Z29, Z1, Z2
	VPMAXUD    Z28, Z2, Z2
	VPADDD     Z27, Z2, Z2
	VADDPS     Z2, Z1, Z1
	VSUBPS     Z2, Z1, Z1
	VPTERNLOGD $0xf8, Z26, Z0, Z1      // Z1 | Z0&sign
	VMULPS     Z31, Z1, Z1
	VMOVUPS    Z1, K1, (SI)
	ADDQ       $64, SI
	NEXT16

done:
	VZEROUPPER
	RET
