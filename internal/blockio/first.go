package blockio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"quern/internal/invalid"
)

// ErrDiffers is matched, beside invalid.Input, by the error of a file that has its final
// name already, with other bytes.
var ErrDiffers = errors.New("another process has finished it with other bytes")

// PublishFirst is Publish where others may make the same file at the same time: a file
// that has the name already stays. If it has the same bytes, f is discarded and all is
// well; otherwise the error matches ErrDiffers.
//
// The name is given by a link, which never replaces anything (rename does, and
// RENAME_NOREPLACE is missing on network file systems). Where there are no links it is a
// rename: what it may replace was made from the same plan.
func PublishFirst(fsys FS, f File, name string) error {
	if err := f.Sync(); err != nil {
		Discard(fsys, f)
		return fmt.Errorf("syncing %q: %w", f.Name(), err)
	}
	lerr := fsys.Link(f.Name(), name)
	if lerr != nil {
		switch same, err := sameBytes(fsys, f, name); {
		case errors.Is(err, fs.ErrNotExist):
			return Publish(fsys, f, name)
		case err != nil:
			Discard(fsys, f)
			return fmt.Errorf("comparing %q: %w", name, err)
		case !same:
			Discard(fsys, f)
			return invalid.Errorf("%q: %w", name, ErrDiffers)
		}
	}
	// Somebody may have swept the partial name meanwhile: the file has its own.
	Discard(fsys, f)
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("syncing folder of %q: %w", name, err)
	}
	return nil
}

// sameBytes compares an open file with one of a name.
func sameBytes(fsys FS, f File, name string) (bool, error) {
	g, err := fsys.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = g.Close() }()
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := g.Stat()
	if err != nil {
		return false, err
	}
	if a.Size() != b.Size() {
		return false, nil
	}
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < a.Size(); at += int64(len(x)) {
		n := min(int64(len(x)), a.Size()-at)
		for _, r := range []struct {
			from io.ReaderAt
			to   []byte
		}{{f, x[:n]}, {g, y[:n]}} {
			if err := ReadFull(r.from, r.to, at); err != nil {
				return false, err
			}
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
	}
	return true, nil
}
