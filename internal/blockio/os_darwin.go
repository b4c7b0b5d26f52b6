package blockio

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Sync is F_FULLFSYNC, which network shares refuse: there fsync is what can be had.
func (f *osFile) sync() error {
	err := f.File.Sync()
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		err = unix.Fsync(int(f.Fd()))
	}
	return plain(err)
}

// free counts blocks of f_bsize, which is the fragment's size here (statfs(2)).
func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
