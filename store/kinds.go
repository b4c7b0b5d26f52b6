package store

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"quern/internal/invalid"
)

// A kind is a kind of store.
type kind struct {
	scheme string // its locations are SCHEME://…
	// open takes a location apart: a folder, and the name of the file in it that is
	// meant, "" where it is the folder.
	open func(ctx context.Context, location string) (Folder, string, error)
	sink func(location string) (Sink, error) // nil: it is not written to
}

// kinds are the stores that there are; to add one is a row and its file. Locations
// without a scheme are paths of this machine, the first row.
var kinds = []kind{
	{"file", openLocal, localSink},
}

// kindOf finds the row of a location.
func kindOf(location string) (*kind, error) {
	scheme, _, ok := strings.Cut(location, "://")
	if !ok || strings.ContainsAny(scheme, `/\.`) {
		return &kinds[0], nil
	}
	var known []string
	for i := range kinds {
		if strings.EqualFold(kinds[i].scheme, scheme) {
			return &kinds[i], nil
		}
		known = append(known, kinds[i].scheme+"://")
	}
	return nil, invalid.Errorf("%s: %s:// is not known: give a path, or a location that begins with %s", location, scheme, strings.Join(known, " or "))
}

// errNeither is matched by the error of a location that leads to what cannot be read.
var errNeither = errors.New("neither a folder nor a regular file")

// Open opens what a user has named: a folder, or a single file, whose name in the
// folder is returned then. What leads nowhere matches invalid.Input and
// fs.ErrNotExist.
func Open(ctx context.Context, location string) (Folder, string, error) {
	k, err := kindOf(location)
	if err != nil {
		return nil, "", err
	}
	return k.open(ctx, location)
}

// OpenFile opens a single file that a user has named. A folder matches invalid.Input,
// and what leads nowhere fs.ErrNotExist too.
func OpenFile(ctx context.Context, location string) (Object, error) {
	f, name, err := Open(ctx, location)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, invalid.Errorf("reading %q: %w", location, nowhereError{"there is no such file"})
	case errors.Is(err, errNeither) || err == nil && name == "":
		return nil, invalid.Errorf("reading %q: not a regular file", location)
	case err != nil:
		return nil, err
	}
	return f.Open(ctx, name)
}

// OpenSink is the folder of a location, to write to. It looks at nothing there.
func OpenSink(location string) (Sink, error) {
	k, err := kindOf(location)
	if err != nil {
		return nil, err
	}
	if k.sink == nil {
		return nil, invalid.Errorf("%s: nothing is written to %s://", location, k.scheme)
	}
	return k.sink(location)
}
