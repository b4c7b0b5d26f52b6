// e^x in AVX2, the operations of exp1 (exp.go) in its order.
//
// EXP16 replaces Y0 and Y1 by their exponentials; Y2…Y10 are scratch, Y11…Y13 free
// for the kernels, Y14 and Y15 constants, of which Y15 is 1. EXPLOW16 does the same
// for numbers that are not positive.

#define EXPCONSTANTS \
	VBROADCASTSS ·expTable+12(SB), Y14; \
	VBROADCASTSS ·expTable+44(SB), Y15

// h is in Y0 and Y1, t in Y2 and Y3, n and then n·ln2lo in Y4 and Y5, r and then r²
// in Y6 and Y7, q in Y8 and Y9. NaN passes VMAXPS and VMINPS as their second source,
// the first operand here.
#define EXP16 \
	VBROADCASTSS ·expTable+4(SB), Y10; \
	VMINPS Y0, Y10, Y0; \
	VMINPS Y1, Y10, Y1; \
	EXPLOW16

#define EXPLOW16 \
	VBROADCASTSS ·expTable+0(SB), Y10; \
	VMAXPS Y0, Y10, Y0; \
	VMAXPS Y1, Y10, Y1; \
	VBROADCASTSS ·expTable+8(SB), Y10; \
	VMULPS Y10, Y0, Y2; \
	VMULPS Y10, Y1, Y3; \
	VADDPS Y14, Y2, Y2; \
	VADDPS Y14, Y3, Y3; \
	VSUBPS Y14, Y2, Y4; \
	VSUBPS Y14, Y3, Y5; \
	VBROADCASTSS ·expTable+16(SB), Y10; \
	VMULPS Y10, Y4, Y6; \
	VMULPS Y10, Y5, Y7; \
	VBROADCASTSS ·expTable+20(SB), Y10; \
	VMULPS Y10, Y4, Y4; \
	VMULPS Y10, Y5, Y5; \
	VSUBPS Y6, Y0, Y0; \
	VSUBPS Y7, Y1, Y1; \
	VSUBPS Y4, Y0, Y6; \
	VSUBPS Y5, Y1, Y7; \
	VBROADCASTSS ·expTable+24(SB), Y10; \
	VMULPS Y6, Y10, Y8; \
	VMULPS Y7, Y10, Y9; \
	COEF(28); \
	COEF(32); \
	COEF(36); \
	VMULPS Y6, Y6, Y6; \
	VMULPS Y7, Y7, Y7; \
	COEF(40); \
	VSUBPS Y4, Y8, Y8; \
	VSUBPS Y5, Y9, Y9; \
	VADDPS Y8, Y0, Y0; \
	VADDPS Y9, Y1, Y1; \
	VADDPS Y15, Y0, Y0; \
	VADDPS Y15, Y1, Y1; \
	VPSLLD $23, Y2, Y2; \
	VPSLLD $23, Y3, Y3; \
	VADDPS Y0, Y0, Y0; \
	VADDPS Y1, Y1, Y1; \
	VMULPS Y2, Y0, Y0; \
	VMULPS Y3, Y1, Y1

#define COEF(at) \
	VBROADCASTSS ·expTable+at(SB), Y10; \
	VADDPS Y10, Y8, Y8; \
	VADDPS Y10, Y9, Y9; \
	VMULPS Y6, Y8, Y8; \
	VMULPS Y7, Y9, Y9
