package blockio

import (
	"fmt"
	"io/fs"
)

// Stamp names a state of a file: it changes whenever its content may have changed. It
// says nothing of files that are elsewhere, so a copy has another one.
type Stamp string

// StampOf is the stamp of a file of this machine: size in bytes, times of the last
// change of content and of inode in nanoseconds, and the inode's number, as far as
// the system has them. A tool that sets the time back, as copying ones do, changes
// the inode; one that puts another file in its place brings another.
func StampOf(st fs.FileInfo) Stamp {
	return Stamp(fmt.Sprintf("%d %d %s", st.Size(), st.ModTime().UnixNano(), inode(st)))
}
