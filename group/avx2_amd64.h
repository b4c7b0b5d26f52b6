// Macros that the AVX2 kernels share. avx2_amd64.go says what they
// compute. An encoder of 32 weights a turn holds:
//
//	Y15, Y14  Σw² of lanes 0…3 and 4…7      Y11  max |w−ŵ|
//	Y13, Y12  Σ(w−ŵ)² of the same           Y10  minus the weights that saturate
//	Y8        0                             Y9   minus the weights that are 0
//	Y7        magnitudes                    R11  codes 0
//	Y3        the multiplier                R10  subnormal codes

#include "constants_amd64.h"

// MAGNITUDE8 reads eight weights to Y0 as |w| and counts zeros.
#define MAGNITUDE8(at) \
	VANDPS (at)(SI), Y7, Y0; \
	VCMPPS $0, Y8, Y0, Y1; \
	VPSUBD Y1, Y9, Y9

// ADD8 adds |w| in Y0 and ŵ in Y2 to the sums.
#define ADD8 \
	VSUBPS Y2, Y0, Y2; \
	VANDPS Y7, Y2, Y1; \
	VMAXPS Y1, Y11, Y11; \
	VCVTPS2PD X2, Y1; \
	VEXTRACTF128 $1, Y2, X2; \
	VFMADD231PD Y1, Y1, Y13; \
	VCVTPS2PD X2, Y2; \
	VCVTPS2PD X0, Y1; \
	VEXTRACTF128 $1, Y0, X0; \
	VFMADD231PD Y2, Y2, Y12; \
	VCVTPS2PD X0, Y0; \
	VFMADD231PD Y1, Y1, Y15; \
	VFMADD231PD Y0, Y0, Y14

// GRID computes, for the quotient in Y, E = the bits of its exponent above that of
// the least normal number (or 0), and the number M at which float32 has the spacing
// of codes there. ROUND leaves steps·code in E and the value in M.
#define GRID(Y, LEAST, AT, E, M) \
	VPSUBUSW LEAST, Y, E; \
	VPAND EXPONENT, E, E; \
	VPADDD AT, E, M

#define ROUND(Y, LEAST, AT, STEPS, E, M) \
	GRID(Y, LEAST, AT, E, M); \
	VADDPS M, Y, Y; \
	VSUBPS M, Y, M; \
	VPBLENDW $0x55, Y, E, E; \
	VPMADDWD STEPS, E, E

// ENCODEE2M1 encodes eight weights with the multiplier in Y3: 64·code to E.
#define ENCODEE2M1(at, E) \
	MAGNITUDE8(at); \
	VDIVPS Y3, Y0, Y1; \
	VCMPPS $0x1d, E2M1BEYOND, Y1, Y2; \
	VPSUBD Y2, Y10, Y10; \
	VMINPS E2M1MAX, Y1, Y1; \
	ROUND(Y1, E2M1LEAST, E2M1GRID, E2M1STEPS, E, Y2); \
	VMULPS Y3, Y2, Y2; \
	ADD8

// ENCODEE4M3 is the same for E4M3: 16·code to E.
#define ENCODEE4M3(at, E) \
	MAGNITUDE8(at); \
	VDIVPS Y3, Y0, Y1; \
	VCMPPS $0x1e, E4M3BEYOND, Y1, Y2; \
	VPSUBD Y2, Y10, Y10; \
	VMINPS E4M3MAX, Y1, Y1; \
	ROUND(Y1, E4M3LEAST, E4M3GRID, E4M3STEPS, E, Y2); \
	VMULPS Y3, Y2, Y2; \
	ADD8

// ENCODEINT4 is the same for integers: the signed integer to E.
#define ENCODEINT4(at, E) \
	VMOVUPS (at)(SI), Y0; \
	VCMPPS $0, Y8, Y0, Y1; \
	VPSUBD Y1, Y9, Y9; \
	VDIVPS Y3, Y0, Y1; \
	VCMPPS $0x1d, INT4MOST, Y1, Y2; \
	VPSUBD Y2, Y10, Y10; \
	VCMPPS $0x11, INT4LEAST, Y1, Y2; \
	VPSUBD Y2, Y10, Y10; \
	VMAXPS MINUS8, Y1, Y1; \
	VMINPS SEVEN, Y1, Y1; \
	VCVTPS2DQ Y1, E; \
	VCVTDQ2PS E, Y2; \
	VMULPS Y3, Y2, Y2; \
	ADD8

// NIBBLES16 packs the codes in the bytes of Y, as VPACKSSDW and VPACKUSWB leave
// them, two a byte, to the 16 bytes at (DI).
#define NIBBLES16(Y, X, T, XT) \
	VPMADDUBSW NIBBLES, Y, Y; \
	VPACKUSWB Y, Y, Y; \
	VEXTRACTI128 $1, Y, XT; \
	VPUNPCKLWD XT, X, X; \
	VMOVDQU X, (DI)

// COUNT adds the bytes of Y that are 0xff to N.
#define COUNT(Y, N) \
	VPMOVMSKB Y, AX; \
	POPCNTL AX, AX; \
	ADDL AX, N
