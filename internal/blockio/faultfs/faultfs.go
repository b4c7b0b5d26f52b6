// Package faultfs is a file system for tests in which any single call can be
// made to fail, to be slow or to wait. It counts and records the calls that
// pass through it.
package faultfs

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"quern/internal/blockio"
)

// Kind is what a call does.
type Kind string

// The calls that can fail. Advice (Sequential, Drop) returns nothing and passes
// unseen.
const (
	Open     Kind = "open"
	Create   Kind = "create"
	Append   Kind = "append"
	Stat     Kind = "stat" // of an open file, a name, or a link itself
	Read     Kind = "read"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Reserve  Kind = "reserve"
	Flush    Kind = "flush"
	Settle   Kind = "settle"
	Sync     Kind = "sync"
	Close    Kind = "close"
	Lock     Kind = "lock"
	Rename   Kind = "rename"
	Link     Kind = "link"
	Remove   Kind = "remove"
	Mkdir    Kind = "mkdir"
	SyncDir  Kind = "syncdir"
	Free     Kind = "free"
	List     Kind = "list" // of a folder
	Real     Kind = "real" // a path without links
)

// Call is a call on its way to the file system below.
type Call struct {
	Kind Kind
	Name string // of the file or folder; what Rename gives a new name
	N    int    // counts the calls of this kind on this name, from 1
	Len  int    // bytes that Read and Write are asked for
}

// Fault is what becomes of a call that does not pass. Read and Write do half
// of their work first, also where Err is nil: then they break the contract of
// io.ReaderAt and io.WriterAt as broken disks do. Close closes the file all the
// same.
type Fault struct{ Err error }

// FS is a file system that asks Hook about every call.
type FS struct {
	// Under does the work; nil is blockio.OS.
	Under blockio.FS
	// Hook, if set, returns nil for calls that are to pass. It may wait. It is
	// called from many goroutines at once.
	Hook func(Call) *Fault
	// NoSync keeps Sync, SyncDir, Flush and Settle from the disk: they count and may
	// fail, but cost nothing.
	NoSync bool
	// Windows makes open files impossible to remove and rename, as they are there.
	Windows bool
	// Space, if set, is what Free says, in bytes.
	Space func() int64

	mu     sync.Mutex
	counts map[key]int
	calls  []Call
	open   int
	names  map[string]int // open files by name
}

// ErrOpen is what FS.Windows makes of removing or renaming an open file.
var ErrOpen = errors.New("the file is open")

type key struct {
	kind Kind
	name string
}

// Calls returns the calls so far, in their order.
func (f *FS) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// OpenFiles is the number of files that are open.
func (f *FS) OpenFiles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

func (f *FS) call(kind Kind, name string, n int) *Fault {
	f.mu.Lock()
	if f.counts == nil {
		f.counts = map[key]int{}
	}
	f.counts[key{kind, name}]++
	c := Call{Kind: kind, Name: name, N: f.counts[key{kind, name}], Len: n}
	f.calls = append(f.calls, c)
	hook := f.Hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(c)
}

func (f *FS) under() blockio.FS {
	if f.Under == nil {
		return blockio.OS
	}
	return f.Under
}

func (f *FS) file(kind Kind, name string, open func(string) (blockio.File, error)) (blockio.File, error) {
	if x := f.call(kind, name, 0); x != nil {
		return nil, x.Err
	}
	under, err := open(name)
	if err != nil {
		return nil, err
	}
	f.count(name, 1)
	return &file{File: under, fs: f}, nil
}

// count keeps account of open files.
func (f *FS) count(name string, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil {
		f.names = map[string]int{}
	}
	f.open += by
	f.names[name] += by
}

// held reports whether a name cannot go because of FS.Windows.
func (f *FS) held(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Windows && f.names[name] > 0
}

// Open implements blockio.FS, as the methods after it.
func (f *FS) Open(name string) (blockio.File, error) { return f.file(Open, name, f.under().Open) }

func (f *FS) Create(name string) (blockio.File, error) {
	return f.file(Create, name, f.under().Create)
}

func (f *FS) Append(name string) (blockio.File, error) {
	return f.file(Append, name, f.under().Append)
}

func (f *FS) Stat(name string) (fs.FileInfo, error) {
	return look(f, Stat, name, f.under().Stat)
}

