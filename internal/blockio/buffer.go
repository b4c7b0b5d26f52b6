package blockio

import (
	"os"
	"unsafe"
)

// border is what direct calls keep to, in the file and in memory: pages of the page
// cache, so that none is ever written past it in one part and through it in another.
var border = int64(max(4096, os.Getpagesize()))

// hugePage is the size of a large page of most processors.
const hugePage = 2 << 20

// Slack is by how much a buffer has to be larger than what [Fit] takes of it.
func Slack() int { return int(border) }

// Buffer returns n bytes of memory for large reads and writes, in huge pages where the
// system has them. A disk takes as much of these in one request as it can, and of small
// pages, which lie anywhere, a fraction of it: measured, direct reads of 4 MiB are
// requests of 4 MiB instead of 0.7, and twice as fast.
func Buffer(n int) []byte {
	if n < hugePage {
		return make([]byte, n)
	}
	b, _ := fit(make([]byte, n+hugePage), 0, int64(n), hugePage)
	hugePages(b)
	return b
}

// Fit returns n bytes of b that lie to pages of memory as offset off of a file does to
// its blocks, and what of b comes behind them. Large reads and writes at off past the
// page cache need that.
func Fit(b []byte, off, n int64) (p, rest []byte) { return fit(b, off, n, border) }

func fit(b []byte, off, n, to int64) (p, rest []byte) {
	skip := (off - address(b)) % to
	if skip < 0 {
		skip += to
	}
	return b[skip : skip+n : skip+n], b[skip+n:]
}

// Fits reports whether p lies as [Fit] would have it for offset off.
func Fits(p []byte, off int64) bool { return (address(p)-off)%border == 0 }

func address(b []byte) int64 { return int64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
