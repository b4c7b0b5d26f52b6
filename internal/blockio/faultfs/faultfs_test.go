package faultfs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
)

var errDisk = errors.New("the disk is on fire")

// failing returns a file system that fails the n-th call of a kind.
func failing(kind faultfs.Kind, n int, err error) *faultfs.FS {
	return &faultfs.FS{Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == kind && c.N == n {
			return &faultfs.Fault{Err: err}
		}
		return nil
	}}
}

// everything makes one call of each kind and returns the first error.
func everything(fsys blockio.FS, dir string) error {
	sub := filepath.Join(dir, "sub")
	if err := fsys.MkdirAll(sub); err != nil {
		return err
	}
	if _, err := fsys.Free(dir); err != nil {
		return err
	}
	name := filepath.Join(sub, "f")
	for _, open := range []func(string) (blockio.File, error){fsys.Create, fsys.Append, fsys.Open} {
		f, err := open(name)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	f.Sequential()
	steps := []func() error{
		f.Lock,
		func() error { return f.Reserve(8) },
		func() error { return blockio.WriteFull(f, []byte("abcdefgh"), 0) },
		func() error { return blockio.ReadFull(f, make([]byte, 8), 0) },
		func() error { return f.Truncate(4) },
		func() error { _, err := f.Stat(); return err },
		func() error { _, err := fsys.Lstat(name); return err },
		func() error { _, err := fsys.ReadDir(sub); return err },
		func() error { _, err := fsys.Real(name); return err },
		f.Sync,
		f.Close,
		func() error { return fsys.Rename(name, name+"2") },
		func() error { return fsys.Link(name+"2", name+"3") },
		func() error { return fsys.SyncDir(sub) },
		func() error { return fsys.Remove(name + "2") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

var kinds = []faultfs.Kind{
	faultfs.Open, faultfs.Create, faultfs.Append, faultfs.Stat, faultfs.Read, faultfs.Write, faultfs.Truncate, faultfs.Reserve,
	faultfs.Sync, faultfs.Close, faultfs.Lock, faultfs.Rename, faultfs.Link, faultfs.Remove, faultfs.Mkdir, faultfs.SyncDir, faultfs.Free, faultfs.List, faultfs.Real,
}

func TestEachKindFails(t *testing.T) {
	for _, k := range kinds {
		fsys := failing(k, 1, errDisk)
		if err := everything(fsys, t.TempDir()); !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", k, err)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", k, n)
		}
	}
}

func TestCallsAreCountedByName(t *testing.T) {
	fsys := &faultfs.FS{NoSync: true}
	dir := t.TempDir()
	if err := everything(fsys, dir); err != nil {
		t.Fatal(err)
	}
	seen := map[faultfs.Kind]int{}
	for _, c := range fsys.Calls() {
		seen[c.Kind]++
	}
	for _, k := range kinds {
		if seen[k] == 0 {
			t.Errorf("no %s was recorded", k)
		}
	}
	if seen[faultfs.Create] != 2 {
		t.Errorf("%d creates", seen[faultfs.Create])
	}
	// The second create of the same name is call 2, that of another name call 1.
	if err := everything(failing(faultfs.Create, 2, errDisk), t.TempDir()); !errors.Is(err, errDisk) {
		t.Errorf("second create: %v", err)
	}
}

func TestShortWritesAndReads(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		fault, want error
	}{{nil, io.ErrShortWrite}, {errDisk, errDisk}} {
		f, err := failing(faultfs.Write, 1, c.fault).Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := blockio.WriteFull(f, []byte("abcdefgh"), 0); !errors.Is(err, c.want) {
			t.Errorf("write: %v, want %v", err, c.want)
		}
		f.Close()
		if got, _ := os.ReadFile(name); !bytes.Equal(got, []byte("abcd")) {
			t.Errorf("the file holds %q, want the first half", got)
		}
	}
	for _, c := range []struct {
		fault, want error
	}{{nil, io.ErrUnexpectedEOF}, {errDisk, errDisk}} {
		f, err := failing(faultfs.Read, 1, c.fault).Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := blockio.ReadFull(f, make([]byte, 4), 0); !errors.Is(err, c.want) {
			t.Errorf("read: %v, want %v", err, c.want)
		}
		f.Close()
	}
}

func TestSpace(t *testing.T) {
	fsys := &faultfs.FS{Space: func() int64 { return 7 }}
	if n, err := fsys.Free(t.TempDir()); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
