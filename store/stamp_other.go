//go:build !linux && !darwin

package store

import "io/fs"

// inode: what a file's information holds of it is not the same everywhere.
func inode(fs.FileInfo) string { return "" }
