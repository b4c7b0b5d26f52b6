package scheme_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/scheme"
)

// shaped is a form with settings and the shape of a matrix.
type shaped struct {
	s          *scheme.Scheme
	p          scheme.Params
	rows, cols int64
}

func packing(k scheme.Packing) scheme.Params { return scheme.Params{Packing: k} }

// shapes are those that forms are tried with, each at least once.
func shapes() []shaped {
	const bf16, f16 = safetensors.BF16, safetensors.F16
	return []shaped{
		{scheme.MXFP4, scheme.Params{}, 70, 96},
		{scheme.MXFP4Turned, packing(scheme.Packing{Each: 64}), 192, 40},
		{scheme.NVFP4Turned, packing(scheme.Packing{Each: 64}), 192, 40},
		{scheme.NVFP4Turned, packing(scheme.Packing{Each: 48}), 96, 150},
		{scheme.NVFP4Across, scheme.Params{}, 41, 96},
		{scheme.NVFP4Stack, packing(scheme.Packing{Each: 24}), 72, 48},
		{scheme.NVFP4Plain, packing(scheme.Packing{Codes: safetensors.U32}), 33, 64},
		{scheme.MLXFP8, packing(scheme.Packing{Codes: safetensors.U32}), 33, 64},
		{scheme.PackQuantized, packing(scheme.Packing{Bits: 4, Group: 32, Scales: bf16}), 40, 96},
		{scheme.PackQuantized, packing(scheme.Packing{Bits: 4, Group: 16, Scales: bf16, Zeros: true}), 52, 100},
		{scheme.PackQuantized, packing(scheme.Packing{Bits: 8, Scales: f16, Zeros: true, Shape: safetensors.I64}), 40, 100},
		{scheme.PackQuantized, packing(scheme.Packing{Bits: 3, Group: 32, Scales: bf16}), 20, 96},
		{scheme.PackQuantized, packing(scheme.Packing{Bits: 4, Group: 32, Scales: bf16, Order: true}), 40, 96},
		{scheme.AWQ, packing(scheme.Packing{Bits: 4, Group: 32, Scales: f16, Zeros: true}), 72, 100},
		{scheme.GPTQ, packing(scheme.Packing{Bits: 4, Group: 32, Scales: f16, Zeros: true}), 72, 96},
		{scheme.GPTQ, packing(scheme.Packing{Bits: 8, Group: 32, Scales: f16, Zeros: true, Order: true}), 72, 96},
		{scheme.GPTQv2, packing(scheme.Packing{Bits: 4, Group: 32, Scales: bf16, Zeros: true, Order: true}), 40, 96},
		{scheme.MLXAffine, packing(scheme.Packing{Bits: 5, Group: 32, Scales: bf16}), 21, 96},
		{scheme.INT8, packing(scheme.Packing{Scales: safetensors.F32}), 21, 30},
		{scheme.INT8, packing(scheme.Packing{Scales: bf16, Each: 21}), 21, 30},
	}
}

// bytesOf are codes and scales of any value that is a number.
func (x shaped) bytesOf(r *rand.Rand) (files [][]byte) {
	for _, o := range x.s.Outputs(x.p, x.rows, x.cols) {
		n, err := safetensors.SizeOf(o.DType, o.Shape)
		if err != nil {
			panic(err)
		}
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		for i := 0; i+4 <= len(b) && o.Kind == scheme.Order; i += 4 {
			binary.LittleEndian.PutUint32(b[i:], r.Uint32()%3)
		}
		if size := int(o.DType.Bits() / 8); (o.Kind == scheme.Scale || o.Kind == scheme.TensorScale) && size > 1 || x.s == scheme.MLXAffine && o.Kind == scheme.ZeroPoint {
			for i := 0; i < len(b); i += size {
				b[i+size-1] = 0x3c + byte(i/size%2) // an exponent near that of 1
			}
		} else if o.Kind == scheme.Scale {
			for i := range b {
				b[i] = 64 + b[i]%8 // an exponent or a number that all have
			}
		}
		if o.Kind == scheme.Dimensions {
			binary.LittleEndian.PutUint64(b, uint64(x.rows))
			binary.LittleEndian.PutUint64(b[8:], uint64(x.cols))
		}
		if x.s == scheme.MLXFP8 && o.Kind == scheme.Codes {
			for i := range b {
				b[i] &= 0x77 // no NaN
			}
		}
		files = append(files, b)
	}
	return files
}

