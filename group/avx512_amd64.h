// Macros that the AVX-512 kernels share. An encoder of 16 weights a
// turn holds:
//
//	Z31  Σw² by lane            Z27  weights that saturate    Z24  magnitudes
//	Z30  Σ(w−ŵ)² by lane        Z26  subnormal codes          Z23  bits of the exponent
//	Z29  max |w−ŵ|              Z25  codes 0 of weights that  Z22  low words
//	Z28  ones                        are not
//	Z21  the multiplier         Z16…Z20  what a format needs

#include "constants_amd64.h"

// ADD16 adds w (or |w|) in Z0 and ŵ in Z2 to the sums.
#define ADD16 \
	VSUBPS Z2, Z0, Z2; \
	VRANGEPS $0xb, Z2, Z29, Z29; \
	VCVTPS2PD Y2, Z3; \
	VEXTRACTF64X4 $1, Z2, Y2; \
	VCVTPS2PD Y0, Z4; \
	VEXTRACTF64X4 $1, Z0, Y0; \
	VCVTPS2PD Y2, Z2; \
	VCVTPS2PD Y0, Z0; \
	VFMADD231PD Z3, Z3, Z30; \
	VFMADD231PD Z4, Z4, Z31; \
	VFMADD231PD Z2, Z2, Z30; \
	VFMADD231PD Z0, Z0, Z31

// GRID computes, for the quotient in Y, E = the bits of its exponent above that of
// the least normal number (or 0), and the number M at which float32 has the spacing
// of codes there.
#define GRID(Y, LEAST, AT, E, M) \
	VPSUBUSW LEAST, Y, E; \
	VPANDD Z23, E, E; \
	VPADDD AT, E, M

// FLOAT16 encodes 16 weights in Z1, whose signs it leaves in K1: codes to Z5. The
// format has its least normal number in Z20, the grid there in Z19, steps in Z18,
// its largest number in Z17.
#define FLOAT16(BEYOND, cmp, shift) \
	VPMOVD2M Z1, K1; \
	VPANDD Z24, Z1, Z0; \
	VDIVPS Z21, Z0, Z1; \
	VCMPPS.BCST $cmp, BEYOND, Z1, K2; \
	VPADDD Z28, Z27, K2, Z27; \
	VMINPS Z17, Z1, Z1; \
	GRID(Z1, Z20, Z19, Z5, Z2); \
	VADDPS Z2, Z1, Z1; \
	VSUBPS Z2, Z1, Z2; \
	VPTERNLOGD $0xe4, Z22, Z5, Z1; \
	VPMADDWD Z18, Z1, Z5; \
	VPSRLD $shift, Z5, Z5; \
	VPTESTNMD Z5, Z5, K2; \
	VPTESTMD Z0, Z0, K2, K2; \
	VPADDD Z28, Z25, K2, Z25; \
	VMULPS Z21, Z2, Z2; \
	ADD16
