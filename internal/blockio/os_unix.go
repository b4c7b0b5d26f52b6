//go:build unix

package blockio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func (f *osFile) Lock() error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOSYS) {
		return nil // a file system without locks: better unguarded than unusable
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return plain(err)
	}
	err = d.Sync()
	d.Close()
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		return nil // some file systems cannot sync a folder: as durable as they get
	}
	return plain(err)
}

// noFollow keeps a file that is to be written from being somebody else's, to which a
// link of its name leads.
const noFollow = unix.O_NOFOLLOW

func (osFS) Retire(f File) error {
	err := OS.Remove(f.Name())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
