package wide

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Flag remembers whether something was true of any lane.
type Flag struct {
	k    *Kernel
	vec  Vec
	mask reg.OpmaskVirtual
}

// NewFlag returns a flag that is not set.
func (k *Kernel) NewFlag() *Flag {
	f := &Flag{k: k}
	if k.AVX512 {
		f.mask = k.K()
		k.KXORW(f.mask, f.mask, f.mask)
	} else {
		f.vec = k.Zeros(1)[0]
	}
	return f
}

// Unordered sets the flag if there is a NaN in vs, which are looked at two by two.
func (f *Flag) Unordered(vs []Vec) {
	k := f.k
	var found []operand.Op
	for i := 0; i < len(vs); i += 2 {
		a, b := vs[i], vs[min(i+1, len(vs)-1)]
		var is operand.Op = k.Vec()
		if k.AVX512 {
			is = k.K()
		}
		k.VCMPPS(operand.U8(3), a, b, is)
		found = append(found, is)
	}
	for _, is := range found {
		if k.AVX512 {
			k.KORW(is, f.mask, f.mask)
		} else {
			k.VORPS(is, f.vec, f.vec)
		}
	}
}

// Jump jumps if the flag is set.
func (f *Flag) Jump(label string) {
	if f.k.AVX512 {
		f.k.KORTESTW(f.mask, f.mask)
	} else {
		f.k.VPTEST(f.vec, f.vec)
	}
	f.k.JNZ(operand.LabelRef(label))
}

// ReturnBits stores bits as the only result, a float32.
func (k *Kernel) ReturnBits(bits uint32) {
	k.MOVL(operand.U32(bits), k.address(k.ReturnIndex(0)))
}
