//go:build !noasm

#include "textflag.h"

DATA ·consts512+0x00(SB)/4, $0x7fffffff // magnitude of a float32
DATA ·consts512+0x04(SB)/4, $0x7f800000 // exponent of a float32
DATA ·consts512+0x08(SB)/4, $0x3f800000 // 1, E2M1's least normal number
DATA ·consts512+0x0c(SB)/4, $0x4a800000 // 2²², where float32 has E2M1's spacing below 2
DATA ·consts512+0x10(SB)/4, $0x00010040 // words 64, 1
DATA ·consts512+0x14(SB)/4, $0x40c00000 // 6
DATA ·consts512+0x18(SB)/4, $0x40e00000 // 7
DATA ·consts512+0x1c(SB)/4, $0x3c800000 // 2⁻⁶, E4M3's least normal number
DATA ·consts512+0x20(SB)/4, $0x46800000 // 2¹⁴, where float32 has E4M3's spacing below 2⁻⁵
DATA ·consts512+0x24(SB)/4, $0x00010010 // words 16, 1
DATA ·consts512+0x28(SB)/4, $0x43e00000 // 448
DATA ·consts512+0x2c(SB)/4, $0x43e80000 // 464
DATA ·consts512+0x30(SB)/4, $0x40f00000 // 7½
DATA ·consts512+0x34(SB)/4, $0xc1080000 // −8½
DATA ·consts512+0x38(SB)/4, $0x40e00000 // 7
DATA ·consts512+0x3c(SB)/4, $0xc1000000 // −8
DATA ·consts512+0x40(SB)/4, $0x10011001 // bytes 1, 16
DATA ·consts512+0x44(SB)/4, $0x00000008 // eight
DATA ·consts512+0x48(SB)/4, $0x00000001 // ones
DATA ·consts512+0x4c(SB)/4, $0x00007fff // almosthalf
DATA ·consts512+0x50(SB)/4, $0xbfffbfff // withoutbit14
DATA ·consts512+0x54(SB)/4, $0x43800000 // 2⁸
DATA ·consts512+0x58(SB)/4, $0x43f00000 // 480
DATA ·consts512+0x5c(SB)/4, $0x7fc00000 // quietnan
DATA ·consts512+0x60(SB)/4, $0x80000000 // sign
DATA ·consts512+0x64(SB)/4, $0x0000ffff // lowwords
DATA ·consts512+0x68(SB)/4, $0x00000007 // sevens
GLOBL ·consts512(SB), RODATA|NOPTR, $0x6c

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
