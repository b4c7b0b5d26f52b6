package wide

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Doubles is how many float64 a vector has.
func (k *Kernel) Doubles() int { return k.Lanes / 2 }

// DoubleSums returns the 8 lanes of a float64 sum, all zero.
func (k *Kernel) DoubleSums() []Vec { return k.Zeros(8 / k.Doubles()) }

// AddDoubles adds vectors to the lanes of a sum, one after the other.
func (k *Kernel) AddDoubles(sums, vs []Vec) {
	for i, v := range vs {
		s := sums[i%len(sums)]
		k.VADDPD(v, s, s)
	}
}

// LoadDoubles returns the float32 at p as float64, in the Side vectors of a loop whose
// width is Doubles, with zeros beyond the end.
func (s *Step) LoadDoubles(p reg.GPVirtual) []Vec {
	vs := s.Vecs(s.Side)
	for i, v := range vs {
		at := operand.Mem{Base: p, Disp: i * s.bytes() / 2}
		switch {
		case s.Whole():
			s.VCVTPS2PD(at, v)
		case s.AVX512:
			s.VCVTPS2PD_Z(at, s.mask, v)
		default:
			x := s.XMM()
			s.VMOVDQU(s.masks.Offset(16*i), x)
			s.VMASKMOVPS(at, x, x)
			s.VCVTPS2PD(x, v)
		}
	}
	return vs
}

// KeepDoubles makes vs, of a loop as that of LoadDoubles, zero beyond the end.
func (s *Step) KeepDoubles(vs []Vec) {
	for i, v := range vs {
		switch {
		case s.Whole():
		case s.AVX512:
			s.VMOVAPD_Z(v, s.mask, v)
		default:
			m := s.Vec()
			s.VPMOVSXDQ(s.masks.Offset(16*i), m)
			s.VANDPD(m, v, v)
		}
	}
}

// WhereNot0 makes v zero in the lanes where e is.
func (k *Kernel) WhereNot0(e, v Vec) {
	zero := k.Zeros(1)[0]
	if k.AVX512 {
		m := k.K()
		k.VCMPPD(operand.U8(4), zero, e, m)
		k.VMOVAPD_Z(v, m, v)
		return
	}
	k.VCMPPD(operand.U8(4), zero, e, zero)
	k.VANDPD(zero, v, v)
}

// BroadcastDouble writes a float64 parameter to all lanes of v.
func (k *Kernel) BroadcastDouble(param string, v Vec) {
	k.VBROADCASTSD(k.address(k.Param(param)), v)
}

// FoldDoubles is Fold for the 8 lanes of float64.
func (k *Kernel) FoldDoubles(op Op, vs []Vec) Vec {
	v := k.pairs(op, vs)
	half := k.Vec()
	if k.AVX512 {
		k.VEXTRACTF64X4(operand.U8(1), v, half.AsY())
		op(half.AsY(), v.AsY(), v.AsY())
	}
	k.VEXTRACTF128(operand.U8(1), v.AsY(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	k.VPERMILPD(operand.U8(1), v.AsX(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	return v
}

// ReturnDouble stores the low float64 of v as the i-th result.
func (k *Kernel) ReturnDouble(i int, v Vec) {
	k.VMOVSD(v.AsX(), k.address(k.ReturnIndex(i)))
}
