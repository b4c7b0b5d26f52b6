package store

import (
	"fmt"
	"io/fs"
	"syscall"
)

func inode(st fs.FileInfo) string {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d.%09d %d", int64(s.Ctim.Sec), int64(s.Ctim.Nsec), s.Ino)
}
