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

func (f *osFile) Flush(offset, n int64) error {
	return f.writeBack(offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

func (f *osFile) Settle(offset, n int64) error {
	return f.writeBack(offset, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}

// writeBack is sync_file_range(2), which reports the errors of earlier write-back and
// takes them off the file.
func (f *osFile) writeBack(offset, n int64, how int) error {
	if f.uncached.Load() {
		return nil
	}
	for {
		err := unix.SyncFileRange(int(f.Fd()), offset, n, how)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESPIPE):
			return nil // a file system or sandbox without it: Sync does all of the work
		}
		return err
	}
}

func (f *osFile) sync() error { return plain(f.File.Sync()) }

// free counts blocks of f_frsize: f_bsize is the size that the file system likes to
// transfer, which on network file systems is larger (statvfs(3)).
func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	size := int64(st.Frsize)
	if size <= 0 {
		size = int64(st.Bsize)
	}
	return int64(st.Bavail) * size, nil
}

func (f *osFile) Drop(offset, n int64) {
	if !f.uncached.Load() {
		_ = unix.Fadvise(int(f.Fd()), offset, n, unix.FADV_DONTNEED)
	}
}
