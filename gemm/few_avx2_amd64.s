//go:build !noasm

#include "textflag.h"
#include "codes_avx2_amd64.h"

// The kernels take groups of four weight rows and one row of x. Weight row r has
// the lanes 0…7 in Y(2r), 8…15 in Y(2r+1).
//
// Registers:
//	SI  weights, of row 0 of the group       R8  x
//	DI  where the group begins               R9  where x begins
//	R10, R11  1× and 3× the weight stride    DX  y
//	CX  counts steps

#define BEGIN \
	MOVQ y+0(FP), DX; \
	MOVQ x+16(FP), R9; \
	MOVQ w+40(FP), DI; \
	MOVQ stride+48(FP), R10; \
	LEAQ (R10)(R10*2), R11

#define GROUP \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7; \
	MOVQ DI, SI; \
	MOVQ R9, R8

// JOIN2 adds the lanes of two rows pairwise, l[i]+l[i+8], then +4, +2, +1, and
// leaves the sums at the beginning of the halves of LO0.
#define JOIN2(LO0, HI0, LO1, HI1) \
	VADDPS HI0, LO0, LO0; \
	VADDPS HI1, LO1, LO1; \
	VPERM2F128 $0x31, LO1, LO0, HI0; \
	VPERM2F128 $0x20, LO1, LO0, LO0; \
	VADDPS HI0, LO0, LO0; \
	VPERMILPS $0xee, LO0, HI0; \
	VADDPS HI0, LO0, LO0; \
	VPERMILPS $0x55, LO0, HI0; \
	VADDPS HI0, LO0, LO0

// JOIN stores or adds the four sums and goes on to the next group.
#define JOIN(mode, store, group) \
	JOIN2(Y0, Y1, Y2, Y3); \
	JOIN2(Y4, Y5, Y6, Y7); \
	VUNPCKLPS Y4, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VUNPCKLPS X1, X0, X0; \
	TESTQ $2, mode; \
	JZ store; \
	VADDPS (DX), X0, X0; \
store: \
	VMOVUPS X0, (DX); \
	ADDQ $16, DX; \
	LEAQ (DI)(R10*4), DI; \
	DECQ groups+64(FP); \
	JNZ group; \
	VZEROUPPER; \
	RET

#define MULF32(at, at32, LO, HI) \
	VFMADD231PS at, Y8, LO; \
	VFMADD231PS at32, Y9, HI

#define MULBF16(at, at16, LO, HI) \
	VPMOVZXWD at, Y10; \
	VPMOVZXWD at16, Y11; \
	VPSLLD $16, Y10, Y10; \
	VPSLLD $16, Y11, Y11; \
	VFMADD231PS Y10, Y8, LO; \
	VFMADD231PS Y11, Y9, HI

#define MULF16(at, at16, LO, HI) \
	VCVTPH2PS at, Y10; \
	VCVTPH2PS at16, Y11; \
	VFMADD231PS Y10, Y8, LO; \
	VFMADD231PS Y11, Y9, HI

// LOOP does the steps of 16 inputs; half are the bytes of 8 weights.
#define LOOP(MUL, half, step, done) \
	MOVQ k+56(FP), CX; \
	SHRQ $4, CX; \
	JZ done; \
step: \
	VMOVUPS (R8), Y8; \
	VMOVUPS 32(R8), Y9; \
	MUL((SI), half(SI), Y0, Y1); \
	MUL((SI)(R10*1), half(SI)(R10*1), Y2, Y3); \
	MUL((SI)(R10*2), half(SI)(R10*2), Y4, Y5); \
	MUL((SI)(R11*1), half(SI)(R11*1), Y6, Y7); \
	ADDQ $(2*half), SI; \
	ADDQ $64, R8; \
	DECQ CX; \
	JNZ step

// LASTLANES adds the products of the lanes in the masks Y12 and Y13 only.
#define LASTLANES(at, at32, LO, HI) \
	VMASKMOVPS at, Y12, Y10; \
	VMASKMOVPS at32, Y13, Y11; \
	VFMADD213PS LO, Y8, Y10; \
	VFMADD213PS HI, Y9, Y11; \
	VBLENDVPS Y12, Y10, LO, LO; \
	VBLENDVPS Y13, Y11, HI, HI

