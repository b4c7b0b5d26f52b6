package runner

import (
	"context"
	"math/rand/v2"
	"testing"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/gemm"
	"quern/scheme"
)

// fixed is a provider of one weight.
type fixed struct {
	provider
	c *coded
}

func (f *fixed) coded(*matrix) *coded { return f.c }

// randomCodes are codes of a form in which any bytes are numbers, with scales of one.
func randomCodes(t *testing.T, s *scheme.Scheme, p scheme.Params, out, in int64) *coded {
	t.Helper()
	if err := s.Check(p, out, in); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	m := &matrix{name: "w", written: &plan.Written{Scheme: s.Name, Params: p, Rows: out, Cols: in}, out: int(out), in: int(in)}
	c := &coded{m: m, scheme: s, outputs: s.Outputs(p, out, in)}
	for k := range c.outputs {
		size := c.outputs[k].Size(scheme.Part{Rows: out, Cols: in})
		b := make([]byte, size)
		for i := range b {
			switch b[i] = byte(r.Uint32()); c.outputs[k].Kind {
			case scheme.Scale:
				b[i] = 0x3c // 0.011 as BF16, 2^-67 as E8M0, 1.5 as E4M3
			case scheme.ZeroPoint:
				b[i] = 0x77
			}
		}
		c.bytes = append(c.bytes, b)
	}
	return c
}

// Panels give the same bits as the weight decoded as a whole, for few rows and many, and
// however many goroutines share the work.
func TestPanelsEqualWhole(t *testing.T) {
	forms := []struct {
		s *scheme.Scheme
		p scheme.Params
	}{
		{scheme.MXFP4, scheme.Params{}},
		{scheme.NVFP4Plain, scheme.Params{}},
		{scheme.AWQ, scheme.Params{Packing: scheme.Packing{Bits: 4, Group: 128, Scales: safetensors.BF16, Zeros: true}}},
		{scheme.GPTQ, scheme.Params{Packing: scheme.Packing{Bits: 4, Group: 128, Scales: safetensors.BF16, Zeros: true}}},
		{scheme.PackQuantized, scheme.Params{Packing: scheme.Packing{Bits: 8, Group: 128, Scales: safetensors.BF16, Zeros: true}}},
	}
	const out, in = 1096, 4224 // a panel of few rows holds 15 or 16 of them, one of many 992
	for _, f := range forms {
		t.Run(f.s.Name, func(t *testing.T) {
			c := randomCodes(t, f.s, f.p, out, in)
			whole := gemm.Weight{Out: out, In: in, Format: gemm.F32, Data: make([]byte, 4*out*in)}
			if err := c.decode(whole.Data, 0, out); err != nil {
				t.Fatal(err)
			}
			for _, rows := range []int{1, 5, 33} {
				few := rows <= gemm.MaxFew
				x := make([]float32, rows*in)
				r := rand.New(rand.NewPCG(3, 4))
				for i := range x {
					x[i] = float32(r.NormFloat64())
				}
				want := make([]float32, rows*out)
				if few {
					gemm.MulFew(want, out, x, in, rows, &whole, gemm.Options{Workers: 1})
				} else {
					gemm.Mul(want, out, x, in, rows, &whole, gemm.Options{Workers: 1})
				}
				for _, workers := range []int{1, 3} {
					p := newPass(nil, context.Background(), workers, &fixed{c: c})
					p.few = few
					got := make([]float32, rows*out)
					p.multiply(got, x, rows, c.m)
					for i := range got {
						if got[i] != want[i] {
							t.Fatalf("%d rows, %d workers: output %d is %v, whole %v", rows, workers, i, got[i], want[i])
						}
					}
				}
			}
		})
	}
}

// Rows of a weight that is read in part are those of the whole.
func TestCodedRows(t *testing.T) {
	c := randomCodes(t, scheme.AWQ, scheme.Params{Packing: scheme.Packing{Bits: 4, Group: 32, Scales: safetensors.BF16, Zeros: true}}, 64, 96)
	whole := make([]byte, 4*64*96)
	if err := c.decode(whole, 0, 64); err != nil {
		t.Fatal(err)
	}
	for _, first := range []int{0, 8, 40} {
		some := make([]byte, 4*16*96)
		if err := c.decode(some, first, 16); err != nil {
			t.Fatal(err)
		}
		if string(some) != string(whole[4*first*96:][:len(some)]) {
			t.Errorf("rows from %d on differ", first)
		}
	}
}

func BenchmarkCodedFew(b *testing.B) {
	const out, in = 2048, 4096
	s := scheme.MXFP4
	c := &coded{m: &matrix{written: &plan.Written{Scheme: s.Name, Rows: out, Cols: in}, out: out, in: in}, scheme: s, outputs: s.Outputs(scheme.Params{}, out, in)}
	for k := range c.outputs {
		n := c.outputs[k].Size(scheme.Part{Rows: out, Cols: in})
		buf := make([]byte, n)
		for i := range buf {
			buf[i] = 120
		}
		c.bytes = append(c.bytes, buf)
	}
	p := newPass(nil, context.Background(), 0, &fixed{c: c})
	x, y := make([]float32, in), make([]float32, out)
	for _, few := range []bool{true, false} {
		b.Run(map[bool]string{true: "few", false: "many"}[few], func(b *testing.B) {
			p.few = few
			b.SetBytes(4 * out * in) // of the weight in float32
			for b.Loop() {
				p.multiply(y, x, 1, c.m)
			}
		})
	}
	w := gemm.Weight{Out: out, In: in, Format: gemm.BF16, Data: make([]byte, 2*out*in)}
	b.Run("bf16", func(b *testing.B) {
		b.SetBytes(4 * out * in)
		for b.Loop() {
			gemm.MulFew(y, out, x, in, 1, &w, gemm.Options{})
		}
	})
}
