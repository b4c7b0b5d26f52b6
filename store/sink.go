package store

import (
	"context"
	"errors"
	"io"

	"quern/internal/blockio"
)

// Partial is the suffix of files that are not finished, where a store shows such.
const Partial = blockio.Partial

// ErrNotFolder is matched by the error of listing what is a file.
var ErrNotFolder = errors.New("not a folder")

// ErrDiffers is matched, beside invalid.Input, by the error of a file that another
// process has finished first, with other bytes.
var ErrDiffers = blockio.ErrDiffers

// ErrLocked is matched by the error of a log that another process holds.
var ErrLocked = blockio.ErrLocked

// A Sink is a folder that is written to, by whoever holds its log. It is read like
// any other, so that a run finds what an earlier one has left. Open and Create take
// names below it only; it is safe for concurrent use.
type Sink interface {
	Folder
	// Make makes the folder, and those above it, where it is not there; made says
	// that it was not. Unmake removes it if it is empty.
	Make() (made bool, err error)
	Unmake()
	// Names lists what lies directly in it, folders and hidden files among them.
	// Without the folder it is fs.ErrNotExist, of a file ErrNotFolder.
	Names() ([]string, error)
	// Look says what a name stands for: of a link the link. What is not there is
	// fs.ErrNotExist.
	Look(name string) (Entry, error)
	// Create begins a file, with the folders on its way. What an earlier run has left
	// of it is gone.
	Create(ctx context.Context, name string) (Part, error)
	// Left is the size of what an earlier run has left of a file that it did not
	// finish, 0 if nothing; Sweep removes it.
	Left(name string) int64
	Sweep(name string) error
	// Remove removes a file, of a link the link. What is not there is no error.
	Remove(name string) error
	// Sync makes names that came and went last.
	Sync() error
	// Free is the space in bytes that is left where the folder is, or will be; −1 if
	// nobody knows.
	Free() (int64, error)
	// Log opens the log of a name, new or an earlier run's, and takes its lock.
	Log(name string) (Log, error)
	// Shared is the same sink for one of several processes that write at once: what it
	// has begun has names of its own, which end with .ID and [Partial], directly in
	// the folder, and lasts until it is finished or someone removes it. Of two
	// processes that finish a file, the first one's stays: Commit compares, and an
	// equal one is as good. Otherwise it is ErrDiffers.
	Shared(id string) Sink
	// Relation says how the sink lies to a folder that is read.
	Relation(f Folder) (Relation, error)
}

// Relation is how two folders lie to each other.
type Relation int

// The relations. What cannot be known counts as apart.
const (
	Apart  Relation = iota
	Same            // by whatever names
	Nested          // one lies in the other
)

// A Part is a file that is being written. It has its final name when it is whole and
// will last, or never. It is safe for concurrent use but for Commit and Discard, one
// of which ends it. Errors of ReadAt, WriteAt, Reserve, Flush and Settle do not name
// it. Flush and Settle are no advice: what they tell of a lost write is told once.
type Part interface {
	io.ReaderAt
	io.WriterAt
	// String is how people call it as long as it is not finished.
	String() string
	// Reserve makes it size bytes long and claims the space, as far as the store can.
	Reserve(size int64) error
	// Flush starts writing a range back, without waiting; Settle waits until it is
	// there; Drop forgets its cached pages.
	Flush(offset, n int64) error
	Settle(offset, n int64) error
	Drop(offset, n int64)
	// Commit gives it its final name, durably. Where it cannot, it discards it.
	Commit() error
	// Discard removes it, in silence: an error has led here.
	Discard()
}

// A Log is a file of a run that is under way: records are added at its end, what is
// behind them does not count. Its lock ends with it or with the process.
type Log interface {
	io.ReaderAt
	// String is how people call it.
	String() string
	// Size is what was there, in bytes, when it was locked.
	Size() int64
	// Keep says that so many bytes count: the next record comes behind them, over
	// whatever is there.
	Keep(n int64)
	// End is where the next record comes.
	End() int64
	// Append adds to a record. It lasts when Sync has been called.
	Append(p []byte) error
	Sync() error
	// Cut removes what does not count.
	Cut() error
	Close() error
	// Retire removes it and gives its lock back, in the order that keeps others out.
	Retire() error
}
