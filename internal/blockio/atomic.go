package blockio

import (
	"fmt"
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
