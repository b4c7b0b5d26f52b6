//go:build !noasm

#include "textflag.h"

// How far the nibbles of a dword are shifted to reach its low bits.
DATA ·nibbleShifts+0x00(SB)/8, $0x0000000400000000
DATA ·nibbleShifts+0x08(SB)/8, $0x0000000c00000008
DATA ·nibbleShifts+0x10(SB)/8, $0x0000001400000010
DATA ·nibbleShifts+0x18(SB)/8, $0x0000001c00000018
GLOBL ·nibbleShifts(SB), RODATA|NOPTR, $32

// The magnitudes of E2M1.
DATA ·e2m1Magnitudes+0x00(SB)/8, $0x3f00000000000000
DATA ·e2m1Magnitudes+0x08(SB)/8, $0x3fc000003f800000
DATA ·e2m1Magnitudes+0x10(SB)/8, $0x4040000040000000
DATA ·e2m1Magnitudes+0x18(SB)/8, $0x40c0000040800000
GLOBL ·e2m1Magnitudes(SB), RODATA|NOPTR, $32

// Order of the dwords of 32 packed codes.
DATA ·codeOrder256+0x00(SB)/8, $0x0000000400000000
DATA ·codeOrder256+0x08(SB)/8, $0x0000000500000001
DATA ·codeOrder256+0x10(SB)/8, $0x0000000600000002
DATA ·codeOrder256+0x18(SB)/8, $0x0000000700000003
GLOBL ·codeOrder256(SB), RODATA|NOPTR, $32