// gather has the bytes of a part, as an engine does.
func gather(outputs []scheme.Output, files [][]byte, p scheme.Part, cols int64) (in [][]byte) {
	for n := range outputs {
		if outputs[n].Whole() {
			in = append(in, files[n])
			continue
		}
		var b []byte
		for at, size := range outputs[n].Runs(p, cols) {
			b = append(b, files[n][at:at+size]...)
		}
		in = append(in, b)
	}
	return in
}

// Parts of any form are parts of the whole, and take the bytes that their outputs say.
func TestFormParts(t *testing.T) {
	tried := map[string]bool{}
	for i, x := range shapes() {
		tried[x.s.Name] = true
		t.Run(x.s.Name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			if err := x.s.Check(x.p, x.rows, x.cols); err != nil {
				t.Fatal(err)
			}
			files, outputs := x.bytesOf(r), x.s.Outputs(x.p, x.rows, x.cols)
			all := scheme.Part{Rows: x.rows, Cols: x.cols}
			whole := make([]byte, 4*x.rows*x.cols)
			if err := x.s.Decode(x.p, whole, int(x.cols), fp8.ElemF32, files, all); err != nil {
				t.Fatal(err)
			}
			want := x.plain(files)
			for k := range want {
				if got := math.Float32frombits(binary.LittleEndian.Uint32(whole[4*k:])); got != want[k] {
					t.Fatalf("row %d, column %d: %v, want %v", k/int(x.cols), k%int(x.cols), got, want[k])
				}
			}
			for range 3 {
				for _, part := range cutUp(r, x.s.Grain, x.rows, x.cols) {
					in := gather(outputs, files, part, x.cols)
					for n := range in {
						if !outputs[n].Whole() && int64(len(in[n])) != outputs[n].Size(part) {
							t.Fatalf("output %d of %+v: %d bytes, it says %d", n, part, len(in[n]), outputs[n].Size(part))
						}
					}
					got := make([]byte, 4*part.Rows*part.Cols)
					if err := x.s.Decode(x.p, got, int(part.Cols), fp8.ElemF32, in, part); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, whole[4*part.Row*x.cols:][:len(got)]) {
						t.Fatalf("part %+v differs", part)
					}
					half := make([]byte, 2*part.Rows*part.Cols)
					if err := x.s.Decode(x.p, half, int(part.Cols), fp8.ElemBF16, in, part); err != nil {
						t.Fatal(err)
					}
					rounded := make([]byte, len(half))
					fp8.CastBF16(rounded, got, fp8.ElemF32)
					if !bytes.Equal(half, rounded) {
						t.Fatalf("part %+v in BF16 is not rounded once", part)
					}
				}
			}
		})
	}
	for _, s := range scheme.Forms {
		if !tried[s.Name] {
			t.Errorf("%s is not tried", s.Name)
		}
		if got, err := scheme.Find(s.Name); err != nil || got != s {
			t.Errorf("%s is not found: %v", s.Name, err)
		}
	}
}

var e2m1 = [16]float32{0, .5, 1, 1.5, 2, 3, 4, 6, float32(math.Copysign(0, -1)), -.5, -1, -1.5, -2, -3, -4, -6}

func u32(b []byte, i int64) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

