// Package source reads the tensors of a checkpoint: each file is opened once, when
// it is first needed, and must stay what it was when its header was read.
package source

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/internal/invalid"
)

// Files are the weight files of a checkpoint, each opened when it is first read.
// They are safe for concurrent use.
type Files struct {
	c  *hf.Checkpoint
	fs blockio.FS

	mu   sync.Mutex
	open []blockio.File // by index into c.Files
}

// New returns the files of c, none of them open yet. fs nil is the machine's.
func New(c *hf.Checkpoint, fs blockio.FS) *Files {
	if fs == nil {
		fs = blockio.OS
	}
	return &Files{c: c, fs: fs, open: make([]blockio.File, len(c.Files))}
}

// file opens file i and makes sure that it is the one whose header was read.
func (f *Files) file(i int) (blockio.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[i] != nil {
		return f.open[i], nil
	}
	path := f.c.Files[i].Path
	r, err := f.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	if err := f.unchanged(i, r); err != nil {
		_ = r.Close()
		return nil, err
	}
	r.Sequential()
	f.open[i] = r
	return r, nil
}

// unchanged refuses a file that is not as it was when its header was read.
func (f *Files) unchanged(i int, r blockio.File) error {
	want := f.c.Files[i]
	same, err := blockio.Unchanged(r, want.Size, want.ModTime)
	if err != nil {
		return fmt.Errorf("reading %q: %w", want.Path, err)
	}
	if !same {
		return invalid.Errorf("reading %q: the file changed while it was being verified; run the command again when nothing writes to it", want.Path)
	}
	return nil
}

// Read fills p with the bytes of v from at on. An error that blames the file
// matches invalid.Input.
func (f *Files) Read(v *plan.View, p []byte, at int64) error {
	if len(p) == 0 {
		return nil
	}
	r, err := f.file(v.File)
	if err != nil {
		return err
	}
	in := f.c.Files[v.File]
	for off, n := range v.Runs(at, int64(len(p))) {
		if err = blockio.ReadFull(r, p[:n], in.Header.DataOffset+off); err != nil {
			break
		}
		p = p[n:]
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid.Errorf("reading %q: tensor %q: the file became shorter while it was read", in.Path, v.Name)
	case err != nil:
		return fmt.Errorf("reading %q: tensor %q: %w", in.Path, v.Name, err)
	}
	return nil
}

// Check looks at all files that were read once more: what was written to meanwhile
// proves nothing.
func (f *Files) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.open {
		if r == nil {
			continue
		}
		if err := f.unchanged(i, r); err != nil {
			return err
		}
	}
	return nil
}

// Close closes what is open; Read opens it again.
func (f *Files) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.open {
		if r != nil {
			_ = r.Close()
			f.open[i] = nil
		}
	}
}
