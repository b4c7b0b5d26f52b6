package hf

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"

	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/store"
)

// parallelHeaders bounds how many headers are read at once: enough to hide the
// latency of a network disk, few enough to keep memory small.
const parallelHeaders = 8

// largeHeader is from where on headers are read one at a time: eight of the limit
// of the format would take most of a gigabyte. Published ones have some 100 KB.
const largeHeader = 8 << 20

var oneLarge sync.Mutex

// maxTensors bounds the tensors of a checkpoint. The largest published have some
// 250,000.
const maxTensors = 10_000_000

// openFiles reads the headers of the weight files and makes the directory of tensors.
func (c *Checkpoint) openFiles(ctx context.Context, names []string) error {
	c.Files = make([]*File, len(names))
	errs := make([]error, len(names))
	var g errgroup.Group
	g.SetLimit(parallelHeaders)
	for i, name := range names {
		g.Go(func() error {
			c.Files[i], errs[i] = openFile(ctx, c.Folder, name)
			return nil // all are read, so that the error is that of the first by name
		})
	}
	_ = g.Wait()
	total := 0
	for i, f := range c.Files {
		if errs[i] != nil {
			return errs[i]
		}
		total += len(f.Header.Tensors)
	}
	if total > maxTensors {
		return invalid.Errorf("%s: %d tensors, more than %d", c.Path, total, maxTensors)
	}
	c.byName = make(map[string]Ref, total)
	for r := range c.All() {
		if other, twice := c.byName[r.Tensor.Name]; twice {
			return invalid.Errorf("reading %q: tensor %q is in %q too", r.File.Name, r.Tensor.Name, other.File.Name)
		}
		c.byName[r.Tensor.Name] = r
	}
	return nil
}

// openFile reads the header of one weight file.
func openFile(ctx context.Context, folder store.Folder, name string) (*File, error) {
	r, err := folder.Open(ctx, name)
	if err != nil {
		return nil, notFound(name, err)
	}
	defer func() { _ = r.Close() }()
	f := &File{Name: name, Path: r.String(), Size: r.Size(), Stamp: r.Stamp(), folder: folder}
	var length [8]byte
	n, err := r.ReadAt(length[:], 0)
	if err != nil && err != io.EOF { // a file that is too short is for ReadHeader to tell
		return nil, reading(name, err)
	}
	if n == len(length) && binary.LittleEndian.Uint64(length[:]) > largeHeader {
		oneLarge.Lock()
		defer oneLarge.Unlock()
	}
	f.Header, err = safetensors.ReadHeader(r, f.Size, safetensors.Limits{})
	if err != nil {
		return nil, reading(f.Name, err)
	}
	return f, nil
}

// Open opens the file to read its data. It is refused when its stamp is not what it
// was when the header was read; ask the object's Check again when the data has been
// read.
func (f *File) Open(ctx context.Context) (store.Object, error) { return f.OpenIn(ctx, f.folder) }

// OpenIn is Open of the file in another folder that holds the same, nil for its own.
func (f *File) OpenIn(ctx context.Context, folder store.Folder) (store.Object, error) {
	if folder == nil {
		folder = f.folder
	}
	r, err := folder.Open(ctx, f.Name)
	if err != nil {
		return nil, notFound(f.Name, err)
	}
	if r.Stamp() != f.Stamp {
		_ = r.Close()
		return nil, invalid.Errorf("%s: %w (%d bytes, then %d)", f.Path, store.ErrChanged, f.Size, r.Size())
	}
	return r, nil
}

// reading puts the name of a file before an error and keeps what it matches.
func reading(name string, err error) error {
	if errors.Is(err, invalid.Input) {
		return invalid.Errorf("reading %q: %w", name, err)
	}
	return &fs.PathError{Op: "reading", Path: name, Err: err}
}

// notFound makes a missing file the fault of the checkpoint.
func notFound(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return invalid.Errorf("reading %q: no such file (or a link that leads nowhere)", name)
	}
	return err
}

// byName orders side files.
func byName(a, b SideFile) int { return cmp.Compare(a.Name, b.Name) }
