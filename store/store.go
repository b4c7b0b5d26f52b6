// Package store is where the bytes of a checkpoint lie: a folder of this machine,
// a repository of a hub, a prefix of a bucket. Nothing else opens, lists, writes or
// removes files of checkpoints.
//
// A [Folder] is read: it lists its files and opens them as objects, which are read
// at any offset. Names are relative to the folder and have slashes. Errors read like
// a path and name the file as people know it; those that blame what lies there match
// invalid.Input.
package store

import (
	"context"
	"io"
	"io/fs"
)

// A Stamp names a state of a file: it changes whenever its content may have changed.
// Of a local file it holds size, times and inode; of a remote one its ETag or a
// sha256 of its content. It says nothing of copies elsewhere.
type Stamp string

// An Entry is a file of a folder, as a listing shows it.
type Entry struct {
	Name  string      // relative to the folder, slash-separated
	Size  int64       // bytes; of a link that of what it leads to
	Mode  fs.FileMode // type bits: 0 for a regular file or a link to one
	Stamp Stamp       // "" where the listing does not tell
}

// A Folder is read. It is safe for concurrent use.
type Folder interface {
	// String is how people call it: a path, or a URL without secrets.
	String() string
	// List returns all files, also those of sub-folders, by name.
	List(ctx context.Context) ([]Entry, error)
	// Open opens the file of a name. What is not there is fs.ErrNotExist.
	Open(ctx context.Context, name string) (Object, error)
}

// An Object is an open file. It is safe for concurrent use. Reads end with an error
// that matches invalid.Input when the file is no longer what it was at opening, as
// far as that shows; Check looks on purpose.
type Object interface {
	io.ReaderAt
	io.Closer
	// String is how people call it: a path or a URL without secrets.
	String() string
	Size() int64 // bytes
	Stamp() Stamp
	// Check reports whether the file is still as it was when it was opened: nil, or
	// an error that matches invalid.Input.
	Check() error
	// Sequential announces reading from front to back.
	Sequential()
	// Drop says that a range will not be read again.
	Drop(offset, n int64)
}