func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	return look(f, Stat, name, f.under().Lstat)
}

func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	return look(f, List, name, f.under().ReadDir)
}

func (f *FS) Real(name string) (string, error) { return look(f, Real, name, f.under().Real) }

// look is a call that changes nothing.
func look[T any](f *FS, kind Kind, name string, under func(string) (T, error)) (T, error) {
	if x := f.call(kind, name, 0); x != nil {
		var none T
		return none, x.Err
	}
	return under(name)
}

func (f *FS) Rename(from, to string) error {
	if x := f.call(Rename, from, 0); x != nil {
		return x.Err
	}
	if f.held(from) || f.held(to) {
		return ErrOpen
	}
	return f.under().Rename(from, to)
}

func (f *FS) Link(from, to string) error {
	if x := f.call(Link, from, 0); x != nil {
		return x.Err
	}
	return f.under().Link(from, to)
}

func (f *FS) Remove(name string) error {
	if x := f.call(Remove, name, 0); x != nil {
		return x.Err
	}
	if f.held(name) {
		return ErrOpen
	}
	return f.under().Remove(name)
}

func (f *FS) Retire(x blockio.File) error {
	steps := []func() error{func() error { return f.Remove(x.Name()) }, x.Close}
	if f.Windows {
		steps[0], steps[1] = steps[1], steps[0]
	}
	first := steps[0]()
	if second := steps[1](); first == nil {
		first = second
	}
	return first
}

func (f *FS) MkdirAll(dir string) error {
	if x := f.call(Mkdir, dir, 0); x != nil {
		return x.Err
	}
	return f.under().MkdirAll(dir)
}

func (f *FS) SyncDir(dir string) error {
	if x := f.call(SyncDir, dir, 0); x != nil {
		return x.Err
	}
	if f.NoSync {
		return nil
	}
	return f.under().SyncDir(dir)
}

func (f *FS) Free(dir string) (int64, error) {
	if x := f.call(Free, dir, 0); x != nil {
		return 0, x.Err
	}
	if f.Space != nil {
		return f.Space(), nil
	}
	return f.under().Free(dir)
}

// file is an open file whose calls pass through fs.
type file struct {
	blockio.File
	fs     *FS
	closed atomic.Bool
}

func (f *file) Stat() (fs.FileInfo, error) {
	if x := f.fs.call(Stat, f.Name(), 0); x != nil {
		return nil, x.Err
	}
	return f.File.Stat()
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if x := f.fs.call(Read, f.Name(), len(p)); x != nil {
		n, _ := f.File.ReadAt(p[:len(p)/2], off)
		return n, x.Err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if x := f.fs.call(Write, f.Name(), len(p)); x != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, x.Err
	}
	return f.File.WriteAt(p, off)
}

func (f *file) Truncate(size int64) error {
	if x := f.fs.call(Truncate, f.Name(), 0); x != nil {
		return x.Err
	}
	return f.File.Truncate(size)
}

func (f *file) Reserve(size int64) error {
	if x := f.fs.call(Reserve, f.Name(), 0); x != nil {
		return x.Err
	}
	return f.File.Reserve(size)
}

func (f *file) Flush(offset, n int64) error {
	if x := f.fs.call(Flush, f.Name(), int(n)); x != nil {
		return x.Err
	}
	if f.fs.NoSync {
		return nil
	}
	return f.File.Flush(offset, n)
}

func (f *file) Settle(offset, n int64) error {
	if x := f.fs.call(Settle, f.Name(), int(n)); x != nil {
		return x.Err
	}
	if f.fs.NoSync {
		return nil
	}
	return f.File.Settle(offset, n)
}

func (f *file) Sync() error {
	if x := f.fs.call(Sync, f.Name(), 0); x != nil {
		return x.Err
	}
	if f.fs.NoSync {
		return nil
	}
	return f.File.Sync()
}

func (f *file) Lock() error {
	if x := f.fs.call(Lock, f.Name(), 0); x != nil {
		return x.Err
	}
	return f.File.Lock()
}

func (f *file) Close() error {
	x := f.fs.call(Close, f.Name(), 0)
	if !f.closed.Swap(true) {
		f.fs.count(f.Name(), -1)
	}
	err := f.File.Close()
	if x != nil {
		return x.Err
	}
	return err
}
