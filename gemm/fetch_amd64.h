// Kernels of Mul bring lines of the next panel's weights into the second-level
// cache, one in each step: R14 is the address, R13 counts the lines that are left of
// a row, and R15 is 64, or 0 if nothing is to be fetched;
// then R14 is where the kernel reads anyway.
#define FETCHBEGIN(fetch, lines) \
	MOVQ fetch, R14; \
	MOVQ lines, R13; \
	MOVL $64, R15; \
	TESTQ R13, R13; \
	CMOVQEQ R13, R15; \
	CMOVQEQ SI, R14

#define FETCH(skip, fetched) \
	PREFETCHT1 (R14); \
	ADDQ R15, R14; \
	DECQ R13; \
	JZ skip; \
fetched:

// SKIP goes to the next row, or fetches nothing more after the last one. A kernel
// defines FETCHSKIP, FETCHLINES and FETCHROWS, which it counts down.
#define SKIP(skip, fetched) \
skip: \
	ADDQ FETCHSKIP, R14; \
	MOVQ FETCHLINES, R13; \
	DECQ FETCHROWS; \
	JNZ fetched; \
	XORL R13, R13; \
	XORL R15, R15; \
	JMP fetched
