package wide

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
)

// EvenSigns returns what AddSub needs of constants.
func (k *Kernel) EvenSigns() Vec {
	if !k.AVX512 {
		return nil
	}
	bit, v := k.GP32(), k.Vec()
	k.MOVL(operand.U32(1<<31), bit)
	k.VPBROADCASTQ(bit.As64(), v)
	return v
}

// AddSub adds a·b to x in odd lanes and subtracts it in even ones; AVX-512 has no
// VADDSUBPS, so there x − a·b is x + (−a)·b, the same number. a and b are scratch then.
func (k *Kernel) AddSub(x, a, b, evenSigns Vec) {
	if k.AVX512 {
		k.VXORPS(evenSigns, a, a)
		k.VMULPS(a, b, b)
		k.VADDPS(b, x, x)
		return
	}
	k.VMULPS(a, b, b)
	k.VADDSUBPS(b, x, x)
}

// IntAnd is the and of integers: before operations on integers it is faster than VANDPS.
func (k *Kernel) IntAnd() Op {
	if k.AVX512 {
		return k.VPANDD
	}
	return func(ops ...operand.Op) { k.VPAND(ops[0], ops[1], ops[2]) }
}

// Op is an instruction.
type Op func(ops ...operand.Op)

// Each applies op to a, b and dst, vector by vector, operands in the assembler's order.
// An operand is a []Vec, a [At], or one Vec for all.
func (k *Kernel) Each(op Op, a, b any, dst []Vec) {
	for i, d := range dst {
		op(nth(a, i), nth(b, i), d)
	}
}

// At are the vectors in memory that an operand may be taken from.
type At []operand.Op

func nth(x any, i int) operand.Op {
	switch x := x.(type) {
	case []Vec:
		return x[i]
	case At:
		return x[i]
	case operand.Op:
		return x
	}
	panic(fmt.Sprintf("an operand of type %T", x))
}

// Halves converts the float32 of v to float64, the first half of them and the second.
func (k *Kernel) Halves(v Vec) []Vec {
	low, high := k.Vec(), k.Vec()
	if k.AVX512 {
		k.VCVTPS2PD(v.AsY(), low)
		k.VEXTRACTF64X4(operand.U8(1), v, high.AsY())
		k.VCVTPS2PD(high.AsY(), high)
	} else {
		k.VCVTPS2PD(v.AsX(), low)
		k.VEXTRACTF128(operand.U8(1), v, high.AsX())
		k.VCVTPS2PD(high.AsX(), high)
	}
	return []Vec{low, high}
}

// Signed makes v the magnitude other with the sign that v has, in the lanes where the
// magnitude of v is the given float32. The first two operands are those of Constant.
func (k *Kernel) Signed(v Vec, magnitudes, is, other operand.Op) {
	masked := k.Vec()
	if k.AVX512 {
		m := k.K()
		k.VPANDD(magnitudes, v, masked)
		k.VPCMPEQD(is, masked, m)
		k.VPTERNLOGD(operand.U8(0xba), other, magnitudes, m, v) // v of the signs, other of the rest
		return
	}
	k.VANDPS(magnitudes, v, masked)
	signed := k.Vec()
	k.VXORPS(masked, v, signed)
	k.VORPS(other, signed, signed)
	k.VCMPPS(operand.U8(0), is, masked, masked)
	k.VBLENDVPS(masked, signed, v, v)
}
