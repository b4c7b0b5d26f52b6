//go:build !noasm

#include "textflag.h"
#include "avx2_amd64.h"
#include "next_amd64.h"

// The frame of an encoder holds the running sums: Σy² in float 0, Σ(y−q)² in
// float 4; the others are of no use.

// BEGIN sets up an encoder.
#define BEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ dstStride+8(FP), R8; \
	MOVQ src+16(FP), SI; \
	MOVQ srcStride+24(FP), R9; \
	VBROADCASTSS s+32(FP), Y15; \
	VXORPS Y14, Y14, Y14; \
	VMOVUPS Y14, 0(SP); \
	XORL R10, R10; \
	XORL R11, R11; \
	XORL R12, R12; \
	MOVL $128, CX

// ROWBEGIN and ROWEND enclose the work on one row. ROWEND joins the lanes:
// l[i]+l[i+8], then, of both sums at once, +4, +2, +1.
#define ROWBEGIN \
	VXORPS Y10, Y10, Y10; \
	VXORPS Y11, Y11, Y11; \
	VXORPS Y12, Y12, Y12; \
	VXORPS Y13, Y13, Y13

#define ROWEND \
	VADDPS Y11, Y10, Y10; \
	VADDPS Y13, Y12, Y12; \
	VPERM2F128 $0x20, Y12, Y10, Y0; \
	VPERM2F128 $0x31, Y12, Y10, Y1; \
	VADDPS Y1, Y0, Y0; \
	VPERMILPD $0x5, Y0, Y1; \
	VADDPS Y1, Y0, Y0; \
	VMOVSHDUP Y0, Y1; \
	VADDPS Y1, Y0, Y0; \
	VADDPS 0(SP), Y0, Y0; \
	VMOVUPS Y0, 0(SP); \
	ADDQ R9, SI; \
	ADDQ R8, DI; \
	DECL CX

// END stores the sums and counts.
#define END \
	MOVQ out+40(FP), DI; \
	MOVL 0(SP), AX; \
	MOVL 16(SP), BX; \
	MOVL AX, 0(DI); \
	MOVL BX, 4(DI); \
	VEXTRACTF128 $1, Y14, X1; \
	VMAXPS X1, X14, X0; \
	VPERMILPD $1, X0, X1; \
	VMAXPS X1, X0, X0; \
	VMOVSHDUP X0, X1; \
	VMAXSS X1, X0, X0; \
	VMOVSS X0, 8(DI); \
	MOVL R12, 12(DI); \
	MOVL R10, 16(DI); \
	MOVL R11, 20(DI); \
	VZEROUPPER

// func encodeBF16AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeBF16AVX2(SB), NOSPLIT, $32-48
	BEGIN

row:
	ROWBEGIN
	NEXTBF16
	ENCODE32(LOADBF16, ENCODE8, 0)
	ENCODE32(LOADBF16, ENCODE8, 32)
	ENCODE32(LOADBF16, ENCODE8, 64)
	ENCODE32(LOADBF16, ENCODE8, 96)
	ROWEND
	JNZ row
	END
	RET

// func encodeF32AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeF32AVX2(SB), NOSPLIT, $32-48
	BEGIN

row:
	ROWBEGIN
	NEXTF32
	ENCODE32(LOADF32, ENCODE8, 0)
	ENCODE32(LOADF32, ENCODE8, 32)
	ENCODE32(LOADF32, ENCODE8, 64)
	ENCODE32(LOADF32, ENCODE8, 96)
	ROWEND
	JNZ row
	END
	RET

// func encodeBeyondBF16AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeBeyondBF16AVX2(SB), NOSPLIT, $32-48
	BEGIN

row:
	ROWBEGIN
	NEXTBF16
	ENCODE32(LOADBF16, ENCODEBEYOND8, 0)
	ENCODE32(LOADBF16, ENCODEBEYOND8, 32)
	ENCODE32(LOADBF16, ENCODEBEYOND8, 64)
	ENCODE32(LOADBF16, ENCODEBEYOND8, 96)
	ROWEND
	JNZ row
	END
	RET

// func encodeBeyondF32AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeBeyondF32AVX2(SB), NOSPLIT, $32-48
	BEGIN

row:
	ROWBEGIN
	NEXTF32
	ENCODE32(LOADF32, ENCODEBEYOND8, 0)
	ENCODE32(LOADF32, ENCODEBEYOND8, 32)
	ENCODE32(LOADF32, ENCODEBEYOND8, 64)
	ENCODE32(LOADF32, ENCODEBEYOND8, 96)
	ROWEND
	JNZ row
	END
	RET
