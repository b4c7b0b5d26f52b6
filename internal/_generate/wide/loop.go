package wide

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Pointer of a loop: it moves on by Bytes for every element.
type Stream struct {
	Base  reg.GPVirtual
	Bytes int
}

// Step is what one turn of a loop works on.
type Step struct {
	*Kernel
	Side int // vectors

	masks operand.Mem       // AVX2, in the tail: the masks, lane by lane
	mask  reg.OpmaskVirtual // AVX-512, in the tail
	left  reg.GPVirtual     // AVX-512, in the tail: elements
}

// Loop writes a loop over all elements, side vectors of width elements at a time, then
// over what is left: in AVX2 once, with as many vectors under masks, in AVX-512 vector
// by vector. The body is written for each of the two.
func (k *Kernel) Loop(side, width int, streams []Stream, body func(s *Step)) {
	step := side * width
	move := func(n int) {
		for _, s := range streams {
			k.ADDQ(operand.U32(n*s.Bytes), s.Base)
		}
	}
	k.SUBQ(operand.U32(step), k.count)
	k.JLT(operand.LabelRef("rest"))

	k.Align()
	k.Label("loop")
	body(&Step{Kernel: k, Side: side})
	move(step)
	k.SUBQ(operand.U32(step), k.count)
	k.JGE(operand.LabelRef("loop"))

	k.Label("rest")
	k.ADDQ(operand.U32(step), k.count)
	k.JZ(operand.LabelRef("done"))
	if k.AVX512 {
		k.tail512(side, width, move, body)
	} else {
		at := k.GP64()
		k.LEAQ(Table("tailMask", 64), at)
		k.SHLQ(operand.U8(2), k.count)
		k.SUBQ(k.count, at)
		body(&Step{Kernel: k, Side: side, masks: operand.Mem{Base: at}})
	}
	k.Label("done")
}

func (k *Kernel) tail512(side, width int, move func(n int), body func(s *Step)) {
	k.Label("tail")
	bits, mask := k.GP32(), k.K()
	k.MOVL(operand.I32(-1), bits)
	k.BZHIL(k.count.As32(), bits, bits)
	k.KMOVW(bits, mask)
	body(&Step{Kernel: k, Side: 1, mask: mask, left: k.count})
	if side > 1 {
		move(width)
		k.SUBQ(operand.U32(width), k.count)
		k.JGT(operand.LabelRef("tail"))
	}
}

// Table is the address of a table of the package.
func Table(name string, offset int) operand.Mem {
	return operand.NewDataAddr(operand.Symbol{Name: "·" + name}, offset)
}

// Whole reports whether the step is not the tail.
func (s *Step) Whole() bool { return s.mask == nil && s.masks.Base == nil }

// bytes of a vector.
func (k *Kernel) bytes() int { return 4 * k.Lanes }

// at is the i-th vector at p.
func (s *Step) at(p reg.GPVirtual, i int) operand.Mem {
	return operand.Mem{Base: p, Disp: i * s.bytes()}
}

// Mem is an operand of the vectors at p: memory in whole steps, registers in the tail.
func (s *Step) Mem(p reg.GPVirtual) At {
	at := make(At, s.Side)
	for i := range at {
		at[i] = s.at(p, i)
		if !s.Whole() {
			at[i] = s.load(p, i)
		}
	}
	return at
}

// Load returns the vectors at p, with zeros beyond the end.
func (s *Step) Load(p reg.GPVirtual) []Vec {
	vs := make([]Vec, s.Side)
	for i := range vs {
		vs[i] = s.load(p, i)
	}
	return vs
}

func (s *Step) load(p reg.GPVirtual, i int) Vec {
	v := s.Vec()
	switch {
	case s.Whole():
		s.VMOVUPS(s.at(p, i), v)
	case s.AVX512:
		s.VMOVUPS_Z(s.at(p, i), s.mask, v)
	default:
		s.VMASKMOVPS(s.at(p, i), s.lanes(i), v)
	}
	return v
}

// lanes is the mask of the i-th vector in AVX2.
func (s *Step) lanes(i int) Vec {
	m := s.Vec()
	s.VMOVDQU(s.masks.Offset(32*i), m)
	return m
}

