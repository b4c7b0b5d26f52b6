package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// spool is an object that is being made: a temporary file of this machine until it is
// whole, an upload then. A store takes parts of 5 MiB and more, and gives none back
// before all are there; files of weights are written in the order of the input, which
// touches many of their parts at once, and some of it is read again.
type spool struct {
	sink *sink
	ctx  context.Context
	name string
	file blockio.File
	size atomic.Int64 // up to where it was written or reserved
}

// Create begins an object in a temporary file (TMPDIR), whose name goes at once where
// the system allows it, so that nothing is left of a process that is killed.
func (s *sink) Create(ctx context.Context, name string) (store.Part, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%s: %q is no name of a file in it", s, name)
	}
	path := filepath.Join(os.TempDir(), "quern-"+rand.Text()+store.Partial)
	f, err := blockio.OS.Create(path)
	if err != nil {
		return nil, fmt.Errorf("creating %q: %w", path, err)
	}
	if runtime.GOOS != "windows" {
		_ = blockio.OS.Remove(path)
	}
	return &spool{sink: s, ctx: ctx, name: name, file: f}, nil
}

func (p *spool) String() string                         { return p.sink.path(p.name) }
func (p *spool) ReadAt(b []byte, at int64) (int, error) { return p.file.ReadAt(b, at) }
func (p *spool) Flush(offset, n int64) error            { return p.file.Flush(offset, n) }
func (p *spool) Settle(offset, n int64) error           { return p.file.Settle(offset, n) }
func (p *spool) Drop(offset, n int64)                   { p.file.Drop(offset, n) }
func (p *spool) Discard()                               { blockio.Discard(blockio.OS, p.file) }

func (p *spool) Reserve(size int64) error {
	p.grow(size)
	return p.file.Reserve(size)
}

func (p *spool) WriteAt(b []byte, at int64) (int, error) {
	p.grow(at + int64(len(b)))
	return p.file.WriteAt(b, at)
}

func (p *spool) grow(size int64) {
	for {
		old := p.size.Load()
		if old >= size || p.size.CompareAndSwap(old, size) {
			return
		}
	}
}

// Commit uploads it, unless the same object is there already.
func (p *spool) Commit() error {
	defer p.Discard()
	switch same, err := p.there(); {
	case same || err != nil:
		return err
	}
	err := p.upload()
	if err == nil {
		return nil
	}
	// Another process may have finished it, and a merge may have given up this upload.
	if same, serr := p.there(); same || serr != nil && errors.Is(err, fs.ErrExist) {
		return serr
	}
	return err
}

// there reports whether the object is there and the same. One that differs is an error
// where others write too; else an earlier run has left it, and it goes.
func (p *spool) there() (bool, error) {
	o, err := p.sink.Bucket.Open(p.ctx, p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = o.Close() }()
	same, err := p.equals(o)
	switch {
	case err != nil:
		return false, fmt.Errorf("comparing %q: %w", o, err)
	case same:
		return true, nil
	case p.sink.shared:
		return false, invalid.Errorf("%q: %w", o, store.ErrDiffers)
	}
	return false, p.sink.Bucket.Remove(p.ctx, p.name)
}

func (p *spool) equals(o store.Object) (bool, error) {
	size := p.size.Load()
	if o.Size() != size {
		return false, nil
	}
	o.Sequential()
	x, y := make([]byte, min(partSize, size)), make([]byte, min(partSize, size))
	for at := int64(0); at < size; at += int64(len(x)) {
		n := min(int64(len(x)), size-at)
		if err := blockio.ReadFull(p.file, x[:n], at); err != nil {
			return false, err
		}
		if err := blockio.ReadFull(o, y[:n], at); err != nil {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// upload sends the file, from front to back.
func (p *spool) upload() error {
	size := p.size.Load()
	u, err := p.sink.Bucket.Create(p.ctx, p.name, size)
	if err != nil {
		return err
	}
	buf := make([]byte, min(partSize, size))
	for at := int64(0); at < size; at += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), size-at)]
		if err := blockio.ReadFull(p.file, b, at); err != nil {
			u.Discard()
			return fmt.Errorf("reading %q back: %w", p, err)
		}
		if err := blockio.WriteFull(u, b, at); err != nil {
			u.Discard()
			return err
		}
		p.file.Drop(at, int64(len(b)))
	}
	return u.Commit()
}
