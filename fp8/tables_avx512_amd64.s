//go:build !noasm

#include "textflag.h"

DATA ·consts512+0x00(SB)/4, $0x7fffffff // magnitude of a float32
DATA ·consts512+0x04(SB)/4, $0x7f800000 // exponent of a float32
DATA ·consts512+0x08(SB)/4, $0x3c800000 // 2⁻⁶
DATA ·consts512+0x0c(SB)/4, $0x4980fc38 // 2²⁰+8071
DATA ·consts512+0x10(SB)/4, $0x0000ffff
DATA ·consts512+0x14(SB)/4, $0x00010010 // words 16, 1
DATA ·consts512+0x18(SB)/4, $0x07070707
DATA ·consts512+0x1c(SB)/4, $0x80808080
DATA ·consts512+0x20(SB)/4, $0x43e00000 // 448
DATA ·consts512+0x24(SB)/4, $0x7fff7fff // magnitudes of BF16
DATA ·consts512+0x28(SB)/4, $0x43e80000 // 464
DATA ·consts512+0x2c(SB)/4, $0x3f800000 // 1
GLOBL ·consts512(SB), RODATA|NOPTR, $0x30

// Order in which the qwords of 32 words are loaded, as bytes: 16 columns to the
// low halves of the 128-bit lanes, 16 to the high halves.
DATA ·wordOrder+0x00(SB)/8, $0x0703060205010400
GLOBL ·wordOrder(SB), RODATA|NOPTR, $8

// Order in which the dwords of 64 packed codes are stored: a 4×4 transposition.
DATA ·codeOrder+0x00(SB)/8, $0x0000000400000000
DATA ·codeOrder+0x08(SB)/8, $0x0000000c00000008
DATA ·codeOrder+0x10(SB)/8, $0x0000000500000001
DATA ·codeOrder+0x18(SB)/8, $0x0000000d00000009
DATA ·codeOrder+0x20(SB)/8, $0x0000000600000002
DATA ·codeOrder+0x28(SB)/8, $0x0000000e0000000a
DATA ·codeOrder+0x30(SB)/8, $0x0000000700000003
DATA ·codeOrder+0x38(SB)/8, $0x0000000f0000000b
GLOBL ·codeOrder(SB), RODATA|NOPTR, $64
