package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

const decodeSignature = "func(dst, codes *byte, mult *float32, n uintptr)"

// decoders turn n codes, a multiple of 16, into values times a multiplier for each 16.
var decoders = []wide.Func{
	decoder("decodeE2M1BF16", e2m1, 8, bf16),
	decoder("decodeE2M1F32", e2m1, 8, float32s),
	decoder("decodeINT4BF16", int4, 8, bf16),
	decoder("decodeINT4F32", int4, 8, float32s),
	decoder("decodeE4M3BF16", e4m3, 16, bf16),
	decoder("decodeE4M3F32", e4m3, 16, float32s),
}

// A format loads constants and returns what decodes the 16 codes at a pointer, times
// the multiplier; an output does so for what stores 16 numbers there, to so many bytes.
type (
	format func(k *wide.Kernel) func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec
	output func(k *wide.Kernel) (store func(vs []wide.Vec, dst reg.GPVirtual), bytes int)
)

func decoder(name string, in format, bytes int, out output) wide.Func {
	return wide.Func{Name: name, Signature: decodeSignature, Body: func(k *wide.Kernel) {
		dst, codes, mult, n := k.Argument("dst"), k.Argument("codes"), k.Argument("mult"), k.Argument("n")
		decode := in(k)
		store, size := out(k)
		k.Align()
		k.Label("loop")
		s := k.Vec()
		k.VBROADCASTSS(operand.Mem{Base: mult}, s)
		store(decode(codes, s), dst)
		k.ADDQ(operand.U8(bytes), codes)
		k.ADDQ(operand.U8(size), dst)
		k.ADDQ(operand.U8(4), mult)
		k.SUBQ(operand.U8(16), n)
		k.JNZ(operand.LabelRef("loop"))
	}}
}

// nibbles returns what brings 16 codes of four bits to the low bits of their dwords.
// What is above those is left.
func nibbles(k *wide.Kernel) func(codes reg.GPVirtual) []wide.Vec {
	shifts := k.Vec()
	if k.AVX512 {
		halves := k.Vec()
		k.VMOVDQU32(wide.Table("nibbleShifts512", 0), shifts)
		k.VMOVDQU32(wide.Table("halves", 0), halves)
		return func(codes reg.GPVirtual) []wide.Vec {
			v := k.Vec()
			k.VMOVQ(operand.Mem{Base: codes}, v.AsX())
			k.VPERMD(v, halves, v)
			k.VPSRLVD(shifts, v, v)
			return []wide.Vec{v}
		}
	}
	k.VMOVDQU(wide.Table("nibbleShifts", 0), shifts)
	return func(codes reg.GPVirtual) []wide.Vec {
		vs := k.Vecs(2)
		for i, v := range vs {
			k.VPBROADCASTD(operand.Mem{Base: codes, Disp: 4 * i}, v)
		}
		k.Each(k.VPSRLVD, shifts, vs, vs)
		return vs
	}
}

// lookup is a format of four bits in AVX-512, which has all 16 values in a register.
func lookup(k *wide.Kernel, values string) func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
	in, all := nibbles(k), k.Vec()
	k.VMOVDQU32(wide.Table(values, 0), all)
	return func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
		vs := in(codes)
		k.Each(k.VPERMPS, all, vs, vs)
		k.Each(k.VMULPS, mult, vs, vs)
		return vs
	}
}

func e2m1(k *wide.Kernel) func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
	if k.AVX512 {
		return lookup(k, "e2m1Values")
	}
	in, magnitudes := nibbles(k), k.Vec()
	k.VMOVDQU(wide.Table("e2m1Magnitudes", 0), magnitudes)
	return func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
		signs := in(codes)
		vs := k.Vecs(2)
		k.Each(k.VPERMPS, magnitudes, signs, vs)
		for _, v := range signs {
			k.VPSLLD(operand.U8(28), v, v)
		}
		k.Each(k.IntAnd(), table.At("SIGN"), signs, signs)
		k.Each(k.VMULPS, mult, vs, vs)
		k.Each(k.VXORPS, signs, vs, vs)
		return vs
	}
}

func int4(k *wide.Kernel) func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
	if k.AVX512 {
		return lookup(k, "int4Values")
	}
	in := nibbles(k)
	return func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
		vs := in(codes)
		k.Each(k.IntAnd(), table.At("FIFTEEN"), vs, vs)
		k.Each(k.VPSUBD, table.At("EIGHT"), vs, vs)
		for _, v := range vs {
			k.VCVTDQ2PS(v, v)
		}
		k.Each(k.VMULPS, mult, vs, vs)
		return vs
	}
}

// e4m3: shifted left by 7, a code is the binary16 pattern of q·2⁻⁸, subnormal numbers
// included; only NaN is not: it comes out as ±480.
func e4m3(k *wide.Kernel) func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
	kept := k.YMM()
	k.VPBROADCASTD(table.At("WITHOUTBIT14"), kept)
	pow8, magnitudes := k.Constant(table.At("POW8")), k.Constant(table.At("MAGNITUDES"))
	nan480, quiet := k.Constant(table.At("NAN480")), k.Constant(table.At("QUIETNAN"))
	return func(codes reg.GPVirtual, mult wide.Vec) []wide.Vec {
		words := k.YMM()
		k.VPMOVSXBW(operand.Mem{Base: codes}, words)
		k.VPSLLW(operand.U8(7), words, words)
		k.VPAND(kept, words, words)
		vs := k.Vecs(16 / k.Lanes)
		if k.AVX512 {
			k.VCVTPH2PS(words, vs[0])
		} else {
			k.VEXTRACTI128(operand.U8(1), words, vs[1].AsX())
			k.VCVTPH2PS(words.AsX(), vs[0])
			k.VCVTPH2PS(vs[1].AsX(), vs[1])
		}
		k.Each(k.VMULPS, pow8, vs, vs)
		for _, v := range vs {
			k.Signed(v, magnitudes, nan480, quiet)
		}
		k.Each(k.VMULPS, mult, vs, vs)
		return vs
	}
}

func float32s(k *wide.Kernel) (store func(vs []wide.Vec, dst reg.GPVirtual), bytes int) {
	return k.StoreFloats, 64
}

func bf16(k *wide.Kernel) (store func(vs []wide.Vec, dst reg.GPVirtual), bytes int) {
	return k.StoreBF16(k.Held(table.At("ALMOSTHALF")), k.Held(table.At("ONES"))), 32
}
