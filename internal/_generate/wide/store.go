package wide

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// StoreFloats stores 16 float32 at dst.
func (k *Kernel) StoreFloats(vs []Vec, dst reg.GPVirtual) {
	for i, v := range vs {
		k.VMOVUPS(v, operand.Mem{Base: dst, Disp: 4 * k.Lanes * i})
	}
}

// StoreBF16 returns what rounds 16 numbers, of which none is a NaN but the quiet one, to
// nearest even and stores them. half has 0x7fff in all lanes, one 1.
func (k *Kernel) StoreBF16(half, one Vec) func(vs []Vec, dst reg.GPVirtual) {
	return func(vs []Vec, dst reg.GPVirtual) {
		last := k.Vecs(len(vs))
		for i, v := range vs {
			k.VPSRLD(operand.U8(16), v, last[i])
		}
		k.Each(k.IntAnd(), one, last, last)
		k.Each(k.VPADDD, half, vs, vs)
		k.Each(k.VPADDD, last, vs, vs)
		for _, v := range vs {
			k.VPSRLD(operand.U8(16), v, v)
		}
		to := operand.Mem{Base: dst}
		if k.AVX512 {
			k.VPMOVDW(vs[0], to)
			return
		}
		k.VPACKUSDW(vs[1], vs[0], vs[0])
		k.VPERMQ(operand.U8(0xd8), vs[0], vs[0])
		k.VMOVDQU(vs[0], to)
	}
}
