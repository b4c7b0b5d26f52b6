// Macros that the AVX2 kernels share: those of avx512_amd64.h in
// half the width, where a row's 16 lanes are two registers. avx512_amd64.go says
// why the rounding is right.
//
//	Y15  s
//	Y14  max |y−q| of the tile
//	Y13  Σ(y−q)² of a row, lanes 8…15      Y12  lanes 0…7
//	Y11  Σy² of a row, lanes 8…15          Y10  lanes 0…7
//	Y8, Y9  source words with their signs, in the order in which codes are packed

#include "constants_amd64.h"

// LOADBF16 reads the 16 weights from column at on: |w| to Y0 and Y1, words with
// their signs to S.
#define LOADBF16(at, S) \
	VPERMQ $0xd8, ((at)*2)(SI), S; \
	VPAND MAGNITUDES16, S, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPUNPCKLWD Y1, Y2, Y0; \
	VPUNPCKHWD Y1, Y2, Y1

// LOADF32 is the same for float32; saturation keeps the signs.
#define LOADF32(at, S) \
	VMOVDQU ((at)*4)(SI), Y0; \
	VMOVDQU ((at)*4+32)(SI), Y1; \
	VPACKSSDW Y1, Y0, S; \
	VPAND MAGNITUDES32, Y0, Y0; \
	VPAND MAGNITUDES32, Y1, Y1

// MAGIC computes, for |y| in Y, E = bits of the exponent above −6 (or 0) and the
// number M = 2^(e+20) at which float32 has the spacing of E4M3 at |y|.
#define MAGIC(Y, E, M) \
	VPSUBUSW LEASTNORMAL, Y, E; \
	VPAND EXPONENT, E, E; \
	VPADDD GRIDAT0, E, M

// ENCODE8 turns |w| in Y into sixteen times the code in E and adds to the sums.
#define ENCODE8(Y, E, SQ, ER) \
	VDIVPS Y15, Y, Y; \
	VMULPS Y, Y, Y2; \
	VADDPS Y2, SQ, SQ; \
	MAGIC(Y, E, Y2); \
	VADDPS Y2, Y, Y3; \
	ROUND8(Y, E, ER)

// ENCODEBEYOND8 is ENCODE8 for scales so small that |y| may exceed 448: R12 counts
// |y| > 464.
#define ENCODEBEYOND8(Y, E, SQ, ER) \
	VDIVPS Y15, Y, Y; \
	VMULPS Y, Y, Y2; \
	VADDPS Y2, SQ, SQ; \
	VCMPPS $0x1e, SATURATES464, Y, Y2; \
	VMOVMSKPS Y2, AX; \
	POPCNTL AX, AX; \
	ADDL AX, R12; \
	VMINPS MAX448, Y, Y3; \
	MAGIC(Y3, E, Y2); \
	VADDPS Y2, Y3, Y3; \
	ROUND8(Y, E, ER)

// ROUND8 goes on from M in Y2 and t in Y3.
#define ROUND8(Y, E, ER) \
	VSUBPS Y2, Y3, Y2; \
	VPBLENDW $0x55, Y3, E, E; \
	VSUBPS Y2, Y, Y2; \
	VPMADDWD WORDS16AND1, E, E; \
	VANDPS MAGNITUDES32, Y2, Y3; \
	VMAXPS Y3, Y14, Y14; \
	VMULPS Y2, Y2, Y2; \
	VADDPS Y2, ER, ER

// ENCODE32 encodes the 32 weights from column at on: R10 counts codes of at most
// 7, R11 codes 0.
#define ENCODE32(LOAD, ENCODE, at) \
	LOAD(at, Y8); \
	ENCODE(Y0, Y4, Y10, Y12); \
	ENCODE(Y1, Y5, Y11, Y13); \
	LOAD((at)+16, Y9); \
	ENCODE(Y0, Y6, Y10, Y12); \
	ENCODE(Y1, Y7, Y11, Y13); \
	VPACKSSDW Y5, Y4, Y4; \
	VPACKSSDW Y7, Y6, Y6; \
	VPACKSSWB Y9, Y8, Y8; \
	VPSRLW $4, Y4, Y4; \
	VPSRLW $4, Y6, Y6; \
	VPACKUSWB Y6, Y4, Y4; \
	VMOVDQU BYTES8, Y5; \
	VPXOR Y6, Y6, Y6; \
	VPCMPGTB Y4, Y5, Y5; \
	VPCMPEQB Y4, Y6, Y6; \
	VPAND CODESIGNS, Y8, Y8; \
	VPMOVMSKB Y5, AX; \
	VPMOVMSKB Y6, BX; \
	VPOR Y8, Y4, Y4; \
	VMOVDQU ·codeOrder256(SB), Y7; \
	VPERMD Y4, Y7, Y4; \
	POPCNTL AX, AX; \
	POPCNTL BX, BX; \
	ADDL AX, R10; \
	ADDL BX, R11; \
	VMOVDQU Y4, (at)(DI)

// COST8 adds (y−q)² of the eight weights from column at on to ER, as WEIGH wants
// them.
#define COST8(Y, ER, WEIGH, at) \
	VDIVPS Y15, Y, Y; \
	VMINPS MAX448, Y, Y3; \
	MAGIC(Y3, Y4, Y2); \
	VADDPS Y2, Y3, Y3; \
	VSUBPS Y2, Y3, Y2; \
	VSUBPS Y2, Y, Y2; \
	VMULPS Y2, Y2, Y2; \
	WEIGH(Y2, at) \
	VADDPS Y2, ER, ER

#define COST16(LOAD, WEIGH, at) \
	LOAD(at, Y8); \
	COST8(Y0, Y12, WEIGH, at); \
	COST8(Y1, Y13, WEIGH, (at)+8)

// Ways to weigh squares: not at all, or by the float32 weights of the columns at
// R10. Each brings its own semicolon.
#define PLAIN(Y, at)
#define BYCOLUMN(Y, at) VMULPS ((at)*4)(R10), Y, Y;
