package main

import (
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

const turnSignature = "func(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, squares uintptr)"

// turns turn squares that lie below each other, each to the right of the one before:
// 8×8 elements of two bytes, and 4×4 of four, in registers of 16 bytes in both sets.
var turns = []wide.Func{
	turn("turn2", 8, func(k *wide.Kernel) (low, high wide.Op) { return k.VPUNPCKLWD, k.VPUNPCKHWD }),
	turn("turn4", 4, func(k *wide.Kernel) (low, high wide.Op) { return k.VPUNPCKLDQ, k.VPUNPCKHDQ }),
}

// turn interleaves the elements of each register of the first half with those of its
// fellow of the second, the low halves of both and the high ones, into two neighbours. That
// doubles the place of an element in all registers, and takes what falls out for the
// lowest bit: as often as an edge has bits, rows and columns change places.
func turn(name string, edge int, halves func(k *wide.Kernel) (low, high wide.Op)) wide.Func {
	return wide.Func{Name: name, Signature: turnSignature, Body: func(k *wide.Kernel) {
		dst, to, src, from, n := k.Argument("dst"), k.Argument("dstStride"), k.Argument("src"), k.Argument("srcStride"), k.Argument("squares")
		in, out := lines(k, src, from, edge), lines(k, dst, to, edge)
		k.Align()
		k.Label("loop")
		vs := make([]reg.VecVirtual, edge)
		for i := range vs {
			vs[i] = k.XMM()
			k.VMOVDQU(in.at(i), vs[i])
		}
		low, high := halves(k)
		for range bits.Len(uint(edge)) - 1 {
			next := make([]reg.VecVirtual, edge)
			for i := range edge / 2 {
				next[2*i], next[2*i+1] = k.XMM(), k.XMM()
				low(vs[i+edge/2], vs[i], next[2*i])
				high(vs[i+edge/2], vs[i], next[2*i+1])
			}
			vs = next
		}
		for i, v := range vs {
			k.VMOVDQU(v, out.at(i))
		}
		in.move(k, edge)
		for _, p := range out.bases {
			k.ADDQ(operand.U8(16), p)
		}
		k.DECQ(n)
		k.JNZ(operand.LabelRef("loop"))
	}}
}

// rows are the addresses of rows that lie a stride apart: one pointer for each four.
type rows struct {
	bases          []reg.GPVirtual
	stride, thrice reg.GPVirtual
}

func lines(k *wide.Kernel, p, stride reg.GPVirtual, n int) *rows {
	r := &rows{bases: []reg.GPVirtual{p}, stride: stride, thrice: k.GP64()}
	k.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, r.thrice)
	if n > 4 {
		q := k.GP64()
		k.LEAQ(operand.Mem{Base: p, Index: stride, Scale: 4}, q)
		r.bases = append(r.bases, q)
	}
	return r
}

func (r *rows) at(i int) operand.Mem {
	m := operand.Mem{Base: r.bases[i/4]}
	switch i % 4 {
	case 1:
		m.Index, m.Scale = r.stride, 1
	case 2:
		m.Index, m.Scale = r.stride, 2
	case 3:
		m.Index, m.Scale = r.thrice, 1
	}
	return m
}

// move goes on by n rows.
func (r *rows) move(k *wide.Kernel, n int) {
	for _, p := range r.bases {
		k.LEAQ(operand.Mem{Base: p, Index: r.stride, Scale: uint8(min(n, 8))}, p)
	}
}
