package blockio

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// ErrLocked is returned by [File.Lock] when another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// OS is the machine's file system.
var OS FS = osFS{}

type osFS struct{}

type osFile struct {
	*os.File
	uncached atomic.Bool             // see Uncached
	direct   atomic.Pointer[os.File] // the same file past the page cache, where it can be had
	gathers  atomic.Bool             // small writes wait in ends
	ends     ends
	tails    tails
}

// large is the size in bytes from which calls leave the page cache alone. Small
// pieces that share pages with their neighbours are better off in it.
const large = 256 << 10

func (osFS) Open(name string) (File, error) { return wrap(os.Open(name)) }

func (osFS) Create(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC|noFollow, 0o644))
}

func (osFS) Append(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|noFollow, 0o644))
}

func wrap(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, plain(err)
	}
	return &osFile{File: f}, nil
}

func (osFS) Stat(name string) (fs.FileInfo, error) {
	st, err := os.Stat(name)
	return st, plain(err)
}

func (osFS) Lstat(name string) (fs.FileInfo, error) {
	st, err := os.Lstat(name)
	return st, plain(err)
}

func (osFS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := os.ReadDir(name)
	return list, plain(err)
}

func (osFS) Real(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	return real, plain(err)
}

func (osFS) Rename(from, to string) error   { return plain(os.Rename(from, to)) }
func (osFS) Link(from, to string) error     { return plain(os.Link(from, to)) }
func (osFS) Remove(name string) error       { return plain(os.Remove(name)) }
func (osFS) MkdirAll(dir string) error      { return plain(os.MkdirAll(dir, 0o755)) }
func (osFS) SyncDir(dir string) error       { return syncDir(dir) }
func (osFS) Free(dir string) (int64, error) { return free(dir) }

func (f *osFile) ReadAt(p []byte, off int64) (n int, err error) {
	if err := f.ends.settle(off, int64(len(p)), f.writeCached); err != nil {
		return 0, err
	}
	if len(p) >= large && off >= 0 {
		if n = f.readDirect(p, off); n == len(p) {
			return n, nil
		}
		if f.uncached.Load() {
			m, err := f.readUncached(p[n:], off+int64(n))
			return n + m, err
		}
	}
	m, err := f.File.ReadAt(p[n:], off+int64(n))
	return n + m, plain(err)
}

func (f *osFile) WriteAt(p []byte, off int64) (n int, err error) {
	if err := f.ends.settle(off, int64(len(p)), f.writeCached); err != nil {
		return 0, err
	}
	switch {
	case off < 0, len(p) < large && (len(p) > small || !f.gathers.Load()):
		return f.writeCached(p, off)
	case len(p) <= small:
		if err := f.ends.add(p, off, f.writeCached); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	from, to, err := f.writeDirect(p, off)
	if err != nil {
		return 0, err
	}
	if from < to {
		if err := f.ends.add(p[:from], off, f.writeCached); err != nil {
			return 0, err
		}
		if err := f.ends.add(p[to:], off+int64(to), f.writeCached); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if f.uncached.Load() {
		return f.writeUncached(p, off)
	}
	return f.writeCached(p, off)
}

func (f *osFile) writeCached(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, plain(err)
}

func (f *osFile) Close() error {
	err := f.ends.all(f.writeCached)
	if cerr := plain(f.File.Close()); err == nil {
		err = cerr
	}
	if d := f.direct.Swap(nil); d != nil {
		_ = d.Close() // its writes are done: they wait for the disk
	}
	return err
}

func (f *osFile) Truncate(size int64) error {
	if err := f.ends.all(f.writeCached); err != nil {
		return err
	}
	return plain(f.File.Truncate(size))
}

func (f *osFile) Sync() error {
	if err := f.ends.all(f.writeCached); err != nil {
		return err
	}
	return f.sync()
}

// plain drops the operation and path that package os puts in front: callers
// say both in their own words, and once is enough.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}
