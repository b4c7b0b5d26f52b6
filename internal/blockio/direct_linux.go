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
	}
}

// cached reports whether most of a range is in the page cache, from where it comes
// faster than from any disk; so it does where the system does not tell.
func cached(f *os.File, off int64, n int) bool {
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0)
	return err != nil || int64(st.Cache)*int64(os.Getpagesize()) >= int64(n)/2
}

// readDirect reads what it can of p past the page cache, in one call: the blocks of
// which p has only a part go through a bounce buffer. What is left, at the end of the
// file or all of it, is for other ways to read or to refuse.
func (f *osFile) readDirect(p []byte, off int64) int {
	d := f.direct.Load()
	if d == nil || !fits(p, off) || cached(f.File, off, len(p)) {
		return 0
	}
	before := int(off % border)                                   // bytes of the first block that are not p's
	behind := int((border - (off+int64(len(p)))%border) % border) // and of the last
	bounce, _ := Fit(make([]byte, 3*border), 0, 2*border)
	first, last, middle := bounce[:0], bounce[:0], p
	if before > 0 {
		first, middle = bounce[:border], middle[int(border)-before:]
	}
	if behind > 0 {
		last, middle = bounce[border:], middle[:len(middle)-(int(border)-behind)]
	}
	var list [][]byte
	for _, b := range [][]byte{first, middle, last} {
		if len(b) > 0 {
			list = append(list, b)
		}
	}
	n, err := again(func() (int, error) { return unix.Preadv(int(d.Fd()), list, off-int64(before)) })
	n = min(n-before, len(p))
	if err != nil || n <= 0 {
		return 0
	}
	copy(p[:n], first[min(before, len(first)):])
	if at := len(p) - (int(border) - behind); behind > 0 && at < n {
		copy(p[at:n], last)
	}
	return n
}

// writeDirect writes the whole blocks of p past the page cache: p[from:to], which is
// nothing where that cannot be done. What lies before and behind is for other ways.
func (f *osFile) writeDirect(p []byte, off int64) (from, to int, err error) {
	d := f.direct.Load()
	if d == nil || !fits(p, off) {
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
