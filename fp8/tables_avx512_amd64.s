//go:build !noasm

#include "textflag.h"

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
