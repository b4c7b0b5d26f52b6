package engine

import (
	"fmt"
	"os"
	"path/filepath"

	"quern/internal/invalid"
)

// apart refuses an output folder that is, holds or lies in the input's. A single
// file's folder is no part of the input: beside the file there is room.
func apart(o Options) error {
	out, err := resolve(o.Dir)
	if err != nil {
		return fmt.Errorf("output folder %q: %w", o.Dir, err)
	}
	seen := map[string]bool{}
	for _, s := range o.Sources {
		dir := filepath.Dir(s.Path)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		in, err := resolve(dir)
		if err != nil {
			return fmt.Errorf("input folder %q: %w", dir, err)
		}
		alone := o.SideDir == ""
		if same(out, in) || !alone && (within(out, in) || within(in, out)) {
			return invalid.Errorf("output folder %q is the input folder, holds it or lies in it: choose another", o.Dir)
		}
	}
	return nil
}

// resolve is the absolute path of a folder, with the links in the part of it
// that exists followed.
func resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rest := ""
	for at := dir; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest), nil
		}
		if at == filepath.Dir(at) {
			return dir, nil
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// within reports whether a is b or lies in it.
func within(a, b string) bool {
	for at := a; ; at = filepath.Dir(at) {
		if same(at, b) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// same reports whether two paths are one folder, by whatever names.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
