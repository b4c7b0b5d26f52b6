package store

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"quern/internal/invalid"
)

// A Kind is a kind of store.
type Kind struct {
	Scheme string // its locations are SCHEME://…
	// Open takes a location apart: a folder, and the name of the file in it that is
	// meant, "" where it is the folder. Its errors show no secrets of the location.
	Open func(ctx context.Context, location string) (Folder, string, error)
	Sink func(location string) (Sink, error) // nil: it is not written to
	// Like reports whether what is no path of this machine looks like a location of this
	// kind whose scheme was left out; nil: nothing does.
	Like func(path string) bool
}

// kinds are the stores that there are. Locations without a scheme are paths of this
// machine, the first row.
var kinds = []Kind{
	{"file", openLocal, localSink, nil},
}

// Add adds kinds of stores, before anything is opened. Those behind a network are
// packages of their own below this one, and the program adds them (cmd/quern/stores.go,
// the table): who imports this package alone does not link them.
func Add(more ...Kind) { kinds = append(kinds, more...) }

// kindOf finds the row of a location.
func kindOf(location string) (*Kind, error) {
	scheme, _, ok := strings.Cut(location, "://")
	if !ok || strings.ContainsAny(scheme, `/\.`) {
		return &kinds[0], nil
	}
	var known []string
	for i := range kinds {
		if strings.EqualFold(kinds[i].Scheme, scheme) {
			return &kinds[i], nil
		}
		known = append(known, kinds[i].Scheme+"://")
	}
	return nil, invalid.Errorf("%s:// is not known: give a path, or a location that begins with %s", scheme, strings.Join(known, " or "))
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
	f, name, err := k.Open(ctx, location)
	if k == &kinds[0] && errors.Is(err, fs.ErrNotExist) {
		for _, k := range kinds {
			if k.Like != nil && k.Like(location) {
				return nil, "", invalid.Errorf("%w; if it is none of this machine: %s://%s", err, k.Scheme, location)
			}
		}
	}
	return f, name, err
}

// OpenFile opens a single file that a user has named. A folder matches invalid.Input,
// and what leads nowhere fs.ErrNotExist too.
func OpenFile(ctx context.Context, location string) (Object, error) {
	f, name, err := Open(ctx, location)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.Contains(location, "://"):
		return nil, invalid.Errorf("reading %q: %w", location, nowhereError{"there is no such file"})
	case errors.Is(err, errNeither):
		return nil, invalid.Errorf("reading %q: not a regular file", location)
	case err != nil:
		return nil, err
	case name == "":
		return nil, invalid.Errorf("reading %q: not a regular file", f)
	}
	return f.Open(ctx, name)
}

// OpenSink is the folder of a location, to write to. It looks at nothing there.
func OpenSink(location string) (Sink, error) {
	k, err := kindOf(location)
	if err != nil {
		return nil, err
	}
	if k.Sink == nil {
		return nil, invalid.Errorf("nothing is written to %s://: give a folder of this machine", k.Scheme)
	}
	return k.Sink(location)
}
