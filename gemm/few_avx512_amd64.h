// Macros of the AVX-512 kernels for a few rows of x. A kernel takes groups of four
// weight rows. Accumulator of x row m and weight row r: Z(4m+r), lane j for the inputs
// k ≡ j mod 16.
//
// Registers:
//	SI  weights, of row 0 of the group       R8  x row 0
//	DI  where the group begins               R9  where x begins
//	R10, R11  1× and 3× the weight stride    R12, R13  1× and 3× ldx
//	DX  y     CX  counts steps     AX  scratch
//	K1  lanes of the last step, K2 of its second half (E4M3), K3 of the codes
// The weights of a step are in Z16…Z19 (E4M3: second half in Z20…Z23), a row of x
// in Z24.

#define FEWBEGIN \
	MOVQ y+0(FP), DX; \
	MOVQ x+16(FP), R9; \
	MOVQ ldx+24(FP), R12; \
	LEAQ (R12)(R12*2), R13; \
	MOVQ w+40(FP), DI; \
	MOVQ stride+48(FP), R10; \
	LEAQ (R10)(R10*2), R11; \
	MOVQ rows+32(FP), AX

#define ZERO1 \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	VPXORD Z2, Z2, Z2; \
	VPXORD Z3, Z3, Z3

#define ZERO2 \
	ZERO1; \
	VPXORD Z4, Z4, Z4; \
	VPXORD Z5, Z5, Z5; \
	VPXORD Z6, Z6, Z6; \
	VPXORD Z7, Z7, Z7

#define ZERO3 \
	ZERO2; \
	VPXORD Z8, Z8, Z8; \
	VPXORD Z9, Z9, Z9; \
	VPXORD Z10, Z10, Z10; \
	VPXORD Z11, Z11, Z11

#define ZERO4 \
	ZERO3; \
	VPXORD Z12, Z12, Z12; \
	VPXORD Z13, Z13, Z13; \
	VPXORD Z14, Z14, Z14; \
	VPXORD Z15, Z15, Z15

// FMAS adds the products of a row of x with four weight rows.
#define FMAS(X, W0, W1, W2, W3, A0, A1, A2, A3) \
	VFMADD231PS W0, X, A0; \
	VFMADD231PS W1, X, A1; \
	VFMADD231PS W2, X, A2; \
	VFMADD231PS W3, X, A3

#define FMASMASKED(X, W0, W1, W2, W3, K, A0, A1, A2, A3) \
	VFMADD231PS W0, X, K, A0; \
	VFMADD231PS W1, X, K, A1; \
	VFMADD231PS W2, X, K, A2; \
	VFMADD231PS W3, X, K, A3

// ADDn multiplies 16 inputs, at byte at of x, of n rows.
#define ADD1(at, W0, W1, W2, W3) \
	VMOVUPS at(R8), Z24; \
	FMAS(Z24, W0, W1, W2, W3, Z0, Z1, Z2, Z3)

#define ADD2(at, W0, W1, W2, W3) \
	ADD1(at, W0, W1, W2, W3); \
	VMOVUPS at(R8)(R12*1), Z24; \
	FMAS(Z24, W0, W1, W2, W3, Z4, Z5, Z6, Z7)

#define ADD3(at, W0, W1, W2, W3) \
	ADD2(at, W0, W1, W2, W3); \
	VMOVUPS at(R8)(R12*2), Z24; \
	FMAS(Z24, W0, W1, W2, W3, Z8, Z9, Z10, Z11)

#define ADD4(at, W0, W1, W2, W3) \
	ADD3(at, W0, W1, W2, W3); \
	VMOVUPS at(R8)(R13*1), Z24; \
	FMAS(Z24, W0, W1, W2, W3, Z12, Z13, Z14, Z15)

// LASTn is ADDn for the inputs in a mask.
#define LAST1(at, W0, W1, W2, W3, K) \
	VMOVUPS.Z at(R8), K, Z24; \
	FMASMASKED(Z24, W0, W1, W2, W3, K, Z0, Z1, Z2, Z3)

#define LAST2(at, W0, W1, W2, W3, K) \
	LAST1(at, W0, W1, W2, W3, K); \
	VMOVUPS.Z at(R8)(R12*1), K, Z24; \
	FMASMASKED(Z24, W0, W1, W2, W3, K, Z4, Z5, Z6, Z7)

#define LAST3(at, W0, W1, W2, W3, K) \
	LAST2(at, W0, W1, W2, W3, K); \
	VMOVUPS.Z at(R8)(R12*2), K, Z24; \
	FMASMASKED(Z24, W0, W1, W2, W3, K, Z8, Z9, Z10, Z11)

#define LAST4(at, W0, W1, W2, W3, K) \
	LAST3(at, W0, W1, W2, W3, K); \
	VMOVUPS.Z at(R8)(R13*1), K, Z24; \
	FMASMASKED(Z24, W0, W1, W2, W3, K, Z12, Z13, Z14, Z15)

// JOIN adds the lanes of four accumulators pairwise, l[i]+l[i+8], then +4, +2, +1,
// and stores or adds the four outputs at AX, which moves on to the next row of y.
#define JOIN(A0, A1, A2, A3) \
	VSHUFF64X2 $0xee, A1, A0, Z16; \
	VSHUFF64X2 $0x44, A1, A0, A0; \
	VADDPS Z16, A0, A0; \
	VSHUFF64X2 $0xee, A3, A2, Z16; \
	VSHUFF64X2 $0x44, A3, A2, A2; \
	VADDPS Z16, A2, A2; \
	VSHUFF64X2 $0xdd, A2, A0, Z16; \
	VSHUFF64X2 $0x88, A2, A0, A0; \
	VADDPS Z16, A0, A0; \
	VPERMILPS $0xee, A0, Z16; \
	VADDPS Z16, A0, A0; \
	VPERMILPS $0x55, A0, Z16; \
	VADDPS Z16, A0, A0; \
	VBROADCASTI32X4 firsts<>(SB), Z17; \
	VPERMPS A0, Z17, Z16; \
	VADDPS (AX), X16, K4, X16; \
	VMOVUPS X16, (AX); \
	ADDQ ldy+8(FP), AX

#define JOIN1 MOVQ DX, AX; JOIN(Z0, Z1, Z2, Z3)
#define JOIN2 JOIN1; JOIN(Z4, Z5, Z6, Z7)
#define JOIN3 JOIN2; JOIN(Z8, Z9, Z10, Z11)
#define JOIN4 JOIN3; JOIN(Z12, Z13, Z14, Z15)

DATA firsts<>+0x00(SB)/8, $0x0000000400000000 // the first number of each quarter
DATA firsts<>+0x08(SB)/8, $0x0000000c00000008
GLOBL firsts<>(SB), RODATA|NOPTR, $0x10

// ADDMASK sets K4 to the four outputs if the mode says that they are added to y.
#define ADDMASK(mode) \
	MOVQ mode, CX; \
	SHRQ $1, CX; \
	ANDQ $1, CX; \
	NEGQ CX; \
	KMOVW CX, K4
