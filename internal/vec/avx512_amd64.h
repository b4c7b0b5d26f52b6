// Macros that the AVX-512 kernels share. CX counts the elements that are left.

// STEPS64 starts the loop over whole steps of 64 elements, REST what follows it.
// In between, the loop's body ends with NEXT64.
#define STEPS64 \
	SUBQ $64, CX; \
	JLT  rest

#define NEXT64 \
	SUBQ $64, CX; \
	JGE  loop

#define REST \
	ADDQ $64, CX; \
	JZ   done

// MASK16 makes K1 the mask of the first CX of 16 lanes, 0 < CX < 256.
#define MASK16 \
	MOVL  $-1, AX; \
	BZHIL CX, AX, AX; \
	KMOVW AX, K1

#define NEXT16 \
	SUBQ $16, CX; \
	JGT  tail

// JOIN16 adds the 16 lanes of Z0 in pairs and leaves the sum in X0.
#define JOIN16 \
	VEXTRACTF32X8 $1, Z0, Y1; \
	VADDPS Y1, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS X1, X0, X0; \
	VPERMILPD $1, X0, X1; \
	VADDPS X1, X0, X0; \
	VMOVSHDUP X0, X1; \
	VADDSS X1, X0, X0

// JOIN8 adds the 8 lanes of the float64 sum in Z in pairs and leaves it in X; the
// other registers are scratch.
#define JOIN8(Z, Y, X, YT, XT) \
	VEXTRACTF64X4 $1, Z, YT; \
	VADDPD YT, Y, Y; \
	VEXTRACTF128 $1, Y, XT; \
	VADDPD XT, X, X; \
	VPERMILPD $1, X, XT; \
	VADDSD XT, X, X
