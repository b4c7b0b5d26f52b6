package store

import (
	"fmt"
	"io/fs"
)

// StampOf is the stamp of a file of this machine: size in bytes, times of the last
// change of content and of inode in nanoseconds, and the inode's number, as far as
// the system has them. A tool that sets the time back, as copying ones do, changes
// the inode; one that puts another file in its place brings another.
func StampOf(st fs.FileInfo) Stamp {
	return Stamp(fmt.Sprintf("%d %d %s", st.Size(), st.ModTime().UnixNano(), inode(st)))
}
