package packed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"quern/fp8"
	"quern/group"
)

// plain is what a packed matrix means.
type plain struct {
	rows, cols, group, bits int
	q                       [][]int // rows of codes
	z                       [][]int // [row][group]
	s, b                    [][]float32
	of                      []int
}

func (p *plain) groups() int { return (p.cols + p.group - 1) / p.group }

func newPlain(r *rand.Rand, rows, cols, group, bits int) *plain {
	p := &plain{rows: rows, cols: cols, group: group, bits: bits}
	for c := range cols {
		p.of = append(p.of, c/group)
	}
	for range rows {
		var q, z []int
		var s, b []float32
		for range cols {
			q = append(q, r.IntN(1<<bits))
		}
		for range p.groups() {
			z = append(z, 1+r.IntN(1<<bits-1))
			s = append(s, fp8.BF16ToFloat32(fp8.BF16FromFloat32(float32(r.NormFloat64()))))
			b = append(b, fp8.BF16ToFloat32(fp8.BF16FromFloat32(float32(r.NormFloat64()))))
		}
		p.q, p.z, p.s, p.b = append(p.q, q), append(p.z, z), append(p.s, s), append(p.b, b)
	}
	return p
}

// words packs n codes, word by word from the low bits on, each in as many words as it
// straddles.
func words(n, bits int, code func(i int) int) []byte {
	out := make([]byte, (n*bits+31)/32*4)
	for i := range n {
		for k := range bits {
			if code(i)>>k&1 != 0 {
				at := i*bits + k
				out[at/8] |= 1 << (at % 8)
			}
		}
	}
	return out
}

// transposed makes [n words of a column][cols] of columns of words.
func transposed(cols int, column func(c int) []byte) (out []byte) {
	n := len(column(0)) / 4
	out = make([]byte, 4*n*cols)
	for c := range cols {
		w := column(c)
		for i := range n {
			copy(out[4*(i*cols+c):], w[4*i:4*i+4])
		}
	}
	return out
}

func bf16(rows, cols int, f func(r, c int) float32) (out []byte) {
	for r := range rows {
		for c := range cols {
			out = binary.LittleEndian.AppendUint16(out, fp8.BF16FromFloat32(f(r, c)))
		}
	}
	return out
}

// pack writes p in a layout, as its package does.
func (p *plain) pack(l Layout, zeros bool) Matrix {
	m := Matrix{Layout: l, Bits: p.bits, Rows: p.rows, Cols: p.cols, Group: p.group, ScaleElem: fp8.ElemBF16}
	g := p.groups()
	m.Scales = bf16(p.rows, g, func(r, c int) float32 { return p.s[r][c] })
	if layouts[l].across {
		m.Scales = bf16(g, p.rows, func(c, r int) float32 { return p.s[r][c] })
	}
	rowwise := func() (out []byte) {
		for r := range p.rows {
			out = append(out, words(p.cols, p.bits, func(c int) int { return p.q[r][c] })...)
		}
		return out
	}
	switch l {
	case PackQuantized:
		m.Codes = rowwise()
		if zeros {
			m.Zeros = transposed(g, func(c int) []byte {
				return words(p.rows, p.bits, func(r int) int { return p.z[r][c] })
			})
		}
	case INT8:
		for _, row := range p.q {
			for _, q := range row {
				m.Codes = append(m.Codes, byte(q-128))
			}
		}
	case MLX:
		m.Codes = rowwise()
		m.Biases = bf16(p.rows, g, func(r, c int) float32 { return p.b[r][c] })
	case GPTQ, GPTQv2:
		m.Codes = transposed(p.rows, func(r int) []byte {
			return words(p.cols, p.bits, func(c int) int { return p.q[r][c] })
		})
		for c := range g {
			m.Zeros = append(m.Zeros, words(p.rows, p.bits, func(r int) int { return p.z[r][c] - layouts[l].plus })...)
		}
	case AWQ:
		order := []int{0, 2, 4, 6, 1, 3, 5, 7}
		for c := range p.cols {
			m.Codes = append(m.Codes, words(p.rows, 4, func(r int) int { return p.q[r/8*8+order[r%8]][c] })...)
		}
		for c := range g {
			m.Zeros = append(m.Zeros, words(p.rows, 4, func(r int) int { return p.z[r/8*8+order[r%8]][c] })...)
		}
	}
	return m
}

