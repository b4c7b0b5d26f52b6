package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"quern/internal/blockio"
	"quern/internal/invalid"
)

// local is a folder of this machine.
type local struct {
	fs   blockio.FS
	dir  string
	file string // the file in it that was named, as it was; "" for the folder
}

// Local is a folder of this machine's, reached through fsys; nil is the machine's own.
func Local(fsys blockio.FS, dir string) Folder { return newLocal(fsys, dir) }

func newLocal(fsys blockio.FS, dir string) *local {
	if fsys == nil {
		fsys = blockio.OS
	}
	return &local{fs: fsys, dir: dir}
}

// pathOf takes file:// off a location.
func pathOf(location string) string {
	if scheme, path, ok := strings.Cut(location, "://"); ok && strings.EqualFold(scheme, "file") {
		return path
	}
	return location
}

func openLocal(_ context.Context, location string) (Folder, string, error) {
	path := pathOf(location)
	l := newLocal(nil, path)
	st, err := l.fs.Stat(path)
	switch {
	case nowhere(err):
		return nil, "", invalid.Errorf("%s: %w", path, nowhereError{"no such file or folder"})
	case err != nil:
		return nil, "", fmt.Errorf("opening %q: %w", path, err)
	case st.IsDir():
		return l, "", nil
	case !st.Mode().IsRegular():
		return nil, "", invalid.Errorf("%s: %w", path, errNeither)
	}
	l.dir, l.file = filepath.Dir(path), path
	return l, filepath.Base(path), nil
}

// nowhereError says that there is neither a file nor a folder.
type nowhereError struct{ text string }

func (e nowhereError) Error() string      { return e.text }
func (nowhereError) Is(target error) bool { return target == fs.ErrNotExist }

// nowhere reports whether a path is that of no file: missing, the end of a dangling
// link, or a loop of links.
func nowhere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP)
}

func (l *local) String() string { return l.dir }

// path is where a name lies, which must not lead out of the folder.
func (l *local) path(name string) (string, error) {
	if l.file != "" && name == filepath.Base(l.file) {
		return l.file, nil
	}
	n := filepath.FromSlash(name)
	if !filepath.IsLocal(n) {
		return "", fmt.Errorf("%q: %q: %w", l.dir, name, fs.ErrInvalid)
	}
	return filepath.Join(l.dir, n), nil
}

// Open looks before it opens: to open a pipe would wait.
func (l *local) Open(_ context.Context, name string) (Object, error) {
	path, err := l.path(name)
	if err != nil {
		return nil, err
	}
	st, err := l.fs.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return nil, invalid.Errorf("reading %q: not a regular file", path)
	}
	var f blockio.File
	if err == nil {
		f, err = l.fs.Open(path)
	}
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", path, err)
	}
	if st, err = f.Stat(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return &object{file: f, path: path, size: st.Size(), time: st.ModTime(), stamp: StampOf(st)}, nil
}

// object is an open file of this machine.
type object struct {
	file  blockio.File
	path  string
	size  int64
	time  time.Time
	stamp Stamp
}

func (o *object) String() string                         { return o.path }
func (o *object) Size() int64                            { return o.size }
func (o *object) Stamp() Stamp                           { return o.stamp }
func (o *object) ReadAt(p []byte, at int64) (int, error) { return o.file.ReadAt(p, at) }
func (o *object) Close() error                           { return o.file.Close() }
func (o *object) Sequential()                            { o.file.Sequential() }
func (o *object) Drop(offset, n int64)                   { o.file.Drop(offset, n) }
func (o *object) Uncached() bool                         { return o.file.Uncached() }
func (o *object) Cached(offset, n int64) bool            { return o.file.Cached(offset, n) }

// Check looks at size and time of the open file only: whoever opened it holds it,
// whatever becomes of its name and inode.
func (o *object) Check() error {
	st, err := o.file.Stat()
	if err != nil {
		return fmt.Errorf("reading %q: %w", o.path, err)
	}
	if st.Size() != o.size || !st.ModTime().Equal(o.time) {
		const clock = "15:04:05.000"
		return invalid.Errorf("%s: %w (%d bytes of %s, then %d of %s)",
			o.path, ErrChanged, o.size, o.time.Format(clock), st.Size(), st.ModTime().Format(clock))
	}
	return nil
}
