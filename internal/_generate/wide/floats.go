package wide

import (
	"github.com/mmcloughlin/avo/operand"
)

// Floats are the instructions of float32 or float64.
type Floats struct {
	Size                    int // bytes
	Add, Sub, Mul, Max, Min Op
	Fill                    func(ops ...operand.Op) // from memory to all lanes
	AddTable                func(at operand.Mem, vs []Vec)
}

// Singles are those of float32.
func (k *Kernel) Singles() Floats {
	f := Floats{Size: 4, Add: k.VADDPS, Sub: k.VSUBPS, Mul: k.VMULPS, Max: k.VMAXPS, Min: k.VMINPS, Fill: k.VBROADCASTSS}
	f.AddTable = k.addTable(f, k.VADDPS_BCST)
	return f
}

// DoubleFloats are those of float64.
func (k *Kernel) DoubleFloats() Floats {
	f := Floats{Size: 8, Add: k.VADDPD, Sub: k.VSUBPD, Mul: k.VMULPD, Max: k.VMAXPD, Min: k.VMINPD}
	f.Fill = func(ops ...operand.Op) { k.VBROADCASTSD(ops[0], ops[1]) }
	f.AddTable = k.addTable(f, k.VADDPD_BCST)
	return f
}

// addTable makes what adds a number of a table of the package to vs.
func (k *Kernel) addTable(f Floats, broadcasting Op) func(at operand.Mem, vs []Vec) {
	return func(at operand.Mem, vs []Vec) {
		if k.AVX512 {
			k.Each(broadcasting, at, vs, vs)
			return
		}
		c := k.Vec()
		f.Fill(at, c)
		k.Each(f.Add, c, vs, vs)
	}
}
