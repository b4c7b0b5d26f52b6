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
	return fmt.Sprintf("%d.%09d %d", s.Ctimespec.Sec, s.Ctimespec.Nsec, s.Ino)
}
