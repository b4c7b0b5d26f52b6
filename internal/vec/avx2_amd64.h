// Macros that the AVX2 kernels share. CX counts the elements that are left.

// STEPS16 starts the loop over whole steps of 16 elements, which ends with NEXT16;
// REST follows it: fewer than 16 elements are left, and their masks are at (AX) and
// 32(AX).
#define STEPS16 \
	SUBQ $16, CX; \
	JLT  rest

#define NEXT16 \
	SUBQ $16, CX; \
	JGE  loop

#define REST \
	ADDQ $16, CX; \
	JZ   done; \
	MASKADDRESS

#define MASKADDRESS \
	LEAQ ·tailMask+64(SB), AX; \
	SHLQ $2, CX; \
	SUBQ CX, AX

// MASKS loads the masks, LOAD and STORE use them.
#define MASKS(M, N) \
	VMOVDQU (AX), M; \
	VMOVDQU 32(AX), N

#define LOAD(p, M, N, A, B) \
	VMASKMOVPS (p), M, A; \
	VMASKMOVPS 32(p), N, B

#define STORE(p, M, N, A, B) \
	VMASKMOVPS A, M, (p); \
	VMASKMOVPS B, N, 32(p)

// JOIN16 adds the 16 lanes of Y0 and Y1 in pairs and leaves the sum in X0.
#define JOIN16 \
	VADDPS Y1, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS X1, X0, X0; \
	VPERMILPD $1, X0, X1; \
	VADDPS X1, X0, X0; \
	VMOVSHDUP X0, X1; \
	VADDSS X1, X0, X0

// JOIN8 adds the 8 lanes of the float64 sum in Y and YH in pairs and leaves it in
// X; XH is the low half of YH.
#define JOIN8(Y, X, YH, XH) \
	VADDPD YH, Y, Y; \
	VEXTRACTF128 $1, Y, XH; \
	VADDPD XH, X, X; \
	VPERMILPD $1, X, XH; \
	VADDSD XH, X, X
