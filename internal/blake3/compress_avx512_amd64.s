//go:build !noasm

#include "textflag.h"

// The first words of the state, which are those of SHA-256.
DATA ·iv+0x00(SB)/4, $0x6a09e667
DATA ·iv+0x04(SB)/4, $0xbb67ae85
DATA ·iv+0x08(SB)/4, $0x3c6ef372
DATA ·iv+0x0c(SB)/4, $0xa54ff53a
DATA ·iv+0x10(SB)/4, $0x510e527f
DATA ·iv+0x14(SB)/4, $0x9b05688c
DATA ·iv+0x18(SB)/4, $0x1f83d9ab
DATA ·iv+0x1c(SB)/4, $0x5be0cd19
GLOBL ·iv(SB), RODATA|NOPTR, $32

DATA ·lane+0x00(SB)/8, $0x0000000100000000
DATA ·lane+0x08(SB)/8, $0x0000000300000002
DATA ·lane+0x10(SB)/8, $0x0000000500000004
DATA ·lane+0x18(SB)/8, $0x0000000700000006
DATA ·lane+0x20(SB)/8, $0x0000000900000008
DATA ·lane+0x28(SB)/8, $0x0000000b0000000a
DATA ·lane+0x30(SB)/8, $0x0000000d0000000c
DATA ·lane+0x38(SB)/8, $0x0000000f0000000e
GLOBL ·lane(SB), RODATA|NOPTR, $64

// ROWS loads 16 bytes of four lanes, 4 apart, from a place in the block; row is the
// first of them.
#define ROWS(at, row, z) \
	VBROADCASTI32X4 at(SI)(row), z; \
	VINSERTI32X4 $1, at(R10)(row), z, z; \
	VINSERTI32X4 $2, at(R11)(row), z, z; \
	VINSERTI32X4 $3, at(R12)(row), z, z

// TURN transposes 4×4 words in each 128 bits of a, b, c, d, by way of Z12 to Z15.
#define TURN(a, b, c, d, w0, w1, w2, w3) \
	VPUNPCKLDQ b, a, Z12; \
	VPUNPCKHDQ b, a, Z13; \
	VPUNPCKLDQ d, c, Z14; \
	VPUNPCKHDQ d, c, Z15; \
	VPUNPCKLQDQ Z14, Z12, w0; \
	VPUNPCKHQDQ Z14, Z12, w1; \
	VPUNPCKLQDQ Z15, Z13, w2; \
	VPUNPCKHQDQ Z15, Z13, w3

// WORDS loads four words of a block, a register for each, lanes in order.
#define WORDS(at, w0, w1, w2, w3) \
	ROWS(at, AX*1, Z8); \
	ROWS(at, R8*1, Z9); \
	ROWS(at, R8*2, Z10); \
	ROWS(at, R9*1, Z11); \
	TURN(Z8, Z9, Z10, Z11, w0, w1, w2, w3)

// FETCH asks for the same block of the next 16 lanes, which is taken up when the rest
// of these has been compressed. Into the second level: 16 lanes of chunks and the next
// 16 would be all that the first one holds. Beyond the end of the input it does nothing.
#define FETCH \
	LEAQ (R12)(R8*4), DI; \
	FETCH4; \
	LEAQ (DI)(R8*4), DI; \
	FETCH4; \
	LEAQ (DI)(R8*4), DI; \
	FETCH4; \
	LEAQ (DI)(R8*4), DI; \
	FETCH4

#define FETCH4 \
	PREFETCHT1 (DI); \
	PREFETCHT1 (DI)(R8*1); \
	PREFETCHT1 (DI)(R8*2); \
	PREFETCHT1 (DI)(R9*1)

#define ADD(x0, x1, x2, x3, y0, y1, y2, y3) \
	VPADDD y0, x0, x0; \
	VPADDD y1, x1, x1; \
	VPADDD y2, x2, x2; \
	VPADDD y3, x3, x3

#define XOR(x0, x1, x2, x3, y0, y1, y2, y3) \
	VPXORD y0, x0, x0; \
	VPXORD y1, x1, x1; \
	VPXORD y2, x2, x2; \
	VPXORD y3, x3, x3

#define ROTATE(n, x0, x1, x2, x3) \
	VPRORD $n, x0, x0; \
	VPRORD $n, x1, x1; \
	VPRORD $n, x2, x2; \
	VPRORD $n, x3, x3

// MIX is the function G of four columns, or diagonals, side by side; x and y are
// its message words.
#define MIX(b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, x1, x2, x3, y0, y1, y2, y3) \
	ADD(Z0, Z1, Z2, Z3, x0, x1, x2, x3); \
	ADD(Z0, Z1, Z2, Z3, b0, b1, b2, b3); \
	XOR(d0, d1, d2, d3, Z0, Z1, Z2, Z3); \
	ROTATE(16, d0, d1, d2, d3); \
	ADD(c0, c1, c2, c3, d0, d1, d2, d3); \
	XOR(b0, b1, b2, b3, c0, c1, c2, c3); \
	ROTATE(12, b0, b1, b2, b3); \
	ADD(Z0, Z1, Z2, Z3, y0, y1, y2, y3); \
	ADD(Z0, Z1, Z2, Z3, b0, b1, b2, b3); \
	XOR(d0, d1, d2, d3, Z0, Z1, Z2, Z3); \
	ROTATE(8, d0, d1, d2, d3); \
	ADD(c0, c1, c2, c3, d0, d1, d2, d3); \
	XOR(b0, b1, b2, b3, c0, c1, c2, c3); \
	ROTATE(7, b0, b1, b2, b3)

