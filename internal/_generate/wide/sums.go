package wide

import "github.com/mmcloughlin/avo/operand"

// Sums returns the 16 lanes of a float32 sum, all zero.
func (k *Kernel) Sums() []Vec { return k.Zeros(16 / k.Lanes) }

// AddLanes adds vectors to the lanes of a sum, one after the other.
func (k *Kernel) AddLanes(sums, vs []Vec) {
	for i, v := range vs {
		s := sums[i%len(sums)]
		k.VADDPS(v, s, s)
	}
}

// Fold joins the vectors of vs in pairs and then the lanes, all by op, and returns
// the first lane: of 16 lanes i takes i+8, then of these i+4, then i+2, then i+1.
func (k *Kernel) Fold(op Op, vs []Vec) Vec {
	v := k.pairs(op, vs)
	half := k.Vec()
	if k.AVX512 {
		k.VEXTRACTF32X8(operand.U8(1), v, half.AsY())
		op(half.AsY(), v.AsY(), v.AsY())
	}
	k.VEXTRACTF128(operand.U8(1), v.AsY(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	k.VPERMILPD(operand.U8(1), v.AsX(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	k.VMOVSHDUP(v.AsX(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	return v
}

// FoldInt is Fold for operations on integers: processors take a cycle or more from one
// kind of operation to the other.
func (k *Kernel) FoldInt(op Op, vs []Vec) Vec {
	v := k.pairs(op, vs)
	half := k.Vec()
	if k.AVX512 {
		k.VEXTRACTI32X8(operand.U8(1), v, half.AsY())
		op(half.AsY(), v.AsY(), v.AsY())
	}
	k.VEXTRACTI128(operand.U8(1), v.AsY(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	for _, order := range []operand.U8{0xee, 0x55} {
		k.VPSHUFD(order, v.AsX(), half.AsX())
		op(half.AsX(), v.AsX(), v.AsX())
	}
	return v
}

// pairs joins vectors in pairs, into the first.
func (k *Kernel) pairs(op Op, vs []Vec) Vec {
	for n := 1; n < len(vs); n *= 2 {
		for i := 0; i < len(vs); i += 2 * n {
			op(vs[i+n], vs[i], vs[i])
		}
	}
	return vs[0]
}
