package gpu_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/gpu"
	"quern/gpu/driver"
)

// Quotients are correctly rounded, by the device's division, by multiplying with
// the reciprocal, and in integers.
func TestQuotients(t *testing.T) {
	n := 1 << 20
	if testing.Short() {
		n = 1 << 14
	}
	r := rand.New(rand.NewPCG(1, 2))
	var x, y []float32
	for len(x) < n {
		a, b := math.Float32frombits(r.Uint32()&0x7fffffff), math.Float32frombits(r.Uint32()&0x7fffffff)
		switch len(x) % 4 {
		case 0: // all the bits that matter
			a, b = math.Float32frombits(math.Float32bits(a)&0xffffff|0x3f000000), math.Float32frombits(math.Float32bits(b)&0x7fffff|0x3f800000)
		case 1: // halfway between two numbers, almost
			b = math.Float32frombits(math.Float32bits(b)&0x7fffff | 0x3f800000)
			a = float32(float64(b) * (1 + float64(r.Uint32N(1<<23)*2+1)*0x1p-24))
		case 2: // subnormal quotients
			a = math.Float32frombits(math.Float32bits(a) & 0x1ffffff)
			b = math.Float32frombits(math.Float32bits(b)&0x7ffffff | 0x3c000000)
		}
		if q := a / b; !(a <= math.MaxFloat32) || !(b >= 0x1p-126 && b <= math.MaxFloat32) || !(q <= math.MaxFloat32) {
			continue
		}
		x, y = append(x, a), append(y, b)
	}
	for _, l := range devices(t) {
		for _, soft := range []bool{false, true} {
			d, err := l.OpenWith(gpu.Options{}, func(d driver.Device) driver.Device {
				if soft {
					return softly{d}
				}
				return d
			})
			if err != nil {
				t.Fatal(err)
			}
			plain, fast, err := gpu.Quotients(d, x, y)
			if err != nil {
				t.Fatal(err)
			}
			for i := range x {
				want := x[i] / y[i]
				if plain[i] != want || fast[i] != want && x[i] <= 0x1p10*y[i] {
					t.Fatalf("%s, in integers %v: %g/%g: %g and %g, want %g", name(l), soft, x[i], y[i], plain[i], fast[i], want)
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
