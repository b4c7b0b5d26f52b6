//go:build !noasm

#include "textflag.h"
#include "avx512_amd64.h"
#include "exp_avx512_amd64.h"

// func expAVX512(dst, x []float32)
TEXT ·expAVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	MOVQ x_len+32(FP), CX
	EXPCONSTANTS
	STEPS64

loop:
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	VMOVUPS 128(SI), Z2
	VMOVUPS 192(SI), Z3
	EXP64
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMOVUPS.Z (SI), K1, Z0
	EXP16
	VMOVUPS   Z0, K1, (DI)
	ADDQ      $64, SI
	ADDQ      $64, DI
	NEXT16

done:
	VZEROUPPER
	RET

// NEGATE makes X the negative of the 16 numbers at (at)(SI); Z23 is −0.
#define NEGATE(at, X) VPXORD (at)(SI), Z23, X

// SIGNBITS sets Z23 up.
#define SIGNBITS \
	VPTERNLOGD $0xff, Z23, Z23, Z23; \
	VPSLLD $31, Z23, Z23

// func sigmoidAVX512(dst, x []float32)
TEXT ·sigmoidAVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ x_base+24(FP), SI
	MOVQ x_len+32(FP), CX
	EXPCONSTANTS
	SIGNBITS
	STEPS64

loop:
	NEGATE(0, Z0)
	NEGATE(64, Z1)
	NEGATE(128, Z2)
	NEGATE(192, Z3)
	EXP64
	VADDPS  Z31, Z0, Z0
	VADDPS  Z31, Z1, Z1
	VADDPS  Z31, Z2, Z2
	VADDPS  Z31, Z3, Z3
	VDIVPS  Z0, Z31, Z0
	VDIVPS  Z1, Z31, Z1
	VDIVPS  Z2, Z31, Z2
	VDIVPS  Z3, Z31, Z3
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, SI
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VPXORD.Z (SI), Z23, K1, Z0
	EXP16
	VADDPS   Z31, Z0, Z0
	VDIVPS   Z0, Z31, Z0
	VMOVUPS  Z0, K1, (DI)
	ADDQ     $64, SI
	ADDQ     $64, DI
	NEXT16

done:
	VZEROUPPER
	RET