DATA lanes256<>+0x00(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x08(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x10(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x18(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x20(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x28(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x30(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x38(SB)/8, $0xffffffffffffffff
DATA lanes256<>+0x40(SB)/8, $0
DATA lanes256<>+0x48(SB)/8, $0
DATA lanes256<>+0x50(SB)/8, $0
DATA lanes256<>+0x58(SB)/8, $0
DATA lanes256<>+0x60(SB)/8, $0
DATA lanes256<>+0x68(SB)/8, $0
DATA lanes256<>+0x70(SB)/8, $0
DATA lanes256<>+0x78(SB)/8, $0
GLOBL lanes256<>(SB), RODATA|NOPTR, $0x80

#define SCALE(at, n) \
	VBROADCASTSS at, Y10; \
	VMULPS Y11, Y10, Y10; \
	VMOVUPS Y10, n*32(SP)

#define MULCODES(at, n, LO, HI) \
	CODES(at, n*32(SP), Y10, Y11, X10, X11); \
	VFMADD231PS Y10, Y8, LO; \
	VFMADD231PS Y11, Y9, HI

DATA pow8<>+0x00(SB)/4, $0x43800000 // 256
GLOBL pow8<>(SB), RODATA|NOPTR, $0x04

// func fewF32AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)
TEXT ·fewF32AVX2(SB), NOSPLIT, $0-80
	BEGIN
	MOVQ k+56(FP), CX // the masks: the last k mod 16 of 16 ones, and zeros
	ANDQ $15, CX
	LEAQ lanes256<>+0x40(SB), AX
	SHLQ $2, CX
	SUBQ CX, AX
	VMOVUPS (AX), Y12
	VMOVUPS 32(AX), Y13

group:
	GROUP
	LOOP(MULF32, 32, step, last)

last:
	TESTQ $15, k+56(FP)
	JZ    join
	VMASKMOVPS (R8), Y12, Y8
	VMASKMOVPS 32(R8), Y13, Y9
	LASTLANES((SI), 32(SI), Y0, Y1)
	LASTLANES((SI)(R10*1), 32(SI)(R10*1), Y2, Y3)
	LASTLANES((SI)(R10*2), 32(SI)(R10*2), Y4, Y5)
	LASTLANES((SI)(R11*1), 32(SI)(R11*1), Y6, Y7)

join:
	JOIN(m+72(FP), store, group)

// func fewF16AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)
TEXT ·fewF16AVX2(SB), NOSPLIT, $0-80
	BEGIN

group:
	GROUP
	LOOP(MULF16, 16, step, join)

join:
	JOIN(m+72(FP), store, group)

// func fewBF16AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, m mode)
TEXT ·fewBF16AVX2(SB), NOSPLIT, $0-80
	BEGIN

group:
	GROUP
	LOOP(MULBF16, 16, step, join)

join:
	JOIN(m+72(FP), store, group)

// func fewE4M3AVX2(y *float32, ldy uintptr, x *float32, ldx uintptr, rows int, w *byte, stride uintptr, k, groups int, scales *float32, scaleStep uintptr, tile int, m mode)
//
// A scale holds for tile codes, a multiple of 16, of a row; the scales of the next
// row begin scaleStep bytes further. BX is at the scale of row 0 of the group and
// the tile, R15 counts the inputs that are left. The scales are kept in the frame.
TEXT ·fewE4M3AVX2(SB), NOSPLIT, $128-104
	BEGIN
	CODESBEGIN

group:
	GROUP
	MOVQ scales+72(FP), BX
	MOVQ k+56(FP), R15

tile:
	MOVQ scaleStep+80(FP), AX
	LEAQ (AX)(AX*2), CX
	VBROADCASTSS pow8<>(SB), Y11
	SCALE((BX), 0)
	SCALE((BX)(AX*1), 1)
	SCALE((BX)(AX*2), 2)
	SCALE((BX)(CX*1), 3)
	ADDQ $4, BX
	MOVQ tile+88(FP), CX
	CMPQ CX, R15
	CMOVQGT R15, CX
	SUBQ CX, R15
	SHRQ $4, CX
	JZ   join

step:
	VMOVUPS (R8), Y8
	VMOVUPS 32(R8), Y9
	MULCODES((SI), 0, Y0, Y1)
	MULCODES((SI)(R10*1), 1, Y2, Y3)
	MULCODES((SI)(R10*2), 2, Y4, Y5)
	MULCODES((SI)(R11*1), 3, Y6, Y7)
	ADDQ $16, SI
	ADDQ $64, R8
	DECQ CX
	JNZ  step
	TESTQ R15, R15
	JNZ  tile

join:
	MOVQ scaleStep+80(FP), AX
	SHLQ $2, AX
	ADDQ AX, scales+72(FP)
	JOIN(m+96(FP), store, group)
