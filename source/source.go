// Package source reads the tensors of a checkpoint: each file is opened once, when
// it is first needed, and must stay what it was when its header was read.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/store"
)

// Files are the weight files of a checkpoint, each opened when it is first read.
// They are safe for concurrent use.
type Files struct {
	c    *hf.Checkpoint
	from store.Folder // nil: each file's own

	mu       sync.Mutex
	open     []store.Object // by index into c.Files
	uncached bool           // see Uncached
}

// New returns the files of c, none of them open yet. They are read from a folder that
// holds the same files; nil is the one where c was opened.
func New(c *hf.Checkpoint, from store.Folder) *Files {
	return &Files{c: c, from: from, open: make([]store.Object, len(c.Files))}
}

// Uncached makes large reads of files that are opened from now on leave the page cache
// as it is, see [store.Uncached]. They are fastest into memory of [Files.Fit].
func (f *Files) Uncached() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uncached = true
}

// Fit returns n bytes of b, which has [blockio.Slack] more, for Read of v from byte at
// on: they lie in memory as the file's do on the disk.
func (f *Files) Fit(b []byte, v *plan.View, at, n int64) []byte {
	p, _ := blockio.Fit(b, f.c.Files[v.File].Header.DataOffset+v.Place(at), n)
	return p
}

// file opens file i and makes sure that it is the one whose header was read.
func (f *Files) file(i int) (store.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[i] != nil {
		return f.open[i], nil
	}
	r, err := f.c.Files[i].OpenIn(context.Background(), f.from)
	if err != nil {
		return nil, f.changed(i, err)
	}
	r.Sequential()
	if f.uncached {
		store.Uncached(r)
	}
	f.open[i] = r
	return r, nil
}

// changed says of a file that is not as it was when its header was read what to do.
func (f *Files) changed(i int, err error) error {
	if !errors.Is(err, store.ErrChanged) {
		return err
	}
	return invalid.Errorf("reading %q: the file changed while it was being verified; run the command again when nothing writes to it", f.c.Files[i].Path)
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
	err = v.Read(p, at, func(p []byte, off int64) error {
		return blockio.ReadFull(r, p, in.Header.DataOffset+off)
	})
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
		if err := r.Check(); err != nil {
			return f.changed(i, err)
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
