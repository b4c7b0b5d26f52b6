package group

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"quern/fp8"
	"quern/internal/cpu/cputest"

	"golang.org/x/sys/unix"
)

// fenced returns n bytes that end (or, if low, begin) at a page that faults on
// every access: a kernel that reads or writes one byte too far does not survive.
func fenced(t *testing.T, n int, low bool) []byte {
	t.Helper()
	page := unix.Getpagesize()
	size := (n + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(m) })
	for _, p := range [][]byte{m[:page], m[page+size:]} {
		if err := unix.Mprotect(p, unix.PROT_NONE); err != nil {
			t.Skip(err)
		}
	}
	if low {
		return m[page:][:n:n]
	}
	return m[page+size-n : page+size : page+size]
}

// fencedOf is fenced for other numbers.
func fencedOf[T any](t *testing.T, n int, low bool) []T {
	var one T
	b := fenced(t, max(n, 1)*int(unsafe.Sizeof(one)), low)
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

func TestKernelsStayInside(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, low := range []bool{false, true} {
		for _, cols := range []int{16, 32, 48, 64, 96, 128, 272, 1024, 1056} {
			for _, e := range allElems {
				m := source(e, 2, cols, cols+3, func(int) float64 { return r.NormFloat64() })
				data := fenced(t, len(m.Data), low)
				copy(data, m.Data)
				m.Data = data
				for _, f := range formats(m) {
					l := f.Layout()
					if l.Check(cols) != nil {
						continue
					}
					dst := dense(l, m.Rows, cols)
					dst.Codes = fenced(t, len(dst.Codes), low)
					if l.ScaleBytes > 0 {
						dst.Scales = fenced(t, len(dst.Scales), low)
					}
					f32, bf16 := fenced(t, 4*m.Rows*cols, low), fenced(t, 2*m.Rows*cols, low)
					for _, p := range paths() {
						cputest.Use(t, p.name)
						if err := f.Encode(dst, make([]Row, m.Rows), m); err != nil {
							t.Fatal(err)
						}
						if err := f.Decode(f32, cols, fp8.ElemF32, dst, m.Rows, cols); err != nil {
							t.Fatal(err)
						}
						if err := f.Decode(bf16, cols, fp8.ElemBF16, dst, m.Rows, cols); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		// The kernels take weights and multipliers from scratch memory: here it is
		// fenced.
		for _, n := range []int{16, 32, 48, 64, 80, 128, 272, 1024} {
			w, mult := fencedOf[float32](t, n, low), fencedOf[float32](t, n/unit, low)
			u := fencedOf[float64](t, n, low)
			row := &fencedOf[Row](t, 1, low)[0]
			for i := range w {
				w[i] = float32(r.NormFloat64())
			}
			for i := range mult {
				mult[i] = 0.3
			}
			codes := fenced(t, n, low)
			for _, p := range paths() {
				amax := fencedOf[float32](t, n/unit, low)
				p.amax(amax, w)
				p.nvfp4Scales(fenced(t, n/unit, low), fencedOf[float32](t, n/unit, low), amax, 0.01)
				p.e8m0Scales(fenced(t, n/unit, low), fencedOf[float32](t, 2*(n/unit), low), amax, mxfp8Rule)
				p.int4Scales(fenced(t, 2*(n/unit), low), fencedOf[float32](t, 2*(n/unit), low), amax, 7)
				p.encodeE2M1(codes[:n/2], w, mult, false, row)
				p.encodeINT4(codes[:n/2], w, mult, row)
				p.encodeE4M3(codes, w, mult, row)
				costs := fencedOf[float64](t, len(mult), low)
				p.costE2M1(costs, mult, w, u)
				p.costINT4(costs, mult, w, u)
			}
		}
	}
}
