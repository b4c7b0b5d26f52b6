//go:build !noasm

#include "textflag.h"
#include "fetch_amd64.h"
#include "kernel_avx512_amd64.h"

#define FETCHSKIP skip+88(FP)
#define FETCHLINES lines+96(FP)
#define FETCHROWS fetchRows+104(FP)

// The assembler does not know the instructions of AVX512_BF16.

// PAIR multiplies a pair of BF16 numbers of A with 32 pairs of the panel:
//	VDPBF16PS Z24, z, Z(2r)
//	VDPBF16PS Z25, z, Z(2r+1)
// where row is 0x92, 0x12 or 0x82 for r < 4, < 8 or < 12, the other bytes follow
// from r mod 4, and z is Z26+r mod 4.
#define PAIR(at, z, row, src, lo, hi) \
	VPBROADCASTD at, z; \
	BYTE $0x62; BYTE $row; BYTE $src; BYTE $0x40; BYTE $0x52; BYTE $lo; \
	BYTE $0x62; BYTE $row; BYTE $src; BYTE $0x40; BYTE $0x52; BYTE $hi

#define PAIR0(at, row) PAIR(at, Z26, row, 0x2e, 0xc0, 0xc9)
#define PAIR1(at, row) PAIR(at, Z27, row, 0x26, 0xd0, 0xd9)
#define PAIR2(at, row) PAIR(at, Z28, row, 0x1e, 0xe0, 0xe9)
#define PAIR3(at, row) PAIR(at, Z29, row, 0x16, 0xf0, 0xf9)

#define ROWS1 PAIR0((SI), 0x92)
#define ROWS2 ROWS1; PAIR1((SI)(R10*1), 0x92)
#define ROWS3 ROWS2; PAIR2((SI)(R10*2), 0x92)
#define ROWS4 ROWS3; PAIR3((SI)(R11*1), 0x92)
#define ROWS5 ROWS4; PAIR0((R8), 0x12)
#define ROWS6 ROWS5; PAIR1((R8)(R10*1), 0x12)
#define ROWS7 ROWS6; PAIR2((R8)(R10*2), 0x12)
#define ROWS8 ROWS7; PAIR3((R8)(R11*1), 0x12)
#define ROWS9 ROWS8; PAIR0((R9), 0x82)
#define ROWS10 ROWS9; PAIR1((R9)(R10*1), 0x82)
#define ROWS11 ROWS10; PAIR2((R9)(R10*2), 0x82)
#define ROWS12 ROWS11; PAIR3((R9)(R11*1), 0x82)

// VCVTNE2PS2BF16 Z0, Z1, Z0: Z0 rounded in the lower half, Z1 in the upper one
#define ROUND01 BYTE $0x62; BYTE $0xf2; BYTE $0x77; BYTE $0x48; BYTE $0x72; BYTE $0xc0

// VCVTNE2PS2BF16 Z2, Z3, Z2
#define ROUND23 BYTE $0x62; BYTE $0xf2; BYTE $0x67; BYTE $0x48; BYTE $0x72; BYTE $0xd2

DATA halves512<>+0x00(SB)/8, $0x1303120211011000 // words 0, 16, 1, 17, …
DATA halves512<>+0x08(SB)/8, $0x1707160615051404
DATA halves512<>+0x10(SB)/8, $0x1b0b1a0a19091808
DATA halves512<>+0x18(SB)/8, $0x1f0f1e0e1d0d1c0c
GLOBL halves512<>(SB), RODATA|NOPTR, $0x20

// func dotAVX512(c *float32, ldc uintptr, a *float32, lda uintptr, b *float32, ldb uintptr, k int, mask uint32, rows int, m mode, fetch *byte, skip uintptr, lines, fetchRows int)
//
// A number of a and b is a pair of BF16 numbers.
TEXT ·dotAVX512(SB), NOSPLIT, $0-112
	BEGIN
	LOOPS

finish:
	END

// func roundRowAVX512(dst, src *float32, k int)
//
// Rounds k numbers to BF16, with a zero behind them if k is odd.
TEXT ·roundRowAVX512(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ k+16(FP), CX

loop:
	CMPQ CX, $32
	JLT  tail
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	ROUND01
	VMOVUPS Z0, (DI)
	ADDQ $128, SI
	ADDQ $64, DI
	SUBQ $32, CX
	JMP  loop

tail:
	TESTQ CX, CX
	JZ    done
	MOVL  $1, AX
	SHLQ  CX, AX
	DECL  AX
	KMOVW AX, K1
	SHRL  $16, AX
	KMOVW AX, K2
	VMOVUPS.Z (SI), K1, Z0
	VMOVUPS.Z 64(SI), K2, Z1
	ROUND01
	INCL CX
	SHRL $1, CX
	MOVL $1, AX
	SHLL CX, AX
	DECL AX
	KMOVW AX, K1
	VMOVDQU32 Z0, K1, (DI)

done:
	VZEROUPPER
	RET

// func pairPanelAVX512(panel *float32, pairs int)
//
// Rounds two rows of a panel at a time to one row of pairs, in place.
TEXT ·pairPanelAVX512(SB), NOSPLIT, $0-16
	MOVQ panel+0(FP), DI
	MOVQ pairs+8(FP), CX
	MOVQ DI, SI
	VPMOVZXBW halves512<>(SB), Z31

loop:
	VMOVUPS (SI), Z0
	VMOVUPS 128(SI), Z1
	VMOVUPS 64(SI), Z2
	VMOVUPS 192(SI), Z3
	ROUND01
	ROUND23
	VPERMW Z0, Z31, Z0
	VPERMW Z2, Z31, Z2
	VMOVUPS Z0, (DI)
	VMOVUPS Z2, 64(DI)
	ADDQ $256, SI
	ADDQ $128, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET
