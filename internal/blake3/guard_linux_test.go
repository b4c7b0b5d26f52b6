package blake3

import (
	"testing"

	zeebo "github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// The kernel reads nothing outside of what is hashed: behind it lies a page that
// faults on every access.
func TestReadsNothingElse(t *testing.T) {
	page := unix.Getpagesize()
	size := 1 << 19
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
	inside := m[page : page+size]
	copy(inside, counted(size))
	each(t, func(t *testing.T) {
		for _, n := range []int{1, 1000, 1024, 5000, 9000, 16384, 16385, 30000, 1 << 15, 1<<18 + 1, size} {
			for _, p := range [][]byte{inside[:n], inside[size-n:]} {
				if got, want := Sum256(p), zeebo.Sum256(p); got != want {
					t.Errorf("%d bytes: %x, want %x", n, got, want)
				}
			}
		}
	})
}