// func softExpAVX512(x []float32, m float32) float32
TEXT ·softExpAVX512(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS m+24(FP), Z20
	VPXORD       Z21, Z21, Z21
	EXPCONSTANTS
	STEPS64

loop:
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	VMOVUPS 128(SI), Z2
	VMOVUPS 192(SI), Z3
	VSUBPS  Z20, Z0, Z0
	VSUBPS  Z20, Z1, Z1
	VSUBPS  Z20, Z2, Z2
	VSUBPS  Z20, Z3, Z3
	EXPLOW64
	VMOVUPS Z0, (SI)
	VMOVUPS Z1, 64(SI)
	VMOVUPS Z2, 128(SI)
	VMOVUPS Z3, 192(SI)
	VADDPS  Z0, Z21, Z21
	VADDPS  Z1, Z21, Z21
	VADDPS  Z2, Z21, Z21
	VADDPS  Z3, Z21, Z21
	ADDQ    $256, SI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMOVUPS.Z (SI), K1, Z0
	VSUBPS    Z20, Z0, Z0
	EXPLOW16
	VMOVUPS   Z0, K1, (SI)
	VADDPS    Z0, Z21, K1, Z21
	ADDQ      $64, SI
	NEXT16

done:
	VMOVAPS Z21, Z0
	JOIN16
	VMOVSS  X0, ret+32(FP)
	VZEROUPPER
	RET

// SILU stores gate/(1+e)·up for the e in E.
#define SILU(at, E) \
	VADDPS Z31, E, E; \
	VMOVUPS (at)(SI), Z4; \
	VDIVPS E, Z4, E; \
	VMULPS (at)(BX), E, E; \
	VMOVUPS E, (at)(DI)

// func siluMulAVX512(dst, gate, up []float32)
TEXT ·siluMulAVX512(SB), NOSPLIT, $0-72
	MOVQ dst_base+0(FP), DI
	MOVQ gate_base+24(FP), SI
	MOVQ gate_len+32(FP), CX
	MOVQ up_base+48(FP), BX
	EXPCONSTANTS
	SIGNBITS
	STEPS64

loop:
	NEGATE(0, Z0)
	NEGATE(64, Z1)
	NEGATE(128, Z2)
	NEGATE(192, Z3)
	EXP64
	SILU(0, Z0)
	SILU(64, Z1)
	SILU(128, Z2)
	SILU(192, Z3)
	ADDQ $256, SI
	ADDQ $256, BX
	ADDQ $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	VMOVUPS.Z (SI), K1, Z1
	VPXORD    Z1, Z23, Z0
	EXP16
	VADDPS    Z31, Z0, Z0
	VDIVPS    Z0, Z1, Z0
	VMULPS.Z  (BX), Z0, K1, Z0
	VMOVUPS   Z0, K1, (DI)
	ADDQ      $64, SI
	ADDQ      $64, BX
	ADDQ      $64, DI
	NEXT16

done:
	VZEROUPPER
	RET

// Gates and ups are taken apart by VSHUFPS within 128 bits, which leaves 16 of them
// in the order 0 1 8 9 2 3 10 11 …; GATEORDER, for VPERMPD, is the way back.
DATA gateOrder<>+0(SB)/8, $0x0705030106040200
GLOBL gateOrder<>(SB), RODATA|NOPTR, $8

// GATES makes G the clamped gates of the 32 numbers at (at)(SI), UPS the ups.
#define GATES(at, G) \
	VMOVUPS (at)(SI), G; \
	VSHUFPS $0x88, (at+64)(SI), G, G; \
	VMINPS G, Z21, G

#define UPS(at, U) \
	VMOVUPS (at)(SI), U; \
	VSHUFPS $0xdd, (at+64)(SI), U, U

// GLU makes E, e^(−alpha·gate), the result.
#define GLU(E, G, U) \
	VADDPS Z31, E, E; \
	VMINPS U, Z21, U; \
	VMAXPS U, Z22, U; \
	VDIVPS E, G, E; \
	VADDPS Z31, U, U; \
	VMULPS E, U, E; \
	VPERMPD E, Z23, E

// func clampedSwiGLUAVX512(dst, gateUp []float32, alpha, limit float32)
TEXT ·clampedSwiGLUAVX512(SB), NOSPLIT, $0-56
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), CX
	MOVQ         gateUp_base+24(FP), SI
	SIGNBITS
	VBROADCASTSS alpha+48(FP), Z20
	VBROADCASTSS limit+52(FP), Z21
	VPXORD       Z23, Z20, Z20      // −alpha
	VPXORD       Z23, Z21, Z22      // −limit
	VPMOVZXBQ    gateOrder<>(SB), Z23
	EXPCONSTANTS
	STEPS64

loop:
	GATES(0, Z0)
	GATES(128, Z1)
	GATES(256, Z2)
	GATES(384, Z3)
	VMULPS  Z20, Z0, Z0
	VMULPS  Z20, Z1, Z1
	VMULPS  Z20, Z2, Z2
	VMULPS  Z20, Z3, Z3
	EXP64
	GATES(0, Z4)
	GATES(128, Z5)
	GATES(256, Z6)
	GATES(384, Z7)
	UPS(0, Z8)
	UPS(128, Z9)
	UPS(256, Z10)
	UPS(384, Z11)
	GLU(Z0, Z4, Z8)
	GLU(Z1, Z5, Z9)
	GLU(Z2, Z6, Z10)
	GLU(Z3, Z7, Z11)
	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $512, SI
	ADDQ    $256, DI
	NEXT64

rest:
	REST

tail:
	MASK16
	LEAQ      (CX)(CX*1), DX
	MOVL      $-1, AX
	BZHIL     DX, AX, AX
	KMOVW     AX, K2
	SHRL      $16, AX
	KMOVW     AX, K3
	VMOVUPS.Z (SI), K2, Z1
	VMOVUPS.Z 64(SI), K3, Z3
	VSHUFPS   $0xdd, Z3, Z1, Z2
	VSHUFPS   $0x88, Z3, Z1, Z1
	VMINPS    Z1, Z21, Z1
	VMULPS    Z20, Z1, Z0
	EXP16
	GLU(Z0, Z1, Z2)
	VMOVUPS   Z0, K1, (DI)
	ADDQ      $128, SI
	ADDQ      $64, DI
	NEXT16

done:
	VZEROUPPER
	RET
