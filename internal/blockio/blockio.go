// Package blockio is how quern touches disks: large positioned reads and
// writes, space reserved up front, write-back that runs along with the work
// instead of piling up in the page cache, and files that appear under their
// final name only when they are whole and on the disk.
//
// All of it goes through [FS], so that tests can make any single call fail.
package blockio

import (
	"io"
	"io/fs"
)

// FS is the part of a file system that quern uses. Names are paths of the
// operating system.
type FS interface {
	Open(name string) (File, error)   // for reading
	Create(name string) (File, error) // for reading and writing; truncates
	Append(name string) (File, error) // for reading and writing; keeps, creates
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error) // of a link itself
	// ReadDir lists a folder by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Real is the path without links, of something that is there.
	Real(name string) (string, error)
	Rename(from, to string) error
	// Link gives a file a second name; one that is taken is fs.ErrExist.
	Link(from, to string) error
	Remove(name string) error
	// Retire removes a locked file and closes it, in the order that the system
	// allows: where an open file can lose its name, it does so before the lock ends,
	// so that nobody takes the lock of a file that is about to go.
	Retire(f File) error
	MkdirAll(dir string) error
	// SyncDir makes renames in dir durable.
	SyncDir(dir string) error
	// Free is the space in bytes that an unprivileged user may still fill in
	// dir; −1 if the system does not say.
	Free(dir string) (int64, error)
}

// File is an open file. Methods that only give advice return nothing. Flush and
// Settle are no advice: the system tells of a write that was lost only once, and
// the call that hears of it may be one of them. A Sync behind it then says that all
// is well, so whoever ignores their errors publishes a file with holes.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	// Reserve makes the file size bytes long and claims the disk space where
	// the file system can; ENOSPC comes now rather than in the middle.
	Reserve(size int64) error
	Sync() error
	// Lock takes an exclusive lock that ends with the file or the process;
	// ErrLocked if another holds it.
	Lock() error

	// Uncached asks that large reads and writes from now on leave no pages behind in
	// the page cache that were not there before. It reports whether the system
	// does that by itself; Flush, Settle and Drop are then not needed and do
	// nothing. The file must not be empty, and have its size: small writes may stay in
	// memory until something large enough has come together, or somebody reads them, and
	// their errors come with a later call, at the latest with Sync.
	Uncached() bool
	// Cached reports whether all of a range is in the page cache; false where the system
	// does not say.
	Cached(offset, n int64) bool
	// Sequential announces reading from front to back.
	Sequential()
	// Flush starts writing a range back, without waiting.
	Flush(offset, n int64) error
	// Settle waits until a range is in the disk's cache.
	Settle(offset, n int64) error
	// Drop forgets the cached pages of a range.
	Drop(offset, n int64)
}

// ReadFull fills p from offset; a short file is io.ErrUnexpectedEOF.
func ReadFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == io.EOF || err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteFull writes all of p; a writer that takes less without an error is
// io.ErrShortWrite.
func WriteFull(w io.WriterAt, p []byte, offset int64) error {
	n, err := w.WriteAt(p, offset)
	if err == nil && n != len(p) {
		return io.ErrShortWrite
	}
	return err
}
