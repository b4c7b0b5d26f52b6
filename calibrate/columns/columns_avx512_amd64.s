//go:build !noasm

#include "textflag.h"

// ARGUMENTS loads what all strips have: sums in DI, maxima in DX, rows of x in SI,
// their number in CX, their distance in BX. Z31 clears signs.
#define ARGUMENTS \
	MOVQ sums+0(FP), DI; \
	MOVQ maxima+8(FP), DX; \
	MOVQ x+16(FP), SI; \
	MOVQ rows+24(FP), CX; \
	MOVQ stride+32(FP), BX; \
	MOVL $0x7fffffff, AX; \
	VPBROADCASTD AX, Z31

// RAISE joins the 16 magnitudes of Z0, raises the row's maximum to theirs and goes on
// to the next row. Magnitudes are compared as integers.
#define RAISE \
	VEXTRACTI64X4 $1, Z0, Y1; \
	VPMAXUD Y1, Y0, Y0; \
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

// func strip64AVX512(sums *float64, maxima, x *float32, rows, stride int)
TEXT ·strip64AVX512(SB), NOSPLIT, $0-40
	ARGUMENTS
	VMOVUPD (DI), Z16
	VMOVUPD 64(DI), Z17
	VMOVUPD 128(DI), Z18
	VMOVUPD 192(DI), Z19
	VMOVUPD 256(DI), Z20
	VMOVUPD 320(DI), Z21
	VMOVUPD 384(DI), Z22
	VMOVUPD 448(DI), Z23

row:
	VCVTPS2PD   (SI), Z8
	VCVTPS2PD   32(SI), Z9
	VCVTPS2PD   64(SI), Z10
	VCVTPS2PD   96(SI), Z11
	VCVTPS2PD   128(SI), Z12
	VCVTPS2PD   160(SI), Z13
	VCVTPS2PD   192(SI), Z14
	VCVTPS2PD   224(SI), Z15
	VFMADD231PD Z8, Z8, Z16
	VFMADD231PD Z9, Z9, Z17
	VFMADD231PD Z10, Z10, Z18
	VFMADD231PD Z11, Z11, Z19
	VFMADD231PD Z12, Z12, Z20
	VFMADD231PD Z13, Z13, Z21
	VFMADD231PD Z14, Z14, Z22
	VFMADD231PD Z15, Z15, Z23
	VPANDD      (SI), Z31, Z0
	VPANDD      64(SI), Z31, Z1
	VPANDD      128(SI), Z31, Z2
	VPANDD      192(SI), Z31, Z3
	VPMAXUD     Z1, Z0, Z0
	VPMAXUD     Z3, Z2, Z2
	VPMAXUD     Z2, Z0, Z0
	RAISE
	JNZ         row

	VMOVUPD Z16, (DI)
	VMOVUPD Z17, 64(DI)
	VMOVUPD Z18, 128(DI)
	VMOVUPD Z19, 192(DI)
	VMOVUPD Z20, 256(DI)
	VMOVUPD Z21, 320(DI)
	VMOVUPD Z22, 384(DI)
	VMOVUPD Z23, 448(DI)
	VZEROUPPER
	RET

// func strip16AVX512(sums *float64, maxima, x *float32, rows, stride, width int)
TEXT ·strip16AVX512(SB), NOSPLIT, $0-48
	ARGUMENTS
	MOVQ      width+40(FP), R8
	MOVL      $-1, AX
	BZHIL     R8, AX, AX
	KMOVW     AX, K1
	KSHIFTRW  $8, K1, K2
	VMOVUPD.Z (DI), K1, Z16
	VMOVUPD.Z 64(DI), K2, Z17

row:
	VMOVUPS.Z     (SI), K1, Z0
	VEXTRACTF64X4 $1, Z0, Y1
	VCVTPS2PD     Y0, Z2
	VCVTPS2PD     Y1, Z3
	VFMADD231PD   Z2, Z2, Z16
	VFMADD231PD   Z3, Z3, Z17
	VPANDD        Z31, Z0, Z0
	RAISE
	JNZ           row

	VMOVUPD Z16, K1, (DI)
	VMOVUPD Z17, K2, 64(DI)
	VZEROUPPER
	RET
