//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"
#include "next_amd64.h"

// The frame of an encoder, from R13 (aligned to 64) on: the lanes of Σy² of 16
// rows, those of Σ(y−q)², then the running pair at 2048 and the pairs of 16 rows
// at 2112, of which the last read reaches 8 bytes beyond.

// BEGIN sets up an encoder.
#define BEGIN \
	MOVQ dst+0(FP), DI; \
	MOVQ dstStride+8(FP), R8; \
	MOVQ src+16(FP), SI; \
	MOVQ srcStride+24(FP), R9; \
	VBROADCASTSS s+32(FP), Z31; \
	CONSTANTS; \
	VPXORD Z17, Z17, Z17; \
	XORL R10, R10; \
	XORL R11, R11; \
	XORL R12, R12; \
	LEAQ 63(SP), R13; \
	ANDQ $~63, R13; \
	VMOVUPS X21, 2048(R13); \
	MOVL $8, DX

// ROWBEGIN and ROWEND enclose the work on one row.
#define ROWBEGIN \
	VPXORD Z18, Z18, Z18; \
	VPXORD Z19, Z19, Z19

#define ROWEND \
	VMOVUPS Z19, (R14); \
	VMOVUPS Z18, 1024(R14); \
	ADDQ $64, R14; \
	ADDQ R9, SI; \
	ADDQ R8, DI; \
	DECL CX

// GROUPEND adds 16 rows to the running pair.
#define GROUPEND \
	JOIN(R13, 0, Z0); \
	JOIN(R13, 1024, Z12); \
	VUNPCKLPS Z12, Z0, Z1; \
	VUNPCKHPS Z12, Z0, Z2; \
	VMOVUPS Z1, 2112(R13); \
	VMOVUPS Z2, 2176(R13); \
	VMOVUPS 2048(R13), X0; \
	ADDROWS(R13, 2112); \
	VMOVUPS X0, 2048(R13); \
	DECL DX

// END stores the sums and counts.
#define END \
	MOVQ out+40(FP), DI; \
	MOVQ 2048(R13), AX; \
	MOVQ AX, 0(DI); \
	VEXTRACTF64X4 $1, Z17, Y0; \
	VMAXPS Y17, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VMAXPS X1, X0, X0; \
	VPERMILPD $1, X0, X1; \
	VMAXPS X1, X0, X0; \
	VMOVSHDUP X0, X1; \
	VMAXSS X1, X0, X0; \
	VMOVSS X0, 8(DI); \
	MOVL R12, 12(DI); \
	MOVL R10, 16(DI); \
	MOVL R11, 20(DI); \
	VZEROUPPER

// func encodeBF16AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeBF16AVX512(SB), 0, $2368-48
	BEGIN
	LOADMAGNITUDES16

group:
	MOVQ R13, R14
	MOVL $16, CX

row:
	ROWBEGIN
	NEXTBF16
	LOADBF16(0)
	DIVIDE
	ENCODE64(0)
	LOADBF16(64)
	DIVIDE
	ENCODE64(64)
	ROWEND
	JNZ row
	GROUPEND
	JNZ group
	END
	RET

// func encodeF32AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeF32AVX512(SB), 0, $2368-48
	BEGIN
	LOADMAGNITUDES32

group:
	MOVQ R13, R14
	MOVL $16, CX

row:
	ROWBEGIN
	NEXTF32
	LOADF32(0)
	DIVIDE
	ENCODE64(0)
	LOADF32(64)
	DIVIDE
	ENCODE64(64)
	ROWEND
	JNZ row
	GROUPEND
	JNZ group
	END
	RET

// func encodeBeyondBF16AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeBeyondBF16AVX512(SB), 0, $2368-48
	BEGIN
	LOADMAGNITUDES16

group:
	MOVQ R13, R14
	MOVL $16, CX

row:
	ROWBEGIN
	NEXTBF16
	LOADBF16(0)
	DIVIDE
	ENCODEBEYOND64(0)
	LOADBF16(64)
	DIVIDE
	ENCODEBEYOND64(64)
	ROWEND
	JNZ row
	GROUPEND
	JNZ group
	END
	RET

// func encodeBeyondF32AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeBeyondF32AVX512(SB), 0, $2368-48
	BEGIN
	LOADMAGNITUDES32

group:
	MOVQ R13, R14
	MOVL $16, CX

row:
	ROWBEGIN
	NEXTF32
	LOADF32(0)
	DIVIDE
	ENCODEBEYOND64(0)
	LOADF32(64)
	DIVIDE
	ENCODEBEYOND64(64)
	ROWEND
	JNZ row
	GROUPEND
	JNZ group
	END
	RET

// func encodeFastBF16AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
TEXT ·encodeFastBF16AVX512(SB), 0, $2368-48
	BEGIN
	LOADMAGNITUDES16
	RECIPROCAL(Z16)

group:
	MOVQ R13, R14
	MOVL $16, CX

row:
	ROWBEGIN
	NEXTBF16
	LOADBF16(0)
	MULTIPLY(Z16)
	ENCODE64(0)
	LOADBF16(64)
	MULTIPLY(Z16)
	ENCODE64(64)
	ROWEND
	JNZ row
	GROUPEND
	JNZ group
	END
	RET
