// Command packed writes the kernels of package packed.
package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

func main() {
	wide.Write("packed", "../../packed/kernels", []wide.Func{
		affine("affineBF16", bf16), affine("affineF32", float32s),
		ordered("orderedBF16", bf16), ordered("orderedF32", float32s),
	})
}

// An output stores 16 numbers at dst, to so many bytes.
type output func(k *wide.Kernel) (store func(vs []wide.Vec, dst reg.GPVirtual), bytes int)

func float32s(k *wide.Kernel) (store func(vs []wide.Vec, dst reg.GPVirtual), bytes int) {
	return k.StoreFloats, 64
}

func bf16(k *wide.Kernel) (store func(vs []wide.Vec, dst reg.GPVirtual), bytes int) {
	half, one := k.Ones(), k.Ones()
	k.VPSRLD(operand.U8(17), half, half)
	k.VPSRLD(operand.U8(31), one, one)
	return k.StoreBF16(half, one), 32
}

// affine writes n codes, a multiple of 16, less zero, times scale, plus bias.
func affine(name string, out output) wide.Func {
	return wide.Func{Name: name, Signature: "func(dst, q *byte, n uintptr, zero, scale, bias float32)", Body: func(k *wide.Kernel) {
		dst, q, n := k.Argument("dst"), k.Argument("q"), k.Argument("n")
		zero, scale, bias := k.Broadcast("zero"), k.Broadcast("scale"), k.Broadcast("bias")
		store, size := out(k)
		k.Align()
		k.Label("loop")
		vs := numbers(k, q)
		k.Each(k.VSUBPS, zero, vs, vs)
		k.Each(k.VMULPS, scale, vs, vs)
		k.Each(k.VADDPS, bias, vs, vs)
		store(vs, dst)
		k.ADDQ(operand.U8(16), q)
		k.ADDQ(operand.U8(size), dst)
		k.SUBQ(operand.U8(16), n)
		k.JNZ(operand.LabelRef("loop"))
	}}
}

// ordered is affine where each code says which zero point and scale are its own, and
// there is no bias.
func ordered(name string, out output) wide.Func {
	return wide.Func{Name: name, Signature: "func(dst, q *byte, n uintptr, of *int32, zero, scale *float32)", Body: func(k *wide.Kernel) {
		dst, q, n := k.Argument("dst"), k.Argument("q"), k.Argument("n")
		of, zero, scale := k.Argument("of"), k.Argument("zero"), k.Argument("scale")
		store, size := out(k)
		k.Align()
		k.Label("loop")
		vs := numbers(k, q)
		for i, v := range vs {
			index := k.Vec()
			k.VMOVUPS(operand.Mem{Base: of, Disp: 4 * k.Lanes * i}, index)
			k.VSUBPS(gather(k, zero, index), v, v)
			k.VMULPS(gather(k, scale, index), v, v)
		}
		store(vs, dst)
		k.ADDQ(operand.U8(16), q)
		k.ADDQ(operand.U8(64), of)
		k.ADDQ(operand.U8(size), dst)
		k.SUBQ(operand.U8(16), n)
		k.JNZ(operand.LabelRef("loop"))
	}}
}

// numbers are the 16 bytes at q as float32.
func numbers(k *wide.Kernel, q reg.GPVirtual) []wide.Vec {
	vs := k.Vecs(16 / k.Lanes)
	for i, v := range vs {
		k.VPMOVZXBD(operand.Mem{Base: q, Disp: k.Lanes * i}, v)
	}
	for _, v := range vs {
		k.VCVTDQ2PS(v, v)
	}
	return vs
}

// gather returns the float32 of a table at the indices of a vector.
func gather(k *wide.Kernel, table reg.GPVirtual, index wide.Vec) wide.Vec {
	from, v := operand.Mem{Base: table, Index: index, Scale: 4}, k.Zeros(1)[0]
	if k.AVX512 {
		m := k.K()
		k.KXNORW(m, m, m)
		k.VGATHERDPS(from, m, v)
	} else {
		k.VGATHERDPS(k.Ones(), from, v)
	}
	return v
}
