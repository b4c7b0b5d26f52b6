package wide

import (
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Pointer loads the base of a slice.
func (k *Kernel) Pointer(param string) reg.GPVirtual {
	p := k.GP64()
	k.Load(k.Param(param).Base(), p)
	return p
}

// Count loads the length of a slice as the number of elements of the loop.
func (k *Kernel) Count(param string) {
	k.count = k.GP64()
	k.Load(k.Param(param).Len(), k.count)
}

// CountFloats is Count for bytes that hold float32.
func (k *Kernel) CountFloats(param string) {
	k.Count(param)
	k.SHRQ(operand.U8(2), k.count)
}

// Broadcast returns a register with a float32 parameter in all lanes.
func (k *Kernel) Broadcast(param string) Vec {
	v := k.Vec()
	k.VBROADCASTSS(k.address(k.Param(param)), v)
	return v
}

// Return stores the low float32 of v as the only result.
func (k *Kernel) Return(v Vec) {
	k.VMOVSS(v.AsX(), k.address(k.ReturnIndex(0)))
}

// address is where a parameter or result lies.
func (k *Kernel) address(c gotypes.Component) operand.Mem {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// Argument loads a parameter that is a pointer or an integer of 64 bits.
func (k *Kernel) Argument(param string) reg.GPVirtual {
	p := k.GP64()
	k.Load(k.Param(param), p)
	return p
}

// Held returns a register with a constant of 32 bits in all lanes.
func (k *Kernel) Held(at operand.Mem) Vec {
	v := k.Vec()
	if k.AVX512 {
		k.VPBROADCASTD(at, v)
	} else {
		k.VMOVUPS(at, v)
	}
	return v
}

// Constant is an operand with such a constant: a register in AVX-512, which has enough
// of them, memory in AVX2.
func (k *Kernel) Constant(at operand.Mem) operand.Op {
	if k.AVX512 {
		return k.Held(at)
	}
	return at
}