#define ROUND(m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15) \
	MIX(Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, m0, m2, m4, m6, m1, m3, m5, m7); \
	MIX(Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14, m8, m10, m12, m14, m9, m11, m13, m15)

// STORE writes 16 bytes of each of four lanes, 4 apart.
#define STORE(z, at) \
	VEXTRACTI32X4 $0, z, at(DI); \
	VEXTRACTI32X4 $1, z, (at+128)(DI); \
	VEXTRACTI32X4 $2, z, (at+256)(DI); \
	VEXTRACTI32X4 $3, z, (at+384)(DI)

// Registers: Z0 to Z7 the chaining value; CX blocks left; SI, R10, R11, R12 the block
// of lanes 0, 4, 8, 12; R8 the stride, R9 three times the stride, AX 0; counters the low
// halves of the counters, DX the high half; BX the length of the block, DI its flags,
// R13 those of every block.
//
// func compress16(out *[lanes]value, in *byte, stride, blocks uintptr, counter uint64, step, flags, start, end, last uint32)
TEXT ·compress16(SB), NOSPLIT, $64-60
	MOVQ in+8(FP), SI
	MOVQ stride+16(FP), R8
	MOVQ blocks+24(FP), CX
	MOVQ counter+32(FP), DX
	MOVL step+40(FP), BX
	MOVL flags+44(FP), R13
	XORL AX, AX
	LEAQ (R8)(R8*2), R9
	LEAQ (SI)(R8*4), R10
	LEAQ (SI)(R8*8), R11
	LEAQ (R10)(R8*8), R12
	VPBROADCASTD BX, Z8
	VPMULLD ·lane(SB), Z8, Z8
	VPBROADCASTD DX, Z9
	VPADDD Z9, Z8, Z8
	VMOVDQU32 Z8, counters-64(SP)
	SHRQ $32, DX

	VPBROADCASTD ·iv+0(SB), Z0
	VPBROADCASTD ·iv+4(SB), Z1
	VPBROADCASTD ·iv+8(SB), Z2
	VPBROADCASTD ·iv+12(SB), Z3
	VPBROADCASTD ·iv+16(SB), Z4
	VPBROADCASTD ·iv+20(SB), Z5
	VPBROADCASTD ·iv+24(SB), Z6
	VPBROADCASTD ·iv+28(SB), Z7
	MOVL $64, BX
	MOVL R13, DI
	ORL start+48(FP), DI

block:
	CMPQ CX, $1
	JNE middle
	ORL end+52(FP), DI
	MOVL last+56(FP), BX

middle:
	WORDS(0, Z16, Z17, Z18, Z19)
	WORDS(16, Z20, Z21, Z22, Z23)
	WORDS(32, Z24, Z25, Z26, Z27)
	WORDS(48, Z28, Z29, Z30, Z31)
	VPBROADCASTD ·iv+0(SB), Z8
	VPBROADCASTD ·iv+4(SB), Z9
	VPBROADCASTD ·iv+8(SB), Z10
	VPBROADCASTD ·iv+12(SB), Z11
	VMOVDQU32 counters-64(SP), Z12
	VPBROADCASTD DX, Z13
	VPBROADCASTD BX, Z14
	VPBROADCASTD DI, Z15
	FETCH
	ROUND(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)
	ROUND(Z18, Z22, Z19, Z26, Z23, Z16, Z20, Z29, Z17, Z27, Z28, Z21, Z25, Z30, Z31, Z24)
	ROUND(Z19, Z20, Z26, Z28, Z29, Z18, Z23, Z30, Z22, Z21, Z25, Z16, Z27, Z31, Z24, Z17)
	ROUND(Z26, Z23, Z28, Z25, Z30, Z19, Z29, Z31, Z20, Z16, Z27, Z18, Z21, Z24, Z17, Z22)
	ROUND(Z28, Z29, Z25, Z27, Z31, Z26, Z30, Z24, Z23, Z18, Z21, Z19, Z16, Z17, Z22, Z20)
	ROUND(Z25, Z30, Z27, Z21, Z24, Z28, Z31, Z17, Z29, Z19, Z16, Z26, Z18, Z22, Z20, Z23)
	ROUND(Z27, Z31, Z21, Z16, Z17, Z25, Z24, Z22, Z30, Z26, Z18, Z28, Z19, Z20, Z23, Z29)
	XOR(Z0, Z1, Z2, Z3, Z8, Z9, Z10, Z11)
	XOR(Z4, Z5, Z6, Z7, Z12, Z13, Z14, Z15)
	ADDQ $64, SI
	ADDQ $64, R10
	ADDQ $64, R11
	ADDQ $64, R12
	MOVL R13, DI
	DECQ CX
	JNZ block

	MOVQ out+0(FP), DI
	TURN(Z0, Z1, Z2, Z3, Z8, Z9, Z10, Z11)
	STORE(Z8, 0)
	STORE(Z9, 32)
	STORE(Z10, 64)
	STORE(Z11, 96)
	TURN(Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11)
	STORE(Z8, 16)
	STORE(Z9, 48)
	STORE(Z10, 80)
	STORE(Z11, 112)
	VZEROUPPER
	RET
