package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"quern/internal/blockio"
)

// Relation compares folders of this machine by what they are, not by their names.
// Those of other stores are apart.
func (s *sink) Relation(f Folder) (Relation, error) {
	other, ok := f.(*local)
	if !ok {
		return Apart, nil
	}
	a, err := resolve(s.fs, s.dir)
	if err != nil {
		return Apart, err
	}
	b, err := resolve(s.fs, other.dir)
	if err != nil {
		return Apart, err
	}
	if is, err := same(s.fs, a, b); is || err != nil {
		return Same, err
	}
	for _, x := range [][2]string{{a, b}, {b, a}} {
		if in, err := within(s.fs, x[0], x[1]); in || err != nil {
			return Nested, err
		}
	}
	return Apart, nil
}

// resolve is the absolute path of a folder, with the links in the part of it
// that exists followed.
func resolve(fsys blockio.FS, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rest := ""
	for at := dir; ; at = filepath.Dir(at) {
		if real, err := fsys.Real(at); err == nil {
			return filepath.Join(real, rest), nil
		}
		if at == filepath.Dir(at) {
			return dir, nil
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// within reports whether a is b or lies in it.
func within(fsys blockio.FS, a, b string) (bool, error) {
	for at := a; ; at = filepath.Dir(at) {
		if is, err := same(fsys, at, b); is || err != nil {
			return is, err
		}
		if at == filepath.Dir(at) {
			return false, nil
		}
	}
}

// same reports whether two paths are one folder, by whatever names.
func same(fsys blockio.FS, a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	var st [2]fs.FileInfo
	for i, path := range []string{a, b} {
		var err error
		switch st[i], err = fsys.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("looking at %q: %w", path, err)
		}
	}
	return os.SameFile(st[0], st[1]), nil
}
