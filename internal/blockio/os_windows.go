package blockio

import (
	"errors"

	"golang.org/x/sys/windows"
)

func (f *osFile) Lock() error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

func (f *osFile) sync() error { return plain(f.File.Sync()) }

// noFollow: the system makes links for administrators only.
const noFollow = 0

// Retire closes first: an open file cannot be removed. Whoever takes the lock between
// the two finds a folder without anything to do, and keeps the file, which then is
// no longer ours to remove.
func (osFS) Retire(f File) error {
	err := f.Close()
	rerr := OS.Remove(f.Name())
	if errors.Is(rerr, windows.ERROR_SHARING_VIOLATION) {
		rerr = nil
	}
	if err == nil {
		err = rerr
	}
	return err
}

// syncDir does nothing: NTFS journals renames, and folders cannot be flushed.
func syncDir(string) error { return nil }

func free(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var n uint64
	if err := windows.GetDiskFreeSpaceEx(p, &n, nil, nil); err != nil {
		return 0, err
	}
	return int64(n), nil
}
