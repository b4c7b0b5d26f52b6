//go:build !noasm

#include "textflag.h"

// Full registers, because AVX2 has no broadcasting operands.
DATA ·consts256+0x000(SB)/8, $0x7fff7fff7fff7fff // magnitudes of BF16
DATA ·consts256+0x008(SB)/8, $0x7fff7fff7fff7fff
DATA ·consts256+0x010(SB)/8, $0x7fff7fff7fff7fff
DATA ·consts256+0x018(SB)/8, $0x7fff7fff7fff7fff
DATA ·consts256+0x020(SB)/8, $0x7fffffff7fffffff // magnitude of a float32
DATA ·consts256+0x028(SB)/8, $0x7fffffff7fffffff
DATA ·consts256+0x030(SB)/8, $0x7fffffff7fffffff
DATA ·consts256+0x038(SB)/8, $0x7fffffff7fffffff
DATA ·consts256+0x040(SB)/8, $0x7f8000007f800000 // exponent of a float32
DATA ·consts256+0x048(SB)/8, $0x7f8000007f800000
DATA ·consts256+0x050(SB)/8, $0x7f8000007f800000
DATA ·consts256+0x058(SB)/8, $0x7f8000007f800000
DATA ·consts256+0x060(SB)/8, $0x3c8000003c800000 // 2⁻⁶
DATA ·consts256+0x068(SB)/8, $0x3c8000003c800000
DATA ·consts256+0x070(SB)/8, $0x3c8000003c800000
DATA ·consts256+0x078(SB)/8, $0x3c8000003c800000
DATA ·consts256+0x080(SB)/8, $0x4680000046800000 // 2¹⁴
DATA ·consts256+0x088(SB)/8, $0x4680000046800000
DATA ·consts256+0x090(SB)/8, $0x4680000046800000
DATA ·consts256+0x098(SB)/8, $0x4680000046800000
DATA ·consts256+0x0a0(SB)/8, $0x0001001000010010 // words 16, 1
DATA ·consts256+0x0a8(SB)/8, $0x0001001000010010
DATA ·consts256+0x0b0(SB)/8, $0x0001001000010010
DATA ·consts256+0x0b8(SB)/8, $0x0001001000010010
DATA ·consts256+0x0c0(SB)/8, $0x0808080808080808 // bytes 8
DATA ·consts256+0x0c8(SB)/8, $0x0808080808080808
DATA ·consts256+0x0d0(SB)/8, $0x0808080808080808
DATA ·consts256+0x0d8(SB)/8, $0x0808080808080808
DATA ·consts256+0x0e0(SB)/8, $0x8080808080808080 // signs of codes
DATA ·consts256+0x0e8(SB)/8, $0x8080808080808080
DATA ·consts256+0x0f0(SB)/8, $0x8080808080808080
DATA ·consts256+0x0f8(SB)/8, $0x8080808080808080
DATA ·consts256+0x100(SB)/8, $0x43e0000043e00000 // 448
DATA ·consts256+0x108(SB)/8, $0x43e0000043e00000
DATA ·consts256+0x110(SB)/8, $0x43e0000043e00000
DATA ·consts256+0x118(SB)/8, $0x43e0000043e00000
DATA ·consts256+0x120(SB)/8, $0x43e8000043e80000 // 464
DATA ·consts256+0x128(SB)/8, $0x43e8000043e80000
DATA ·consts256+0x130(SB)/8, $0x43e8000043e80000
DATA ·consts256+0x138(SB)/8, $0x43e8000043e80000
DATA ·consts256+0x140(SB)/8, $0xbfffbfffbfffbfff // all but the bit that sign extension leaves below the sign
DATA ·consts256+0x148(SB)/8, $0xbfffbfffbfffbfff
DATA ·consts256+0x150(SB)/8, $0xbfffbfffbfffbfff
DATA ·consts256+0x158(SB)/8, $0xbfffbfffbfffbfff
DATA ·consts256+0x160(SB)/8, $0x4380000043800000 // 256
DATA ·consts256+0x168(SB)/8, $0x4380000043800000
DATA ·consts256+0x170(SB)/8, $0x4380000043800000
DATA ·consts256+0x178(SB)/8, $0x4380000043800000
DATA ·consts256+0x180(SB)/8, $0x43f0000043f00000 // 480, which NaN codes decode to
DATA ·consts256+0x188(SB)/8, $0x43f0000043f00000
DATA ·consts256+0x190(SB)/8, $0x43f0000043f00000
DATA ·consts256+0x198(SB)/8, $0x43f0000043f00000
DATA ·consts256+0x1a0(SB)/8, $0x8000000080000000 // sign of a float32
DATA ·consts256+0x1a8(SB)/8, $0x8000000080000000
DATA ·consts256+0x1b0(SB)/8, $0x8000000080000000
DATA ·consts256+0x1b8(SB)/8, $0x8000000080000000
DATA ·consts256+0x1c0(SB)/8, $0x7fc000007fc00000 // NaN
DATA ·consts256+0x1c8(SB)/8, $0x7fc000007fc00000
DATA ·consts256+0x1d0(SB)/8, $0x7fc000007fc00000
DATA ·consts256+0x1d8(SB)/8, $0x7fc000007fc00000
DATA ·consts256+0x1e0(SB)/8, $0x0000000100000001 // 1
DATA ·consts256+0x1e8(SB)/8, $0x0000000100000001
DATA ·consts256+0x1f0(SB)/8, $0x0000000100000001
DATA ·consts256+0x1f8(SB)/8, $0x0000000100000001
DATA ·consts256+0x200(SB)/8, $0x00007fff00007fff
DATA ·consts256+0x208(SB)/8, $0x00007fff00007fff
DATA ·consts256+0x210(SB)/8, $0x00007fff00007fff
DATA ·consts256+0x218(SB)/8, $0x00007fff00007fff
DATA ·consts256+0x220(SB)/8, $0x7f7f7fff7f7f7fff // the largest magnitude that rounds to a finite BF16 number
DATA ·consts256+0x228(SB)/8, $0x7f7f7fff7f7f7fff
DATA ·consts256+0x230(SB)/8, $0x7f7f7fff7f7f7fff
DATA ·consts256+0x238(SB)/8, $0x7f7f7fff7f7f7fff
GLOBL ·consts256(SB), RODATA|NOPTR, $576

// Order in which the dwords of 32 packed codes are stored.
DATA ·codeOrder256+0x00(SB)/8, $0x0000000400000000
DATA ·codeOrder256+0x08(SB)/8, $0x0000000500000001
DATA ·codeOrder256+0x10(SB)/8, $0x0000000600000002
DATA ·codeOrder256+0x18(SB)/8, $0x0000000700000003
GLOBL ·codeOrder256(SB), RODATA|NOPTR, $32
