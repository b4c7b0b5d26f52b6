package columns

import (
	"testing"
	"unsafe"

	"quern/internal/cpu/cputest"

	"golang.org/x/sys/unix"
)

// fence is memory between two pages that fault on every access.
func fence(t *testing.T, bytes int) unsafe.Pointer {
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
	return unsafe.Pointer(&m[page])
}

// A kernel that reads or writes one element too far does not survive.
func TestTouchesNothingElse(t *testing.T) {
	const size = 4096
	x, maxima := unsafe.Slice((*float32)(fence(t, size)), size/4), unsafe.Slice((*float32)(fence(t, size)), size/4)
	sums := unsafe.Slice((*float64)(fence(t, size)), size/8)
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for width := 1; width <= Width; width++ {
			for _, rows := range []int{1, 3} {
				n := (rows-1)*(width+1) + width
				Squares(sums[:width], maxima[:rows], x[:n], width+1)
				Squares(sums[len(sums)-width:], maxima[len(maxima)-rows:], x[len(x)-n:], width+1)
			}
		}
	}
}
