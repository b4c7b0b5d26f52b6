package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"quern/internal/blockio"
)

// log is an open and locked log of this machine.
type log struct {
	fs   blockio.FS
	file blockio.File
	size int64 // when it was locked
	end  int64 // of what counts
}

// Log opens the file and locks it. One that was removed between the two (its run has
// just finished) is opened anew: a lock on what has no name keeps nobody out.
func (s *sink) Log(name string) (Log, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	for range 10 {
		f, err := s.fs.Append(path)
		if err != nil {
			return nil, fmt.Errorf("opening %q: %w", path, err)
		}
		if err := f.Lock(); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("locking %q: %w", path, err)
		}
		mine, err := f.Stat()
		var there fs.FileInfo
		if err == nil {
			there, err = s.fs.Stat(path)
		}
		if err == nil && os.SameFile(mine, there) {
			return &log{fs: s.fs, file: f, size: mine.Size()}, nil
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading %q: %w", path, err)
		}
	}
	return nil, fmt.Errorf("locking %q: the file keeps changing", path)
}

func (l *log) String() string                         { return l.file.Name() }
func (l *log) ReadAt(p []byte, at int64) (int, error) { return l.file.ReadAt(p, at) }
func (l *log) Size() int64                            { return l.size }
func (l *log) Keep(n int64)                           { l.end = n }
func (l *log) End() int64                             { return l.end }
func (l *log) Close() error                           { return l.file.Close() }

func (l *log) Append(p []byte) error {
	if err := blockio.WriteFull(l.file, p, l.end); err != nil {
		return fmt.Errorf("writing %q: %w", l, err)
	}
	l.end += int64(len(p))
	return nil
}

func (l *log) Sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("syncing %q: %w", l, err)
	}
	return nil
}

func (l *log) Cut() error {
	if err := l.file.Truncate(l.end); err != nil {
		return fmt.Errorf("truncating %q: %w", l, err)
	}
	return nil
}

func (l *log) Retire() error {
	if err := l.fs.Retire(l.file); err != nil {
		return fmt.Errorf("removing %q: %w", l, err)
	}
	return nil
}
