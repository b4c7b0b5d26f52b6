//go:build !noasm

#include "textflag.h"

// Order in which the dwords of 32 packed codes are stored.
DATA ·codeOrder256+0x00(SB)/8, $0x0000000400000000
DATA ·codeOrder256+0x08(SB)/8, $0x0000000500000001
DATA ·codeOrder256+0x10(SB)/8, $0x0000000600000002
DATA ·codeOrder256+0x18(SB)/8, $0x0000000700000003
GLOBL ·codeOrder256(SB), RODATA|NOPTR, $32
