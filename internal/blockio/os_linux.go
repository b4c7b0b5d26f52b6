package blockio

import (
	"errors"

	"golang.org/x/sys/unix"
)

func (f *osFile) Reserve(size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case err == nil || size == 0:
			return f.Truncate(size)
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
			return f.Truncate(size) // a file system without it: tmpfs of old kernels, NFS, …
		default:
			return err
		}
	}
}

func (f *osFile) Sequential() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL) }

func (f *osFile) Flush(offset, n int64) {
	if !f.uncached.Load() {
		_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
	}
}

func (f *osFile) Settle(offset, n int64) {
	if !f.uncached.Load() {
		_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	}
}

func (f *osFile) Drop(offset, n int64) {
	if !f.uncached.Load() {
		_ = unix.Fadvise(int(f.Fd()), offset, n, unix.FADV_DONTNEED)
	}
}