// value is the weight at r, c in a layout.
func (p *plain) value(l Layout, zeros bool, r, c int) float32 {
	g := p.of[c]
	q := float64(p.q[r][c])
	switch {
	case l == MLX:
		return float32(float64(float32(q*float64(p.s[r][g]))) + float64(p.b[r][g]))
	case l != INT8 && (zeros || l != PackQuantized):
		return float32((q - float64(p.z[r][g])) * float64(p.s[r][g]))
	default:
		return float32((q - float64(int(1)<<(p.bits-1))) * float64(p.s[r][g]))
	}
}

func TestLayouts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for l := range Layout(len(layouts)) {
		for _, bits := range layouts[l].bits {
			for _, shape := range [][3]int{{64, 64, 32}, {160, 96, 96}, {32, 128, 16}, {96, 40, 32}} {
				for _, zeros := range []bool{false, true} {
					if l == INT8 && zeros {
						continue
					}
					p := newPlain(r, shape[0], shape[1], shape[2], bits)
					m := p.pack(l, zeros)
					if layouts[l].order && zeros {
						for c := range p.of { // any order
							p.of[c] = r.IntN(p.groups())
							m.GroupOf = binary.LittleEndian.AppendUint32(m.GroupOf, uint32(p.of[c]))
						}
					}
					for _, e := range []fp8.Elem{fp8.ElemF32, fp8.ElemBF16} {
						for _, part := range [][2]int{{0, p.rows}, {3, 20}, {p.rows - 1, 1}, {5, 0}} {
							stride := p.cols + 3
							dst := make([]byte, (p.rows*stride)*e.Size())
							if err := m.Decode(dst, stride, e, part[0], part[1]); err != nil {
								t.Fatal(err)
							}
							got := make([]float32, p.cols)
							for i := range part[1] {
								e.Decode(got, dst[i*stride*e.Size():])
								for c, x := range got {
									want := p.value(l, zeros, part[0]+i, c)
									if e == fp8.ElemBF16 {
										want = fp8.BF16ToFloat32(fp8.BF16FromFloat32(want))
									}
									if math.Float32bits(x) != math.Float32bits(want) && (x != 0 || want != 0) {
										t.Fatalf("%v, %d bits, %v: row %d, column %d: %v, want %v", l, bits, shape, part[0]+i, c, x, want)
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

// What mlx 0.32.4 made of random weights, and what it makes of that: the same in F32;
// in BF16 it rounds the product before it adds the bias, which quern does not.
func TestMLX(t *testing.T) {
	data, err := os.ReadFile("testdata/mlx.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		Shape   []int
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	tensor := func(name string) []byte {
		o := header[name].Offsets
		return data[8+n:][o[0]:o[1]]
	}
	for _, bits := range layouts[MLX].bits {
		for _, e := range []struct {
			name string
			elem fp8.Elem
		}{{"f32", fp8.ElemF32}, {"bf16", fp8.ElemBF16}} {
			p := fmt.Sprintf("affine%d.%s.", bits, e.name)
			shape := header[p+"d"].Shape
			m := Matrix{
				Layout: MLX, Bits: bits, Rows: shape[0], Cols: shape[1], Group: 32,
				Codes: tensor(p + "q"), Scales: tensor(p + "s"), Biases: tensor(p + "b"), ScaleElem: e.elem,
			}
			got := make([]byte, len(tensor(p+"d")))
			if err := m.Decode(got, m.Cols, e.elem, 0, m.Rows); err != nil {
				t.Fatal(err)
			}
			want := make([]float32, m.Rows*m.Cols)
			e.elem.Decode(want, tensor(p+"d"))
			values := make([]float32, len(want))
			e.elem.Decode(values, got)
			for i, x := range values {
				// The product that mlx rounds to BF16 is below 1/8 here.
				if d := math.Abs(float64(x - want[i])); d > 0x1p-3/256 || (e.elem == fp8.ElemF32 && d != 0) {
					t.Fatalf("%s: value %d: %v, want %v", p, i, x, want[i])
				}
			}
		}
	}
}

// What does not fit is named.
func TestErrors(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	good := func(l Layout) Matrix {
		if l == INT8 {
			return newPlain(r, 32, 64, 32, 8).pack(l, true)
		}
		return newPlain(r, 32, 64, 32, 4).pack(l, true)
	}
	dst := make([]byte, 4*32*64)
	for l := range Layout(len(layouts)) {
		m := good(l)
		if err := m.Decode(dst, 64, fp8.ElemF32, 0, 32); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			words string
			spoil func(m *Matrix)
		}{
			{"codes: 511 bytes for 32×64", func(m *Matrix) { m.Codes = m.Codes[:511] }},
			{"codes", func(m *Matrix) { m.Rows = 64 }},
			{"scales: ", func(m *Matrix) { m.Scales = nil }},
			{"codes of 9 bits", func(m *Matrix) { m.Bits = 9 }},
			{"Elem(9)", func(m *Matrix) { m.ScaleElem = 9 }},
			{"zero points", func(m *Matrix) { m.Zeros = make([]byte, 7) }},
			{"biases", func(m *Matrix) { m.Biases = make([]byte, 7) }},
			{"order of inputs", func(m *Matrix) { m.GroupOf = make([]byte, 7) }},
			{"shape", func(m *Matrix) { m.Rows = -1 }},
			{"Layout(99)", func(m *Matrix) { m.Layout = 99 }},
		} {
			m := good(l)
			c.spoil(&m)
			if err := m.Decode(dst, 64, fp8.ElemF32, 0, 32); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v: %s: %v", l, c.words, err)
			}
		}
		for _, err := range []error{
			m.Decode(dst, 64, fp8.ElemF64, 0, 32), m.Decode(dst[1:], 64, fp8.ElemF32, 0, 32),
			m.Decode(dst, 64, fp8.ElemF32, 1, 32), m.Decode(dst, 63, fp8.ElemF32, 0, 32), m.Decode(dst, 64, fp8.ElemF32, -1, 1),
		} {
			if err == nil {
				t.Errorf("%v: no error", l)
			}
		}
	}
	m := good(GPTQ)
	m.GroupOf = make([]byte, 4*64)
	m.GroupOf[4*7] = 2
	if err := m.Check(); err == nil || !strings.Contains(err.Error(), "input 7 belongs to group 2 of 2") {
		t.Error(err)
	}
}

// What package group writes as INT4 means the same here.
func TestINT4(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	const rows, cols = 16, 128
	src := bf16(rows, cols, func(int, int) float32 { return float32(r.NormFloat64()) })
	c := group.Coded{Codes: make([]byte, rows*cols/2), CodeStride: cols / 2, Scales: make([]byte, rows*cols/16), ScaleStride: cols / 16}
	m := fp8.Matrix{Data: src, Elem: fp8.ElemBF16, Rows: rows, Cols: cols, Stride: cols}
	if err := (group.INT4{}).Encode(c, make([]group.Row, rows), m); err != nil {
		t.Fatal(err)
	}
	p := Matrix{Bits: 4, Rows: rows, Cols: cols, Group: 32, Codes: c.Codes, Scales: c.Scales, ScaleElem: fp8.ElemBF16}
	want, got := make([]byte, 2*rows*cols), make([]byte, 2*rows*cols)
	if err := (group.INT4{}).Decode(want, cols, fp8.ElemBF16, c, rows, cols); err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(got, cols, fp8.ElemBF16, 0, rows); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("values differ")
	}
}

// All paths give the bits of the reference, whatever scales there are.
func TestPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	odd := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -0x1p-126, math.MaxFloat32, float32(math.Inf(1)), float32(math.NaN()), math.Float32frombits(0xff800001), 0.37, -1e4}
	one := func() float32 { return odd[r.IntN(len(odd))] }
	for range 300 {
		n := r.IntN(90)
		q, of := make([]uint8, n), make([]int32, n)
		zeros, scales := make([]float32, 5), make([]float32, 5)
		tame := r.IntN(2) == 0
		for i := range scales {
			if zeros[i], scales[i] = float32(r.IntN(257)), one(); tame {
				scales[i] = odd[r.IntN(5)]
			}
		}
		for i := range q {
			q[i], of[i] = uint8(r.Uint32()), int32(r.IntN(len(scales)))
		}
		zero, scale, bias := zeros[0], scales[0], one()
		for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
			want, got := make([]byte, n*e.Size()), make([]byte, n*e.Size()+8)
			for _, p := range paths()[1:] {
				affineGeneric(want, e, q, zero, scale, bias)
				p.affine(got, e, q, zero, scale, bias)
				if !bytes.Equal(got[:len(want)], want) || binary.LittleEndian.Uint64(got[len(want):]) != 0 {
					t.Fatalf("%s: %v: (%v−%v)·%v+%v differ", p.name, e, q, zero, scale, bias)
				}
				orderedGeneric(want, e, q, of, zeros, scales)
				p.ordered(got, e, q, of, zeros, scales)
				if !bytes.Equal(got[:len(want)], want) || binary.LittleEndian.Uint64(got[len(want):]) != 0 {
					t.Fatalf("%s: %v: in order %v: (%v−%v)·%v differ", p.name, e, of, q, zeros, scales)
				}
			}
		}
	}
}
