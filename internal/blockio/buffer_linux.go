package blockio

import "golang.org/x/sys/unix"

// hugePages asks for huge pages under b, which begins at one. It is advice.
func hugePages(b []byte) {
	_ = unix.Madvise(b[:len(b)/hugePage*hugePage], unix.MADV_HUGEPAGE)
}