// float is element i of a file of floats.
func float(b []byte, d safetensors.DType, i int64) float32 {
	switch d {
	case safetensors.F32:
		return math.Float32frombits(u32(b, i))
	case safetensors.BF16:
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
	h := binary.LittleEndian.Uint16(b[2*i:])
	e, m := int(h>>10&31), float64(h&1023)
	x := math.Ldexp(1024+m, e-25)
	if e == 0 {
		x = math.Ldexp(m, -24)
	}
	if h>>15 != 0 {
		x = -x
	}
	return float32(x)
}

// plain decodes by the formula of each form, a weight at a time.
func (x shaped) plain(f [][]byte) []float32 {
	out := make([]float32, 0, x.rows*x.cols)
	k := x.p.Packing
	group := k.Group
	if group == 0 {
		group = x.cols
	}
	groups := (x.cols + group - 1) / group
	bit := func(b []byte, at, n int64) (v int32) {
		for i := range n {
			v |= int32(b[(at+i)/8]>>((at+i)%8)&1) << i
		}
		return v
	}
	for r := range x.rows {
		for c := range x.cols {
			nibble := func(at int64) float32 { return e2m1[f[0][at/2]>>(4*(at%2))&15] }
			power := func(at int64) float32 { return float32(math.Ldexp(1, int(f[1][at])-127)) }
			var v float32
			switch x.s {
			case scheme.MXFP4:
				v = nibble(r*x.cols+c) * power(r*(x.cols/32)+c/32)
			case scheme.MXFP4Turned:
				e, i := r/k.Each, r%k.Each
				v = nibble((e*x.cols+c)*k.Each+i) * power((e*x.cols+c)*(k.Each/32)+i/32)
			case scheme.NVFP4Turned: // inputs of all experts below each other, two to a byte
				v = e2m1[f[0][r/2*x.cols+c]>>(4*(r%2))&15] * (fp8.E4M3ToFloat32(f[1][r/16*x.cols+c]) * float(f[2], safetensors.F32, 0))
			case scheme.NVFP4Across:
				v = e2m1[f[0][c/2*x.rows+r]>>(4*(c%2))&15] * (fp8.E4M3ToFloat32(f[1][c/16*x.rows+r]) * float(f[2], safetensors.F32, 0))
			case scheme.NVFP4Stack:
				s := fp8.E4M3ToFloat32(f[1][r*(x.cols/16)+c/16]) * float(f[2], safetensors.F32, r/k.Each)
				v = nibble(r*x.cols+c) * s
			case scheme.NVFP4Plain:
				v = nibble(r*x.cols+c) * fp8.E4M3ToFloat32(f[1][r*(x.cols/16)+c/16])
			case scheme.MLXFP8:
				v = fp8.E4M3ToFloat32(f[0][r*x.cols+c]) * power(r*(x.cols/32)+c/32)
			case scheme.PackQuantized:
				bits := int64(k.Bits)
				words := (x.cols*bits + 31) / 32
				g := c / group
				if k.Order {
					g = int64(u32(f[2], c))
				}
				z := int32(1) << (bits - 1)
				if k.Zeros {
					z = int32(u32(f[2], r*bits/32*groups+g) >> (r * bits % 32) & (1<<bits - 1))
				}
				v = float32(bit(f[0], r*words*32+c*bits, bits)-z) * float(f[1], k.Scales, r*groups+g)
			case scheme.AWQ:
				shift := []int64{0, 16, 4, 20, 8, 24, 12, 28}[r%8]
				q := int32(u32(f[0], c*(x.rows/8)+r/8) >> shift & 15)
				z := int32(u32(f[2], c/group*(x.rows/8)+r/8) >> shift & 15)
				v = float32(q-z) * float(f[1], k.Scales, c/group*x.rows+r)
			case scheme.GPTQ, scheme.GPTQv2:
				bits := int64(k.Bits)
				per := 32 / bits
				g := c / group
				if k.Order {
					g = int64(u32(f[3], c))
				}
				q := int32(u32(f[0], c/per*x.rows+r) >> (c % per * bits) & (1<<bits - 1))
				z := int32(u32(f[2], g*(x.rows/per)+r/per) >> (r % per * bits) & (1<<bits - 1))
				if x.s == scheme.GPTQ {
					z++
				}
				v = float32(q-z) * float(f[1], k.Scales, g*x.rows+r)
			case scheme.MLXAffine:
				bits := int64(k.Bits)
				q := bit(f[0], (r*x.cols+c)*bits, bits)
				v = float32(q) * float(f[1], k.Scales, r*groups+c/group)
				v += float(f[2], k.Scales, r*groups+c/group)
			case scheme.INT8:
				at := r
				if k.Each > 0 {
					at = 0
				}
				v = float32(int8(f[0][r*x.cols+c])) * float(f[1], k.Scales, at)
			}
			out = append(out, v)
		}
	}
	return out
}
