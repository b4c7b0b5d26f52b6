package gemm

import (
	"math/rand/v2"
	"testing"
	"unsafe"

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

func fencedFloats(t *testing.T, s []float32, low bool) []float32 {
	t.Helper()
	if len(s) == 0 {
		return s
	}
	b := fenced(t, 4*len(s), low)
	f := unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(s))
	copy(f, s)
	return f
}

func TestKernelsStayInside(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 14))
	for n := range 150 {
		low := n%2 == 0
		s := randomShape(r, allFormats[n/2%4], 70, 120)
		w := s.make(r, normal)
		data := fenced(t, len(w.Data), low)
		copy(data, w.Data)
		w.Data = data
		w.Scales = fencedFloats(t, w.Scales, low)
		if s.format == F32 && n%3 == 0 {
			view := floats(r, len(w.Data)/4, normal)
			w = Floats(fencedFloats(t, view, low), s.out, s.in, s.stride, s.transposed)
		}
		rows := 1 + r.IntN(30)
		ldx, ldy := s.in+r.IntN(3), s.out+r.IntN(3)
		x := fencedFloats(t, floats(r, (rows-1)*ldx+s.in, normal), low)
		y := fencedFloats(t, floats(r, (rows-1)*ldy+s.out, normal), low)
		for _, p := range paths() {
			cputest.Use(t, p.name)
			for _, o := range []Options{{}, {Add: true}, {BF16: true}} {
				Mul(y, ldy, x, ldx, rows, &w, o)
				few := min(rows, MaxFew)
				MulFew(y, ldy, x, ldx, few, &w, o)
			}
		}
	}
}
