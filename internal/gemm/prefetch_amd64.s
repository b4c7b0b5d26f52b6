//go:build !noasm

#include "textflag.h"

// func prefetchAMD64(src *byte, stride uintptr, rows, bytes int)
TEXT ·prefetchAMD64(SB), NOSPLIT, $0-32
	MOVQ src+0(FP), SI
	MOVQ stride+8(FP), BX
	MOVQ rows+16(FP), CX

row:
	MOVQ SI, DI
	MOVQ bytes+24(FP), DX

line:
	PREFETCHT1 (DI)
	ADDQ $64, DI
	SUBQ $64, DX
	JGT  line
	ADDQ BX, SI
	DECQ CX
	JNZ  row
	RET
