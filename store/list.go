package store

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"quern/internal/invalid"
)

// List follows links to files, because hub caches consist of them; a link that leads
// nowhere is an error, since a copy would lack the file. Links to folders are not
// followed.
func (l *local) List(ctx context.Context) ([]Entry, error) {
	w := &walk{local: l, ctx: ctx}
	if err := w.folder(""); err != nil {
		return nil, err
	}
	slices.SortFunc(w.list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return w.list, nil
}

// walk is a listing that is being made.
type walk struct {
	*local
	ctx  context.Context
	n    int
	real string // the folder without links, "" until it is asked for
	list []Entry
}

// folder lists a folder below the root.
func (w *walk) folder(name string) error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	at := filepath.Join(w.dir, filepath.FromSlash(name))
	list, err := w.fs.ReadDir(at)
	if err != nil {
		return fmt.Errorf("reading folder %q: %w", at, err)
	}
	for _, d := range list {
		if w.n++; w.n >= MaxEntries {
			return invalid.Errorf("%s: more than %d files; is this the folder of a checkpoint?", w.dir, MaxEntries)
		}
		sub := d.Name()
		if name != "" {
			sub = name + "/" + sub
		}
		switch {
		case strings.HasPrefix(d.Name(), "."): // .git, .cache, .gitattributes
		case d.IsDir():
			err = w.folder(sub)
		default:
			err = w.file(sub, d.Type()&fs.ModeSymlink != 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file adds what is no folder.
func (w *walk) file(name string, link bool) error {
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	st, err := w.fs.Stat(path)
	switch {
	case nowhere(err):
		return invalid.Errorf("%s: %q is a link that leads nowhere; is the download complete?", w.dir, name)
	case err != nil:
		return fmt.Errorf("reading %q: %w", path, err)
	}
	e := Entry{Name: name, Size: st.Size(), Mode: st.Mode().Type(), Stamp: StampOf(st)}
	if link && e.Mode.IsRegular() {
		if e.Outside, err = w.outside(path); err != nil {
			return err
		}
	}
	w.list = append(w.list, e)
	return nil
}

// outside is where a link leads that leaves the checkpoint, "" for one that is its
// own: it leads into its folder, or, in a hub cache, to a blob of the same repository
// (snapshots/REVISION/NAME leads to ../../blobs/DIGEST).
func (w *walk) outside(path string) (string, error) {
	var err error
	if w.real == "" {
		if w.real, err = w.fs.Real(w.dir); err != nil {
			return "", fmt.Errorf("following the links of %q: %w", w.dir, err)
		}
	}
	to, err := w.fs.Real(path)
	if err != nil {
		return "", fmt.Errorf("following the links of %q: %w", path, err)
	}
	in := func(dir string) bool {
		rel, err := filepath.Rel(dir, to)
		return err == nil && filepath.IsLocal(rel)
	}
	snapshots := filepath.Dir(w.real)
	if in(w.real) || filepath.Base(snapshots) == "snapshots" && in(filepath.Join(filepath.Dir(snapshots), "blobs")) {
		return "", nil
	}
	return to, nil
}
