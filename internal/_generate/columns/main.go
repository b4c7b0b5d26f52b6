// Command columns writes the kernels of package columns.
package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

func main() { wide.Write("columns", "../../calibrate/columns/kernels", strips) }

var strips = []wide.Func{
	{Name: "strip", Signature: "func(sums *float64, maxima, x *float32, rows, stride int)", Body: func(k *wide.Kernel) {
		sums, x := k.Argument("sums"), k.Argument("x")
		lanes := k.Vecs(8)
		at := func(p reg.GPVirtual, i, size int) operand.Mem {
			return operand.Mem{Base: p, Disp: i * k.Doubles() * size}
		}
		for i, v := range lanes {
			k.VMOVUPD(at(sums, i, 8), v)
		}
		eachRow(k, x, func(magnitudes wide.Vec) wide.Vec {
			for i, v := range lanes {
				t := k.Vec()
				k.VCVTPS2PD(at(x, i, 4), t)
				k.VFMADD231PD(t, t, v)
			}
			most := k.Vecs(4)
			for i, v := range most {
				k.IntAnd()(at(x, 2*i, 4), magnitudes, v)
			}
			return k.FoldInt(k.VPMAXUD, most)
		})
		for i, v := range lanes {
			k.VMOVUPD(v, at(sums, i, 8))
		}
	}},
	{Name: "part", Signature: "func(sums *float64, maxima, x *float32, rows, stride, width int)", Body: func(k *wide.Kernel) {
		sums, x := k.Argument("sums"), k.Argument("x")
		m := k.FirstLanes(k.Argument("width"))
		lanes := m.LoadDoubles(sums)
		eachRow(k, x, func(magnitudes wide.Vec) wide.Vec {
			v := m.Load(x)
			for i, t := range k.Halves(v) {
				k.VFMADD231PD(t, t, lanes[i])
			}
			k.IntAnd()(magnitudes, v, v)
			return k.FoldInt(k.VPMAXUD, []wide.Vec{v})
		})
		m.StoreDoubles(lanes, sums)
	}},
}

// eachRow writes the loop over the rows of a strip. The body adds squares, which are
// exact, to sums and returns the largest of the row's magnitudes, compared as integers;
// the row's maximum is raised to it.
func eachRow(k *wide.Kernel, x reg.GPVirtual, body func(magnitudes wide.Vec) wide.Vec) {
	maxima, rows, stride := k.Argument("maxima"), k.Argument("rows"), k.Argument("stride")
	magnitudes := k.Ones()
	k.VPSRLD(operand.U8(1), magnitudes, magnitudes)
	k.Align()
	k.Label("row")
	most, old := body(magnitudes).AsX(), k.XMM()
	k.VMOVD(operand.Mem{Base: maxima}, old)
	k.VPMAXUD(old, most, most)
	k.VMOVD(most, operand.Mem{Base: maxima})
	k.ADDQ(stride, x)
	k.ADDQ(operand.U8(4), maxima)
	k.DECQ(rows)
	k.JNZ(operand.LabelRef("row"))
}
