// What the AVX-512 kernels of Mul share. A tile is 12 rows of 32 columns: row r in
// Z(2r) and Z(2r+1). Z24 and Z25 hold a row of the panel, Z26 to Z29 numbers of A.
// The rows of A begin at SI, R8 = SI+4·lda and R9 = SI+8·lda; R10 = lda, R11 = 3·lda.
// All strides are in bytes. AX is the mode; K1 and K2 are the columns.

// LOOP is the body of a kernel for one number of rows. FETCH stands for one line of
// what is needed later.
#define LOOP(label, skip, fetched, rows) \
	PCALIGN $64; \
label: \
	FETCH(skip, fetched); \
	VMOVUPS.Z (DI), K1, Z24; \
	VMOVUPS.Z 64(DI), K2, Z25; \
	rows; \
	ADDQ $4, SI; \
	ADDQ $4, R8; \
	ADDQ $4, R9; \
	ADDQ R12, DI; \
	DECQ CX; \
	JNZ label; \
	JMP finish; \
	SKIP(skip, fetched)

// ROUNDS does OP for each row of C, of which CX are left, and goes to the label
// behind the last one.
#define ROUNDS(OP, label) \
	MOVQ c+0(FP), DX; \
	MOVQ rows+64(FP), CX; \
	ROUND(OP, Z0, Z1, label); \
	ROUND(OP, Z2, Z3, label); \
	ROUND(OP, Z4, Z5, label); \
	ROUND(OP, Z6, Z7, label); \
	ROUND(OP, Z8, Z9, label); \
	ROUND(OP, Z10, Z11, label); \
	ROUND(OP, Z12, Z13, label); \
	ROUND(OP, Z14, Z15, label); \
	ROUND(OP, Z16, Z17, label); \
	ROUND(OP, Z18, Z19, label); \
	ROUND(OP, Z20, Z21, label); \
	OP(Z22, Z23)

#define ROUND(OP, lo, hi, label) \
	OP(lo, hi); \
	ADDQ BX, DX; \
	DECQ CX; \
	JZ label

#define LOAD(lo, hi) \
	VMOVUPS.Z (DX), K1, lo; \
	VMOVUPS.Z 64(DX), K2, hi

#define ADDTO(lo, hi) \
	VADDPS (DX), lo, K1, lo; \
	VADDPS 64(DX), hi, K2, hi

#define STORE(lo, hi) \
	VMOVUPS lo, K1, (DX); \
	VMOVUPS hi, K2, 64(DX)

// BEGIN loads the arguments and what the chains begin with.
#define BEGIN \
	MOVQ ldc+8(FP), BX; \
	MOVQ a+16(FP), SI; \
	MOVQ lda+24(FP), R10; \
	MOVQ b+32(FP), DI; \
	MOVQ ldb+40(FP), R12; \
	MOVL mask+56(FP), AX; \
	KMOVW AX, K1; \
	SHRL $16, AX; \
	KMOVW AX, K2; \
	LEAQ (R10)(R10*2), R11; \
	LEAQ (SI)(R10*4), R8; \
	LEAQ (SI)(R10*8), R9; \
	MOVQ m+72(FP), AX; \
	FETCHBEGIN(fetch+80(FP), lines+96(FP)); \
	VPXORD Z0, Z0, Z0; \
	VPXORD Z1, Z1, Z1; \
	VPXORD Z2, Z2, Z2; \
	VPXORD Z3, Z3, Z3; \
	VPXORD Z4, Z4, Z4; \
	VPXORD Z5, Z5, Z5; \
	VPXORD Z6, Z6, Z6; \
	VPXORD Z7, Z7, Z7; \
	VPXORD Z8, Z8, Z8; \
	VPXORD Z9, Z9, Z9; \
	VPXORD Z10, Z10, Z10; \
	VPXORD Z11, Z11, Z11; \
	VPXORD Z12, Z12, Z12; \
	VPXORD Z13, Z13, Z13; \
	VPXORD Z14, Z14, Z14; \
	VPXORD Z15, Z15, Z15; \
	VPXORD Z16, Z16, Z16; \
	VPXORD Z17, Z17, Z17; \
	VPXORD Z18, Z18, Z18; \
	VPXORD Z19, Z19, Z19; \
	VPXORD Z20, Z20, Z20; \
	VPXORD Z21, Z21, Z21; \
	VPXORD Z22, Z22, Z22; \
	VPXORD Z23, Z23, Z23; \
	TESTB $1, AX; \
	JZ loaded; \
	ROUNDS(LOAD, loaded); \
loaded: \
	MOVQ k+48(FP), CX

// LOOPS goes to the loop for the number of rows, and from there to finish.
#define LOOPS \
	MOVQ rows+64(FP), DX; \
	CMPQ DX, $6; \
	JGT above6; \
	JEQ rows6; \
	CMPQ DX, $3; \
	JGT above3; \
	JEQ rows3; \
	CMPQ DX, $1; \
	JEQ rows1; \
	JMP rows2; \
above3: \
	CMPQ DX, $4; \
	JEQ rows4; \
	JMP rows5; \
above6: \
	CMPQ DX, $12; \
	JEQ rows12; \
	CMPQ DX, $9; \
	JGT above9; \
	JEQ rows9; \
	CMPQ DX, $7; \
	JEQ rows7; \
	JMP rows8; \
above9: \
	CMPQ DX, $10; \
	JEQ rows10; \
	JMP rows11; \
	LOOP(rows12, skip12, fetched12, ROWS12); \
	LOOP(rows11, skip11, fetched11, ROWS11); \
	LOOP(rows10, skip10, fetched10, ROWS10); \
	LOOP(rows9, skip9, fetched9, ROWS9); \
	LOOP(rows8, skip8, fetched8, ROWS8); \
	LOOP(rows7, skip7, fetched7, ROWS7); \
	LOOP(rows6, skip6, fetched6, ROWS6); \
	LOOP(rows5, skip5, fetched5, ROWS5); \
	LOOP(rows4, skip4, fetched4, ROWS4); \
	LOOP(rows3, skip3, fetched3, ROWS3); \
	LOOP(rows2, skip2, fetched2, ROWS2); \
	LOOP(rows1, skip1, fetched1, ROWS1)

// END adds to C if the mode says so, and stores.
#define END \
	TESTB $2, AX; \
	JZ store; \
	ROUNDS(ADDTO, store); \
store: \
	ROUNDS(STORE, done); \
done: \
	VZEROUPPER; \
	RET
