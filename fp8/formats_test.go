package fp8

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/x448/float16"
)

// golden reads a table of testdata, made by PyTorch and ml_dtypes; large ones are
// compressed.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodeTables(t *testing.T) {
	for _, f := range []struct {
		name   string
		encode func(float32) uint8
	}{
		{"e4m3", E4M3FromFloat32},
		{"e2m1", E2M1FromFloat32},
	} {
		want := golden(t, "bf16_to_"+f.name+".bin.gz")
		for p := range 1 << 16 {
			if got := f.encode(BF16ToFloat32(uint16(p))); got != want[p] {
				t.Errorf("%s: BF16 %#04x gives %#02x, want %#02x", f.name, p, got, want[p])
			}
		}
	}
}

func TestDecodeTables(t *testing.T) {
	for _, f := range []struct {
		name   string
		decode func(uint8) float32
	}{
		{"e4m3", E4M3ToFloat32},
		{"e2m1", E2M1ToFloat32},
	} {
		want := golden(t, f.name+"_to_f32.bin")
		for c := range len(want) / 4 {
			got := math.Float32bits(f.decode(uint8(c)))
			if w := binary.LittleEndian.Uint32(want[4*c:]); got != w {
				t.Errorf("%s: code %#02x gives %#08x, want %#08x", f.name, c, got, w)
			}
		}
	}
}

// Every finite code survives the way to float32 and back, and float32 numbers
// beside the midpoint of two codes go to the nearer one.
func TestCodesRoundTrip(t *testing.T) {
	for _, f := range []struct {
		name   string
		n      int
		encode func(float32) uint8
		decode func(uint8) float32
		max    uint8
	}{
		{"e4m3", 256, E4M3FromFloat32, E4M3ToFloat32, 0x7e},
		{"e2m1", 16, E2M1FromFloat32, E2M1ToFloat32, 0x07},
	} {
		sign := uint8(f.n / 2)
		for c := uint8(0); c <= f.max; c++ {
			for _, code := range []uint8{c, c | sign} {
				if got := f.encode(f.decode(code)); got != code {
					t.Errorf("%s: code %#02x comes back as %#02x", f.name, code, got)
				}
			}
			if c == f.max {
				break
			}
			mid := (f.decode(c) + f.decode(c+1)) / 2
			even := c + c&1
			for _, x := range []struct {
				x    float32
				want uint8
			}{
				{math.Nextafter32(mid, 0), c},
				{mid, even},
				{math.Nextafter32(mid, 1e9), c + 1},
			} {
				if got := f.encode(x.x); got != x.want {
					t.Errorf("%s: %v gives %#02x, want %#02x", f.name, x.x, got, x.want)
				}
				if got := f.encode(-x.x); got != x.want|sign {
					t.Errorf("%s: %v gives %#02x, want %#02x", f.name, -x.x, got, x.want|sign)
				}
			}
		}
	}
}

func TestE8M0(t *testing.T) {
	for c := range 255 {
		v := E8M0ToFloat32(uint8(c))
		if want := math.Ldexp(1, c-127); float64(v) != want {
			t.Errorf("code %d gives %v, want %v", c, v, want)
		}
		if got := E8M0FromFloat32(v); int(got) != c {
			t.Errorf("%v gives %d, want %d", v, got, c)
		}
		if got := E8M0FromFloat32(math.Nextafter32(v, 0)); int(got) != c {
			t.Errorf("just below 2^%d gives %d, want %d", c-127, got, c)
		}
		if got := E8M0FromFloat32(math.Nextafter32(v, float32(math.Inf(1)))); int(got) != c+1 {
			t.Errorf("just above 2^%d gives %d, want %d", c-127, got, c+1)
		}
	}
	if v := E8M0ToFloat32(255); v == v {
		t.Errorf("code 255 gives %v", v)
	}
	inf := float32(math.Inf(1))
	for _, x := range []float32{-1, inf, -inf, float32(math.NaN()), math.MaxFloat32, -0x1p-149} {
		if got := E8M0FromFloat32(x); got != 255 {
			t.Errorf("%v gives %d, want 255", x, got)
		}
	}
	for _, x := range []float32{0, float32(math.Copysign(0, -1)), 0x1p-149} {
		if got := E8M0FromFloat32(x); got != 0 {
			t.Errorf("%v gives %d, want 0", x, got)
		}
	}
}

func TestHalf(t *testing.T) {
	for p := range 1 << 16 {
		p := uint16(p)
		if got := BF16FromFloat32(BF16ToFloat32(p)); got != p && got != p|0x40 {
			t.Errorf("BF16 %#04x comes back as %#04x", p, got)
		}
		got := math.Float32bits(F16ToFloat32(p))
		want := math.Float32bits(float16.Frombits(p).Float32())
		if p&0x7c00 == 0x7c00 && p&0x3ff != 0 {
			want |= 1 << 22 // every NaN is made quiet
		}
		if got != want {
			t.Errorf("F16 %#04x gives %#08x, want %#08x", p, got, want)
		}
	}
	for _, c := range []struct {
		x    float32
		want uint16
	}{
		{1 + 0x1p-8, 0x3f80},           // a tie goes to even
		{1 + 0x3p-8, 0x3f82},           // also upwards
		{1 + 0x1p-8 + 0x1p-23, 0x3f81}, // just above one
		{math.MaxFloat32, 0x7f80},
		{-math.MaxFloat32, 0xff80},
		{0x1p-149, 0},
		{0x1p-133, 1},
		{math.Float32frombits(0x7f800001), 0x7fc0},
		{math.Float32frombits(0xffbfffff), 0xffff},
	} {
		if got := BF16FromFloat32(c.x); got != c.want {
			t.Errorf("%v gives %#04x, want %#04x", c.x, got, c.want)
		}
	}
}
