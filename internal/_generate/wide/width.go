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

// Align begins a loop at a multiple of 64 bytes, so that its speed does not depend on
// what comes before.
func (k *Kernel) Align() {
	k.Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []operand.Op{operand.U8(64)}})
}
