package vec

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"quern/internal/cpu/cputest"

	"golang.org/x/sys/unix"
)

// fence is memory between two pages that fault on every access: a kernel that
// reads or writes one element too far does not survive.
func fence(t *testing.T, bytes int) []float32 {
	t.Helper()
	page := unix.Getpagesize()
	size := (bytes + page - 1) / page * page
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
	return unsafe.Slice((*float32)(unsafe.Pointer(&m[page])), size/4)
}

func TestKernelsTouchNothingElse(t *testing.T) {
	var rows [4][]float32
	for i := range rows {
		rows[i] = fence(t, 4096)
	}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, k := range kernels {
			for n := range 200 {
				for _, low := range []bool{false, true} {
					r := rand.New(rand.NewPCG(uint64(n), 5))
					used := 0
					k.run(func(n int) []float32 {
						x := rows[used]
						used++
						if low {
							x = x[:n:n]
						} else {
							x = x[len(x)-n:]
						}
						for i := range x {
							x[i] = float32(r.NormFloat64())
						}
						return x
					}, n)
				}
			}
		}
	}
}
