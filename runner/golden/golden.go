// Package golden reads the answers that tests hold blocks against: safetensors files
// with the weights, inputs and outputs of one module of another implementation.
package golden

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"quern/formats/safetensors"
)

// Tensors are the tensors of a file by name, every number as float32.
type Tensors struct {
	t     testing.TB
	data  map[string][]float32
	shape map[string][]int
}

// Read reads a file of F32, BF16 and I32 tensors; it ends the test if it cannot.
func Read(t testing.TB, path string) *Tensors {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := safetensors.ReadHeader(f, int64(len(raw)), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	g := &Tensors{t: t, data: map[string][]float32{}, shape: map[string][]int{}}
	for _, x := range h.Tensors {
		v := make([]float32, x.Elements())
		for i := range v {
			at := raw[h.DataOffset+x.Begin+int64(i)*x.DType.Bits()/8:]
			switch x.DType {
			case safetensors.F32:
				v[i] = math.Float32frombits(binary.LittleEndian.Uint32(at))
			case safetensors.BF16:
				v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(at)) << 16)
			case safetensors.I32:
				v[i] = float32(int32(binary.LittleEndian.Uint32(at)))
			default:
				t.Fatalf("%s: tensor %q is %s", path, x.Name, x.DType)
			}
		}
		g.data[x.Name] = v
		for _, n := range x.Shape {
			g.shape[x.Name] = append(g.shape[x.Name], int(n))
		}
	}
	return g
}

// Get returns a tensor, row by row.
func (g *Tensors) Get(name string) []float32 {
	g.t.Helper()
	v, ok := g.data[name]
	if !ok {
		g.t.Fatalf("no tensor %q", name)
	}
	return v
}

// Has reports whether the file holds a tensor.
func (g *Tensors) Has(name string) bool { _, ok := g.data[name]; return ok }

// Rows is the length of a tensor's first dimension.
func (g *Tensors) Rows(name string) int { g.Get(name); return g.shape[name][0] }

// Linear is x·Wᵀ with sums in float64, for all rows of x.
func (g *Tensors) Linear(name string, x []float32) []float32 {
	g.t.Helper()
	return Linear(g.Get(name), x, g.shape[name][0])
}

// Linear is x·Wᵀ of a matrix with out rows, with sums in float64.
func Linear(w, x []float32, out int) []float32 {
	in := len(w) / out
	rows := len(x) / in
	y := make([]float32, rows*out)
	for r := range rows {
		for o := range out {
			sum := 0.0
			for i := range in {
				sum += float64(x[r*in+i]) * float64(w[o*in+i])
			}
			y[r*out+o] = float32(sum)
		}
	}
	return y
}

// Near ends the test unless got equals want within bound times want's largest
// magnitude.
func Near(t testing.TB, what string, got, want []float32, bound float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	worst, top, at := 0.0, 0.0, 0
	for i, w := range want {
		top = max(top, math.Abs(float64(w)))
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= bound*top) {
		t.Fatalf("%s: number %d is %v, want %v: off by %.3g of %.3g", what, at, got[at], want[at], worst, top)
	}
}
