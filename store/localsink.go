package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"quern/internal/blockio"
)

// sink is a folder of this machine that is written to.
type sink struct{ *local }

// LocalSink is a folder of this machine's to write to, reached through fsys; nil is
// the machine's own.
func LocalSink(fsys blockio.FS, dir string) Sink { return &sink{newLocal(fsys, dir)} }

func localSink(location string) (Sink, error) { return LocalSink(nil, pathOf(location)), nil }

func (s *sink) Make() (made bool, err error) {
	_, err = s.fs.Stat(s.dir)
	made = errors.Is(err, fs.ErrNotExist)
	if err := s.fs.MkdirAll(s.dir); err != nil {
		return false, fmt.Errorf("creating folder %q: %w", s.dir, err)
	}
	return made, nil
}

// Unmake fails in silence if someone else uses the folder by now.
func (s *sink) Unmake() { _ = s.fs.Remove(s.dir) }

func (s *sink) Names() ([]string, error) {
	list, err := s.fs.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if st, serr := s.fs.Stat(s.dir); serr == nil && !st.IsDir() {
		return nil, ErrNotFolder
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, err
}

func (s *sink) Look(name string) (Entry, error) {
	path, err := s.path(name)
	if err != nil {
		return Entry{}, err
	}
	st, err := s.fs.Lstat(path)
	if err != nil {
		return Entry{}, fmt.Errorf("looking at %q: %w", path, err)
	}
	return Entry{Name: name, Size: st.Size(), Mode: st.Mode().Type(), Stamp: StampOf(st)}, nil
}

func (s *sink) Left(name string) int64 {
	e, err := s.Look(name + Partial)
	if err != nil || !e.Mode.IsRegular() {
		return 0
	}
	return e.Size
}

func (s *sink) Sweep(name string) error {
	if _, err := s.Look(name + Partial); err != nil {
		return nil
	}
	return s.Remove(name + Partial)
}

func (s *sink) Remove(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %q: %w", path, err)
	}
	return nil
}

func (s *sink) Sync() error {
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("syncing folder %q: %w", s.dir, err)
	}
	return nil
}

func (s *sink) Free() (int64, error) {
	for dir := s.dir; ; dir = filepath.Dir(dir) {
		up := filepath.Dir(dir)
		_, err := s.fs.Stat(dir)
		if err != nil && up != dir {
			continue
		}
		if err != nil {
			dir = "."
		}
		n, err := s.fs.Free(dir)
		if err != nil {
			return 0, fmt.Errorf("asking for the space left in %q: %w", s.dir, err)
		}
		return n, nil
	}
}

func (s *sink) Create(_ context.Context, name string) (Part, error) {
	p, err := s.create(name, name+Partial)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// create begins the file of a name, as which it is called partial.
func (s *sink) create(name, partial string) (*part, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	if dir := filepath.Dir(path); strings.Contains(name, "/") {
		if err := s.fs.MkdirAll(dir); err != nil {
			return nil, fmt.Errorf("creating folder %q: %w", dir, err)
		}
	}
	begun, err := s.path(partial)
	if err != nil {
		return nil, err
	}
	f, err := s.fs.Create(begun)
	if err != nil {
		return nil, fmt.Errorf("creating %q: %w", begun, err)
	}
	return &part{file: f, fs: s.fs, path: path}, nil
}

// part is a file of this machine under its partial name.
type part struct {
	file blockio.File
	fs   blockio.FS
	path string // the final one
}

func (p *part) String() string                          { return p.file.Name() }
func (p *part) ReadAt(b []byte, at int64) (int, error)  { return p.file.ReadAt(b, at) }
func (p *part) WriteAt(b []byte, at int64) (int, error) { return p.file.WriteAt(b, at) }
func (p *part) Reserve(size int64) error                { return p.file.Reserve(size) }
func (p *part) Flush(offset, n int64) error             { return p.file.Flush(offset, n) }
func (p *part) Settle(offset, n int64) error            { return p.file.Settle(offset, n) }
func (p *part) Drop(offset, n int64)                    { p.file.Drop(offset, n) }
func (p *part) Uncached() bool                          { return p.file.Uncached() }
func (p *part) Commit() error                           { return blockio.Publish(p.fs, p.file, p.path) }
func (p *part) Discard()                                { blockio.Discard(p.fs, p.file) }
