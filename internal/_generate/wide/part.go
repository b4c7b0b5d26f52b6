package wide

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Part is the first lanes of a vector of float32, and of as many float64 in two.
type Part struct {
	k     *Kernel
	vecs  [3]Vec               // AVX2: masks of the numbers and of both halves
	masks [2]reg.OpmaskVirtual // AVX-512: the first is that of the numbers too
}

// FirstLanes readies the masks of 1 to Lanes lanes, in AVX2 from the package's table
// tailMask, 8 lanes of ones and 8 of zeros. It changes lanes.
func (k *Kernel) FirstLanes(lanes reg.GPVirtual) *Part {
	m := &Part{k: k}
	if k.AVX512 {
		bits := k.GP32()
		m.masks = [2]reg.OpmaskVirtual{k.K(), k.K()}
		k.MOVL(operand.I32(-1), bits)
		k.BZHIL(lanes.As32(), bits, bits)
		k.KMOVW(bits, m.masks[0])
		k.KSHIFTRW(operand.U8(8), m.masks[0], m.masks[1])
		return m
	}
	at := k.GP64()
	m.vecs = [3]Vec{k.Vec(), k.Vec(), k.Vec()}
	k.LEAQ(Table("tailMask", 32), at)
	k.SHLQ(operand.U8(2), lanes)
	k.SUBQ(lanes, at)
	k.VMOVDQU(operand.Mem{Base: at}, m.vecs[0])
	k.VPMOVSXDQ(operand.Mem{Base: at}, m.vecs[1])
	k.VPMOVSXDQ(operand.Mem{Base: at, Disp: 16}, m.vecs[2])
	return m
}

// Load returns the float32 at p, with zeros beyond the part.
func (m *Part) Load(p reg.GPVirtual) Vec {
	v := m.k.Vec()
	if m.k.AVX512 {
		m.k.VMOVUPS_Z(operand.Mem{Base: p}, m.masks[0], v)
	} else {
		m.k.VMASKMOVPS(operand.Mem{Base: p}, m.vecs[0], v)
	}
	return v
}

// LoadDoubles returns the float64 at p.
func (m *Part) LoadDoubles(p reg.GPVirtual) []Vec {
	vs := m.k.Vecs(2)
	for i, v := range vs {
		if at := m.half(p, i); m.k.AVX512 {
			m.k.VMOVUPD_Z(at, m.masks[i], v)
		} else {
			m.k.VMASKMOVPD(at, m.vecs[1+i], v)
		}
	}
	return vs
}

// StoreDoubles writes them.
func (m *Part) StoreDoubles(vs []Vec, p reg.GPVirtual) {
	for i, v := range vs {
		if at := m.half(p, i); m.k.AVX512 {
			m.k.VMOVUPD(v, m.masks[i], at)
		} else {
			m.k.VMASKMOVPD(v, m.vecs[1+i], at)
		}
	}
}

func (m *Part) half(p reg.GPVirtual, i int) operand.Mem {
	return operand.Mem{Base: p, Disp: i * m.k.bytes()}
}