// LoadOr is Load with fill beyond the end.
func (s *Step) LoadOr(p reg.GPVirtual, fill Vec) []Vec {
	switch {
	case s.Whole():
		return s.Load(p)
	case s.AVX512:
		v := s.Vec()
		s.VMOVAPS(fill, v)
		s.VMOVUPS(s.at(p, 0), s.mask, v)
		return []Vec{v}
	}
	vs := s.Vecs(s.Side)
	for i, v := range vs {
		m := s.lanes(i)
		s.VMASKMOVPS(s.at(p, i), m, v)
		s.VBLENDVPS(m, v, fill, v)
	}
	return vs
}

// Store writes vectors to p, none of it beyond the end.
func (s *Step) Store(vs []Vec, p reg.GPVirtual) {
	for i, v := range vs {
		switch {
		case s.Whole():
			s.VMOVUPS(v, s.at(p, i))
		case s.AVX512:
			s.VMOVUPS(v, s.mask, s.at(p, i))
		default:
			s.VMASKMOVPS(v, s.lanes(i), s.at(p, i))
		}
	}
}

// Keep makes vs zero beyond the end.
func (s *Step) Keep(vs []Vec) {
	for i, v := range vs {
		switch {
		case s.Whole():
		case s.AVX512:
			s.VMOVAPS_Z(v, s.mask, v)
		default:
			s.VANDPS(s.lanes(i), v, v)
		}
	}
}

// LoadPairs returns the 2·Side vectors of the pairs at p, of which a step has as many
// as elements.
func (s *Step) LoadPairs(p reg.GPVirtual) []Vec {
	vs := s.Vecs(2 * s.Side)
	masks := s.pairMasks()
	for i, v := range vs {
		switch {
		case s.Whole():
			s.VMOVUPS(s.at(p, i), v)
		case s.AVX512:
			s.VMOVUPS_Z(s.at(p, i), masks(i), v)
		default:
			s.VMASKMOVPS(s.at(p, i), masks(i), v)
		}
	}
	return vs
}

// LoadPair returns the vector of the pairs of half a vector's elements.
func (s *Step) LoadPair(p reg.GPVirtual) Vec {
	v := s.Vec()
	switch {
	case s.Whole():
		s.VMOVUPS(s.at(p, 0), v)
	case s.AVX512:
		s.VMOVUPS_Z(s.at(p, 0), s.pairMasks()(0), v)
	default:
		s.VMASKMOVPS(s.at(p, 0), s.pairMasks()(0), v)
	}
	return v
}

// StorePair writes the pairs of half a vector's elements to p.
func (s *Step) StorePair(v Vec, p reg.GPVirtual) {
	switch {
	case s.Whole():
		s.VMOVUPS(v, s.at(p, 0))
	case s.AVX512:
		s.VMOVUPS(v, s.pairMasks()(0), s.at(p, 0))
	default:
		s.VMASKMOVPS(v, s.pairMasks()(0), s.at(p, 0))
	}
}

// pairMasks returns what makes the masks of the vectors of LoadPairs: every lane of the
// mask twice.
func (s *Step) pairMasks() func(i int) reg.Register {
	switch {
	case s.Whole():
		return nil
	case s.AVX512:
		twice, bits := s.GP32(), s.GP32()
		s.MOVL(s.left.As32(), twice)
		s.ADDL(twice, twice)
		s.MOVL(operand.I32(-1), bits)
		s.BZHIL(twice, bits, bits)
		return func(i int) reg.Register {
			if i > 0 {
				s.SHRL(operand.U8(16), bits)
			}
			m := s.K()
			s.KMOVW(bits, m)
			return m
		}
	}
	return func(i int) reg.Register {
		m := s.Vec()
		s.VPMOVSXDQ(s.masks.Offset(16*i), m)
		return m
	}
}

// HalfLoad returns half a vector at p, each element as 64 bits with zeros above.
func (s *Step) HalfLoad(p reg.GPVirtual) Vec {
	v := s.Vec()
	switch {
	case s.Whole():
		s.VPMOVZXDQ(s.at(p, 0), v)
	case s.AVX512:
		s.VPMOVZXDQ_Z(s.at(p, 0), s.mask, v)
	default:
		m := s.XMM()
		s.VMOVDQU(s.masks, m)
		s.VMASKMOVPS(s.at(p, 0), m, m)
		s.VPMOVZXDQ(m, v)
	}
	return v
}
