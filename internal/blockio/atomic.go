package blockio

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// Partial is the suffix of files that are not finished.
const Partial = ".partial"

// Discard closes and removes a file that will not be finished: its space is the
// user's. What fails here fails in silence, since an error has led here.
func Discard(fsys FS, f File) {
	_ = f.Close()
	_ = fsys.Remove(f.Name())
}

// Publish syncs f, closes it and gives it its final name, durably; where it
// cannot, it discards f. The caller has written NAME.partial in the same folder.
func Publish(fsys FS, f File, name string) error {
	if err := f.Sync(); err != nil {
		Discard(fsys, f)
		return fmt.Errorf("syncing %q: %w", f.Name(), err)
	}
	if err := f.Close(); err != nil {
		Discard(fsys, f)
		return fmt.Errorf("closing %q: %w", f.Name(), err)
	}
	if err := fsys.Rename(f.Name(), name); err != nil {
		Discard(fsys, f)
		return fmt.Errorf("renaming %q: %w", f.Name(), err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("syncing folder of %q: %w", name, err)
	}
	return nil
}

// WriteFile puts data into name: whole or not at all.
func WriteFile(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name + Partial)
	if err != nil {
		return fmt.Errorf("creating %q: %w", name+Partial, err)
	}
	if err := WriteFull(f, data, 0); err != nil {
		Discard(fsys, f)
		return fmt.Errorf("writing %q: %w", name+Partial, err)
	}
	return Publish(fsys, f, name)
}

// ErrChanged is matched by the error of a copy whose source is not as large as
// it was said to be.
var ErrChanged = errors.New("the file changed while it was read")

// CopyFile copies from, of the given size, to the file name, whole or not at
// all. It reads and writes in plain calls: copy_file_range, which io.Copy would
// take, was measured at a third of the speed and has truncated files on some
// kernels.
func CopyFile(fsys FS, name, from string, size int64) error {
	in, err := fsys.Open(from)
	if err != nil {
		return fmt.Errorf("opening %q: %w", from, err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return fmt.Errorf("reading %q: %w", from, err)
	}
	if st.Size() != size {
		return fmt.Errorf("reading %q: %w: %d bytes instead of %d", from, ErrChanged, st.Size(), size)
	}
	out, err := fsys.Create(name + Partial)
	if err != nil {
		return fmt.Errorf("creating %q: %w", name+Partial, err)
	}
	buf := make([]byte, min(max(size, 1), 1<<20))
	for off := int64(0); off < size; {
		n := min(int64(len(buf)), size-off)
		if err := ReadFull(in, buf[:n], off); err != nil {
			Discard(fsys, out)
			if err == io.ErrUnexpectedEOF {
				err = fmt.Errorf("%w: fewer than %d bytes", ErrChanged, size)
			}
			return fmt.Errorf("reading %q: %w", from, err)
		}
		if err := WriteFull(out, buf[:n], off); err != nil {
			Discard(fsys, out)
			return fmt.Errorf("writing %q: %w", name+Partial, err)
		}
		off += n
	}
	return Publish(fsys, out, name)
}
