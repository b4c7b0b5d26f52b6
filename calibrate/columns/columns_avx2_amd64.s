//go:build !noasm

#include "textflag.h"

// ARGUMENTS loads what all strips have: sums in DI, maxima in DX, rows of x in SI,
// their number in CX, their distance in BX. Y7 clears signs.
#define ARGUMENTS \
	MOVQ sums+0(FP), DI; \
	MOVQ maxima+8(FP), DX; \
	MOVQ x+16(FP), SI; \
	MOVQ rows+24(FP), CX; \
	MOVQ stride+32(FP), BX; \
	VPCMPEQD Y7, Y7, Y7; \
	VPSRLD $1, Y7, Y7

// RAISE joins the 8 magnitudes of Y0, raises the row's maximum to theirs and goes on
// to the next row. Magnitudes are compared as integers.
#define RAISE \
	VEXTRACTI128 $1, Y0, X1; \
	VPMAXUD X1, X0, X0; \
	VPSHUFD $0x4e, X0, X1; \
	VPMAXUD X1, X0, X0; \
	VPSHUFD $0xb1, X0, X1; \
	VPMAXUD X1, X0, X0; \
	VMOVD (DX), X1; \
	VPMAXUD X1, X0, X0; \
	VMOVD X0, (DX); \
	ADDQ BX, SI; \
	ADDQ $4, DX; \
	DECQ CX

// SQUARE adds the squares of the four numbers at an offset of the row to SUM.
#define SQUARE(OFFSET, T, SUM) \
	VCVTPS2PD OFFSET(SI), T; \
	VMULPD T, T, T; \
	VADDPD T, SUM, SUM

// func strip32AVX2(sums *float64, maxima, x *float32, rows, stride int)
TEXT ·strip32AVX2(SB), NOSPLIT, $0-40
	ARGUMENTS
	VMOVUPD (DI), Y8
	VMOVUPD 32(DI), Y9
	VMOVUPD 64(DI), Y10
	VMOVUPD 96(DI), Y11
	VMOVUPD 128(DI), Y12
	VMOVUPD 160(DI), Y13
	VMOVUPD 192(DI), Y14
	VMOVUPD 224(DI), Y15

row:
	SQUARE(0, Y0, Y8)
	SQUARE(16, Y1, Y9)
	SQUARE(32, Y2, Y10)
	SQUARE(48, Y3, Y11)
	SQUARE(64, Y0, Y12)
	SQUARE(80, Y1, Y13)
	SQUARE(96, Y2, Y14)
	SQUARE(112, Y3, Y15)
	VPAND   (SI), Y7, Y0
	VPAND   32(SI), Y7, Y1
	VPAND   64(SI), Y7, Y2
	VPAND   96(SI), Y7, Y3
	VPMAXUD Y1, Y0, Y0
	VPMAXUD Y3, Y2, Y2
	VPMAXUD Y2, Y0, Y0
	RAISE
	JNZ     row

	VMOVUPD Y8, (DI)
	VMOVUPD Y9, 32(DI)
	VMOVUPD Y10, 64(DI)
	VMOVUPD Y11, 96(DI)
	VMOVUPD Y12, 128(DI)
	VMOVUPD Y13, 160(DI)
	VMOVUPD Y14, 192(DI)
	VMOVUPD Y15, 224(DI)
	VZEROUPPER
	RET

// func strip8AVX2(sums *float64, maxima, x *float32, rows, stride, width int)
TEXT ·strip8AVX2(SB), NOSPLIT, $0-48
	ARGUMENTS
	MOVQ         width+40(FP), R8
	LEAQ         ·tailMask+32(SB), AX
	SHLQ         $2, R8
	SUBQ         R8, AX
	VMOVDQU      (AX), Y6             // of the numbers
	VPMOVSXDQ    (AX), Y4             // of their sums
	VPMOVSXDQ    16(AX), Y5
	VMASKMOVPD   (DI), Y4, Y8
	VMASKMOVPD   32(DI), Y5, Y9

row:
	VMASKMOVPS   (SI), Y6, Y0
	VEXTRACTF128 $1, Y0, X1
	VCVTPS2PD    X0, Y2
	VCVTPS2PD    X1, Y3
	VMULPD       Y2, Y2, Y2
	VMULPD       Y3, Y3, Y3
	VADDPD       Y2, Y8, Y8
	VADDPD       Y3, Y9, Y9
	VPAND        Y7, Y0, Y0
	RAISE
	JNZ          row

	VMASKMOVPD Y8, Y4, (DI)
	VMASKMOVPD Y9, Y5, 32(DI)
	VZEROUPPER
	RET
