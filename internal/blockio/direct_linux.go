package blockio

import (
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openDirect opens the file a second time, past the page cache (O_DIRECT), where its
// file system says how calls have to be aligned (statx(2), STATX_DIOALIGN of Linux
// 6.1). The name may mean another file by now, the descriptor does not.
func (f *osFile) openDirect() {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st); err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return
	}
	for _, n := range []uint32{st.Dio_mem_align, st.Dio_offset_align} {
		if n == 0 || border%int64(n) != 0 {
			return
		}
	}
	mode, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return
	}
	d, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), mode&unix.O_ACCMODE|unix.O_DIRECT, 0)
	if err != nil {
		return
	}
	if mode&unix.O_ACCMODE != unix.O_RDONLY {
		// Pages that are read ahead would be those that are written past the cache.
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)
	}
	if !f.direct.CompareAndSwap(nil, d) {
		_ = d.Close()
		return
	}
	f.gathers.Store(mode&unix.O_ACCMODE != unix.O_RDONLY)
}

// cached reports whether most of a range is in the page cache, from where it comes
// faster than from any disk; so it does where the system does not tell.
func cached(f *os.File, off int64, n int) bool {
	pages, err := inCache(f, off, int64(n))
	return err != nil || pages*int64(os.Getpagesize()) >= int64(n)/2
}

func (f *osFile) Cached(offset, n int64) bool {
	size := int64(os.Getpagesize())
	pages, err := inCache(f.File, offset, n)
	return err == nil && pages >= (offset+n+size-1)/size-offset/size
}

// inCache counts the pages of a range that are in the page cache (cachestat(2), of
// Linux 6.5).
func inCache(f *os.File, off, n int64) (int64, error) {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0)
	return int64(st.Cache), err
}

// readDirect reads what it can of p past the page cache, in one call: the blocks of
// which p has only a part go through a bounce buffer, or come from the read before. What is
// left, at the end of the file or all of it, is for other ways to read or to refuse.
func (f *osFile) readDirect(p []byte, off int64) int {
	d := f.direct.Load()
	if d == nil || !Fits(p, off) || cached(f.File, off, len(p)) {
		return 0
	}
	bounce, _ := Fit(make([]byte, 3*border), 0, 2*border)
	first, last := bounce[:border], bounce[border:]
	before := int(off % border) // of the first block, what is not p's
	head := (int(border) - before) % int(border)
	middle, end := p[head:], p[len(p):] // end is in the last block, of which p has a part
	if n := len(middle) % int(border); n > 0 {
		middle, end = middle[:len(middle)-n], middle[len(middle)-n:]
	}
	var list [][]byte
	at := off + int64(head)
	var left, leaves *tail
	if head > 0 {
		if left = f.tails.take(at - border); left == nil {
			list, at = append(list, first), at-border
		}
	}
	list = append(list, middle)
	if len(end) > 0 {
		list = append(list, last)
		if !f.gathers.Load() { // nobody writes through this file
			leaves = f.tails.leave(off + int64(len(p)-len(end)))
			defer close(leaves.done)
		}
	}
	n, err := again(func() (int, error) { return unix.Preadv(int(d.Fd()), list, at) })
	if err != nil {
		return 0
	}
	switch {
	case left != nil:
		if <-left.done; left.block == nil {
			return 0
		}
		first = left.block
	case head > 0:
		if n -= int(border); n <= 0 {
			return 0
		}
	}
	got := copy(p[:head], first[before:]) + min(n, len(middle))
	if n -= len(middle); n > 0 && len(end) > 0 {
		got += copy(end, last[:n])
		if leaves != nil && n == int(border) {
			leaves.block = last
		}
	}
	return got
}

// writeDirect writes the whole blocks of p past the page cache: p[from:to], which is
// nothing where that cannot be done. What lies before and behind is for other ways.
func (f *osFile) writeDirect(p []byte, off int64) (from, to int, err error) {
	d := f.direct.Load()
	if d == nil || !Fits(p, off) {
		return 0, 0, nil
	}
	from = int((border - off%border) % border)
	end := len(p) - int((off+int64(len(p)))%border)
	for to = from; to < end; {
		n, err := again(func() (int, error) { return unix.Pwrite(int(d.Fd()), p[to:end], off+int64(to)) })
		if errors.Is(err, unix.EINVAL) || err == nil && int64(n)%border != 0 {
			break // not aligned as the disk wants it, whatever it said
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return from, to, err
		}
		to += n
	}
	return from, to, nil
}

// again repeats a call that a signal interrupts.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
