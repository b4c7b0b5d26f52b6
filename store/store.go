// Package store is where the bytes of a checkpoint lie: a folder of this machine,
// a repository of a hub, a prefix of a bucket. Nothing else opens, lists, writes or
// removes files of checkpoints.
//
// A [Folder] is read: it lists its files and opens them as objects, which are read
// at any offset. A [Sink] is a folder that is written to: files take their final name
// when they are whole, and a locked [Log] says what an interrupted run has finished.
// Names are relative to the folder and have slashes. Errors read like a path and name
// the file as people know it; those that blame what lies there match invalid.Input.
//
// What a location that the user typed stands for is the table of kinds.go. Files of
// this machine are reached through a blockio.FS, so that tests can make any single
// call fail.
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
	// Outside is where a link leads that leaves the checkpoint, "" for all others.
	Outside string
}

// A Folder is read. It is safe for concurrent use.
type Folder interface {
	// String is how people call it: a path, or a URL without secrets.
	String() string
	// List returns all files, also those of sub-folders, by name. What begins with a
	// dot, and what lies in a folder that does, is no part of a checkpoint and need
	// not be listed. More than [MaxEntries] files are an error, and so is a link that
	// leads nowhere.
	List(ctx context.Context) ([]Entry, error)
	// Open opens the file of a name. What is not there is fs.ErrNotExist, what is no
	// regular file matches invalid.Input.
	Open(ctx context.Context, name string) (Object, error)
}

// An Object is an open file. It is safe for concurrent use. Reads end with an error
// that matches invalid.Input when the file is no longer what it was at opening, as
// far as that shows; Check looks on purpose. Errors of ReadAt need not name the file:
// who reads says which tensor of which file it was.
type Object interface {
	io.ReaderAt
	io.Closer
	// String is how people call it: a path or a URL without secrets.
	String() string
	Size() int64 // bytes
	Stamp() Stamp
	// Check reports whether the file is still as it was when it was opened: nil, or
	// an error that matches invalid.Input and ErrChanged.
	Check() error
	// Sequential announces reading from front to back.
	Sequential()
	// Drop says that a range will not be read again.
	Drop(offset, n int64)
}
