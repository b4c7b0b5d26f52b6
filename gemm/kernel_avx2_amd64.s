//go:build !noasm

#include "textflag.h"
#include "fetch_amd64.h"
#include "mxcsr_amd64.h"

#define FETCHSKIP skip+80(FP)
#define FETCHLINES lines+88(FP)
#define FETCHROWS fetchRows+96(FP)

// A tile is 6 rows of 16 columns: row r in Y(2r) and Y(2r+1). Y12 and Y13 hold a
// row of the panel, Y14 and Y15 numbers of A. The rows of A begin at SI and
// R8 = SI+3·lda; R10 = lda in bytes.

#define ROW(at, y, lo, hi) \
	VBROADCASTSS at, y; \
	VFMADD231PS Y12, y, lo; \
	VFMADD231PS Y13, y, hi

#define ROWS1 ROW((SI), Y14, Y0, Y1)
#define ROWS2 ROWS1; ROW((SI)(R10*1), Y15, Y2, Y3)
#define ROWS3 ROWS2; ROW((SI)(R10*2), Y14, Y4, Y5)
#define ROWS4 ROWS3; ROW((R8), Y15, Y6, Y7)
#define ROWS5 ROWS4; ROW((R8)(R10*1), Y14, Y8, Y9)
#define ROWS6 ROWS5; ROW((R8)(R10*2), Y15, Y10, Y11)

// LOOP is the body of the kernel for one number of rows.
#define LOOP(label, skip, fetched, rows) \
	PCALIGN $32; \
label: \
	FETCH(skip, fetched); \
	VMOVUPS (DI), Y12; \
	VMOVUPS 32(DI), Y13; \
	rows; \
	ADDQ $4, SI; \
	ADDQ $4, R8; \
	ADDQ R12, DI; \
	DECQ CX; \
	JNZ label; \
	JMP finish; \
	SKIP(skip, fetched)

// ROUNDS does OP for each row of C, of which CX are left, and goes to the label
// behind the last one.
#define ROUNDS(OP, label) \
	MOVQ c+0(FP), DX; \
	MOVQ rows+56(FP), CX; \
	ROUND(OP, Y0, Y1, label); \
	ROUND(OP, Y2, Y3, label); \
	ROUND(OP, Y4, Y5, label); \
	ROUND(OP, Y6, Y7, label); \
	ROUND(OP, Y8, Y9, label); \
	OP(Y10, Y11)

#define ROUND(OP, lo, hi, label) \
	OP(lo, hi); \
	ADDQ BX, DX; \
	DECQ CX; \
	JZ label

#define LOAD(lo, hi) \
	VMOVUPS (DX), lo; \
	VMOVUPS 32(DX), hi

#define ADDTO(lo, hi) \
	VADDPS (DX), lo, lo; \
	VADDPS 32(DX), hi, hi

#define STORE(lo, hi) \
	VMOVUPS lo, (DX); \
	VMOVUPS hi, 32(DX)

// func kernelAVX2(c *float32, ldc uintptr, a *float32, lda uintptr, b *float32, ldb uintptr, k, rows int, m mode, fetch *byte, skip uintptr, lines, fetchRows int)
//
// The strides are in bytes.
TEXT ·kernelAVX2(SB), NOSPLIT, $8-104
	MOVQ ldc+8(FP), BX
	MOVQ a+16(FP), SI
	MOVQ lda+24(FP), R10
	MOVQ b+32(FP), DI
	MOVQ ldb+40(FP), R12
	LEAQ (R10)(R10*2), R8
	ADDQ SI, R8
	MOVQ m+64(FP), AX

	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11

	TESTB $1, AX
	JZ    loaded
	ROUNDS(LOAD, loaded)

loaded:
	MOVQ k+48(FP), CX
	FETCHBEGIN(fetch+72(FP), lines+88(FP))
	FLUSHON(AX, DX, dispatch)

dispatch:
	MOVQ rows+56(FP), DX
	CMPQ DX, $6
	JEQ  rows6
	CMPQ DX, $3
	JGT  above3
	JEQ  rows3
	CMPQ DX, $1
	JEQ  rows1
	JMP  rows2

above3:
	CMPQ DX, $4
	JEQ  rows4
	JMP  rows5

	LOOP(rows6, skip6, fetched6, ROWS6)
	LOOP(rows5, skip5, fetched5, ROWS5)
	LOOP(rows4, skip4, fetched4, ROWS4)
	LOOP(rows3, skip3, fetched3, ROWS3)
	LOOP(rows2, skip2, fetched2, ROWS2)
	LOOP(rows1, skip1, fetched1, ROWS1)

finish:
	FLUSHOFF(AX, result)

result:
	TESTB $2, AX
	JZ    store
	ROUNDS(ADDTO, store)

store:
	ROUNDS(STORE, done)

done:
	VZEROUPPER
	RET
