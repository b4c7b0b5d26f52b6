//go:build !noasm

#include "textflag.h"

// The numbers of E2M1, −0 among them.
DATA ·e2m1Values+0x00(SB)/8, $0x3f00000000000000
DATA ·e2m1Values+0x08(SB)/8, $0x3fc000003f800000
DATA ·e2m1Values+0x10(SB)/8, $0x4040000040000000
DATA ·e2m1Values+0x18(SB)/8, $0x40c0000040800000
DATA ·e2m1Values+0x20(SB)/8, $0xbf00000080000000
DATA ·e2m1Values+0x28(SB)/8, $0xbfc00000bf800000
DATA ·e2m1Values+0x30(SB)/8, $0xc0400000c0000000
DATA ·e2m1Values+0x38(SB)/8, $0xc0c00000c0800000
GLOBL ·e2m1Values(SB), RODATA|NOPTR, $64

// The integers that the codes 0…15 stand for.
DATA ·int4Values+0x00(SB)/8, $0xc0e00000c1000000
DATA ·int4Values+0x08(SB)/8, $0xc0a00000c0c00000
DATA ·int4Values+0x10(SB)/8, $0xc0400000c0800000
DATA ·int4Values+0x18(SB)/8, $0xbf800000c0000000
DATA ·int4Values+0x20(SB)/8, $0x3f80000000000000
DATA ·int4Values+0x28(SB)/8, $0x4040000040000000
DATA ·int4Values+0x30(SB)/8, $0x40a0000040800000
DATA ·int4Values+0x38(SB)/8, $0x40e0000040c00000
GLOBL ·int4Values(SB), RODATA|NOPTR, $64

// How far the nibbles of two dwords are shifted to reach their low bits.
DATA ·nibbleShifts512+0x00(SB)/8, $0x0000000400000000
DATA ·nibbleShifts512+0x08(SB)/8, $0x0000000c00000008
DATA ·nibbleShifts512+0x10(SB)/8, $0x0000001400000010
DATA ·nibbleShifts512+0x18(SB)/8, $0x0000001c00000018
DATA ·nibbleShifts512+0x20(SB)/8, $0x0000000400000000
DATA ·nibbleShifts512+0x28(SB)/8, $0x0000000c00000008
DATA ·nibbleShifts512+0x30(SB)/8, $0x0000001400000010
DATA ·nibbleShifts512+0x38(SB)/8, $0x0000001c00000018
GLOBL ·nibbleShifts512(SB), RODATA|NOPTR, $64

// The first of two dwords eight times, then the second.
DATA ·halves+0x00(SB)/8, $0x0000000000000000
DATA ·halves+0x08(SB)/8, $0x0000000000000000
DATA ·halves+0x10(SB)/8, $0x0000000000000000
DATA ·halves+0x18(SB)/8, $0x0000000000000000
DATA ·halves+0x20(SB)/8, $0x0000000100000001
DATA ·halves+0x28(SB)/8, $0x0000000100000001
DATA ·halves+0x30(SB)/8, $0x0000000100000001
DATA ·halves+0x38(SB)/8, $0x0000000100000001
GLOBL ·halves(SB), RODATA|NOPTR, $64
