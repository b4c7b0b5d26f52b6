// e^x in AVX-512, the operations of exp1 (exp.go) in its order.
//
// EXP64 replaces Z0…Z3 by their exponentials, EXP16 does so with Z0; Z4…Z19 are
// scratch, Z20…Z23 free for the kernels, Z24…Z31 constants, of which Z31 is 1.
// EXPLOW64 and EXPLOW16 do the same for numbers that are not positive.

#define EXPCONSTANTS \
	VBROADCASTSS ·expTable+0(SB), Z24; \
	VBROADCASTSS ·expTable+4(SB), Z25; \
	VBROADCASTSS ·expTable+8(SB), Z26; \
	VBROADCASTSS ·expTable+12(SB), Z27; \
	VBROADCASTSS ·expTable+16(SB), Z28; \
	VBROADCASTSS ·expTable+20(SB), Z29; \
	VBROADCASTSS ·expTable+24(SB), Z30; \
	VBROADCASTSS ·expTable+44(SB), Z31

// Steps on one vector: X is x, then h, then the result; T is t, R is n, then
// n·ln2lo; Q is r, then r²; A is q. NaN passes VMAXPS and VMINPS as their second
// source, the first operand here.
#define CLAMPLOW(X, T, R, Q, A) VMAXPS X, Z24, X
#define CLAMPHIGH(X, T, R, Q, A) VMINPS X, Z25, X

#define SCALE(X, T, R, Q, A) \
	VMULPS Z26, X, T; \
	VADDPS Z27, T, T

#define INTEGER(X, T, R, Q, A) \
	VSUBPS Z27, T, R; \
	VMULPS Z28, R, Q; \
	VMULPS Z29, R, R

#define REDUCE(X, T, R, Q, A) \
	VSUBPS Q, X, X; \
	VSUBPS R, X, Q

#define COEF6(X, T, R, Q, A) VMULPS Z30, Q, A
#define COEF5(X, T, R, Q, A) VADDPS.BCST ·expTable+28(SB), A, A; VMULPS Q, A, A
#define COEF4(X, T, R, Q, A) VADDPS.BCST ·expTable+32(SB), A, A; VMULPS Q, A, A
#define COEF3(X, T, R, Q, A) VADDPS.BCST ·expTable+36(SB), A, A; VMULPS Q, A, A; VMULPS Q, Q, Q
#define COEF2(X, T, R, Q, A) VADDPS.BCST ·expTable+40(SB), A, A; VMULPS Q, A, A
#define LINEAR(X, T, R, Q, A) VSUBPS R, A, A; VADDPS A, X, X

#define POWER(X, T, R, Q, A) \
	VADDPS Z31, X, X; \
	VPSLLD $23, T, T; \
	VADDPS X, X, X; \
	VMULPS T, X, X

#define ONE(STEP) STEP(Z0, Z4, Z8, Z12, Z16)

#define FOUR(STEP) \
	STEP(Z0, Z4, Z8, Z12, Z16); \
	STEP(Z1, Z5, Z9, Z13, Z17); \
	STEP(Z2, Z6, Z10, Z14, Z18); \
	STEP(Z3, Z7, Z11, Z15, Z19)

#define EXPSTEPS(EACH) \
	EACH(SCALE); \
	EACH(INTEGER); \
	EACH(REDUCE); \
	EACH(COEF6); \
	EACH(COEF5); \
	EACH(COEF4); \
	EACH(COEF3); \
	EACH(COEF2); \
	EACH(LINEAR); \
	EACH(POWER)

#define EXP16 ONE(CLAMPLOW); ONE(CLAMPHIGH); EXPSTEPS(ONE)
#define EXP64 FOUR(CLAMPLOW); FOUR(CLAMPHIGH); EXPSTEPS(FOUR)
#define EXPLOW16 ONE(CLAMPLOW); EXPSTEPS(ONE)
#define EXPLOW64 FOUR(CLAMPLOW); EXPSTEPS(FOUR)
