package hf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/internal/invalid"
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
func (c *Checkpoint) openFiles(paths []string) error {
	slices.Sort(paths)
	c.Files = make([]*File, len(paths))
	errs := make([]error, len(paths))
	var g errgroup.Group
	g.SetLimit(parallelHeaders)
	for i, path := range paths {
		g.Go(func() error {
			c.Files[i], errs[i] = openFile(path)
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
func openFile(path string) (*File, error) {
	f := &File{Name: filepath.Base(path), Path: path}
	r, err := os.Open(path)
	if err != nil {
		return nil, notFound(path, err)
	}
	defer func() { _ = r.Close() }()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, invalid.Errorf("reading %q: not a regular file", f.Name)
	}
	f.Size, f.ModTime, f.Stamp = info.Size(), info.ModTime(), blockio.StampOf(info)
	var length [8]byte
	if _, err := r.ReadAt(length[:], 0); err == nil && binary.LittleEndian.Uint64(length[:]) > largeHeader {
		oneLarge.Lock()
		defer oneLarge.Unlock()
	}
	f.Header, err = safetensors.ReadHeader(r, f.Size, safetensors.Limits{})
	if err != nil {
		return nil, reading(f.Name, err)
	}
	return f, nil
}

// Open opens the file to read its data. It is refused when its size or time of
// change is not what it was when the header was read.
func (f *File) Open() (*os.File, error) {
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, notFound(f.Path, err)
	}
	if err := f.Check(r); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// Check reports as an error that an open file is not as it was when the header was
// read. It is to be asked again when the data has been read.
func (f *File) Check(r *os.File) error {
	info, err := r.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.Size || !info.ModTime().Equal(f.ModTime) {
		return invalid.Errorf("%s: changed while it was read (%d bytes of %s, then %d of %s)", f.Path,
			f.Size, f.ModTime.Format("15:04:05.000"), info.Size(), info.ModTime().Format("15:04:05.000"))
	}
	return nil
}

// reading puts the name of a file before an error and keeps what it matches.
func reading(name string, err error) error {
	if errors.Is(err, invalid.Input) {
		return invalid.Errorf("reading %q: %w", name, err)
	}
	return &fs.PathError{Op: "reading", Path: name, Err: err}
}

// leadsNowhere reports whether a path is that of no file: missing, the end of a
// dangling link, or a loop of links.
func leadsNowhere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP)
}

// notFound makes a missing file the fault of the checkpoint.
func notFound(path string, err error) error {
	if leadsNowhere(err) {
		return invalid.Errorf("reading %q: no such file (or a link that leads nowhere)", filepath.Base(path))
	}
	return err
}

// byName orders side files.
func byName(a, b SideFile) int { return cmp.Compare(a.Name, b.Name) }
