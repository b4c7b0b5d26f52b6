// Package wide writes one kernel for two widths: AVX2, with vectors of 8 float32, and
// AVX-512, with vectors of 16. A kernel is a Go function that calls the methods of a
// [Kernel]; they emit what the instruction sets have in common under one name, and are
// where the sets differ: masks of tails, constants from memory, comparisons.
//
// It is a module of its own, so that quern does not depend on the assembler.
package wide

import (
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/buildtags"
	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// Vec is a vector register of the width in use.
type Vec = reg.VecVirtual

// Kernel is the function that is being written. Its embedded Context has the
// instructions whose names and operands both widths share.
type Kernel struct {
	*build.Context
	AVX512 bool

	Lanes int // float32 in a vector
	Side  int // vectors that a whole step of a loop works on side by side, by default

	count reg.GPVirtual // elements that are left
}

// Func is a kernel of both widths. Its name gets the width as suffix.
type Func struct {
	Name, Signature string
	Doc             []string
	Body            func(k *Kernel)
}

// Write writes stem_avx2_amd64 and stem_avx512_amd64, .s and .go, of package pkg.
func Write(pkg, stem string, funcs []Func) {
	for _, k := range []Kernel{{Lanes: 8, Side: 2}, {Lanes: 16, Side: 4, AVX512: true}} {
		if err := k.write(pkg, stem, funcs); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", pkg, err)
			os.Exit(1)
		}
	}
}

func (k Kernel) write(pkg, stem string, funcs []Func) error {
	k.Context = build.NewContext()
	k.Constraints(buildtags.Not("noasm"))
	suffix := "AVX2"
	if k.AVX512 {
		suffix = "AVX512"
	}
	for _, f := range funcs {
		k := k
		k.Function(f.Name + suffix)
		k.SignatureExpr(f.Signature)
		k.Pragma("noescape")
		k.Attributes(attr.NOSPLIT)
		k.Doc(f.Doc...)
		f.Body(&k)
		k.VZEROUPPER()
		k.RET()
	}
	file, err := k.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return err
	}
	base := stem + "_avx2_amd64"
	if k.AVX512 {
		base = stem + "_avx512_amd64"
	}
	cfg := printer.Config{Argv: []string{"go", "generate"}, Pkg: pkg}
	for ending, p := range map[string]printer.Printer{".s": printer.NewGoAsm(cfg), ".go": printer.NewStubs(cfg)} {
		text, err := p.Print(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(base+ending, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Vec returns a new register.
func (k *Kernel) Vec() Vec {
	if k.AVX512 {
		return k.ZMM()
	}
	return k.YMM()
}

// Vecs returns n new registers.
func (k *Kernel) Vecs(n int) []Vec {
	vs := make([]Vec, n)
	for i := range vs {
		vs[i] = k.Vec()
	}
	return vs
}

// Zeros returns n registers with zeros.
func (k *Kernel) Zeros(n int) []Vec {
	vs := k.Vecs(n)
	for _, v := range vs {
		if k.AVX512 {
			k.VPXORD(v, v, v)
		} else {
			k.VXORPS(v, v, v)
		}
	}
	return vs
}

// Ones returns a register with all bits set.
func (k *Kernel) Ones() Vec {
	v := k.Vec()
	if k.AVX512 {
		k.VPXORD(v, v, v) // VPTERNLOGD alone would wait for what the register held
		k.VPTERNLOGD(operand.U8(0xff), v, v, v)
	} else {
		k.VPCMPEQD(v, v, v)
	}
	return v
}

// Signs returns a register with −0 in all lanes.
func (k *Kernel) Signs() Vec {
	v := k.Ones()
	k.VPSLLD(operand.U8(31), v, v)
	return v
}

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

// Align begins a loop at a multiple of 64 bytes, so that its speed does not depend on
// what comes before.
func (k *Kernel) Align() {
	k.Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []operand.Op{operand.U8(64)}})
}
