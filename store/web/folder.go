package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
)

// parallel is how many files are asked for at once.
const parallel = 16

// A Folder is a folder behind a web server: a store.Folder.
type Folder struct {
	base   *url.URL // its path ends with a slash
	reader *remote.Reader
	client *Client

	mu    sync.Mutex
	files map[string]*file // what was asked for
}

var _ store.Folder = (*Folder)(nil)

// Open opens the folder of a URL, https://host/path or http. A user and password go
// to that host as basic authentication; a query (a signature for the whole folder) is
// added to every request. Neither is ever shown. Nothing is asked yet.
func Open(location string, reader *remote.Reader) (*Folder, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, invalid.Errorf("a location on the web has the form https://HOST/PATH")
	}
	u = u.JoinPath("/")
	u.Fragment = ""
	return &Folder{base: u, reader: reader, client: NewClient(), files: map[string]*file{}}, nil
}

func (f *Folder) String() string { return strings.TrimSuffix(Public(f.base), "/") }

// List returns the files that the server shows or that have known names.
func (f *Folder) List(ctx context.Context) ([]store.Entry, error) {
	names, err := f.names(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var list []store.Entry
	var refused error // what is not there is refused too by stores that may not be listed
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, name := range names {
		g.Go(func() error {
			x, err := f.stat(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, ErrRefused):
				refused = err
				return nil
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			}
			list = append(list, store.Entry{Name: name, Size: x.size, Stamp: x.stamp()})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if len(list) == 0 && refused != nil {
		return nil, refused
	}
	if len(list) == 0 {
		return nil, invalid.Errorf("%s: no file of a checkpoint is there: is it the folder of one?", f)
	}
	slices.SortFunc(list, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// names are the names of files that may be there.
func (f *Folder) names(ctx context.Context) ([]string, error) {
	shown, err := f.shown(ctx)
	if err != nil || shown != nil {
		return shown, err
	}
	names := slices.Clone(known)
	raw, err := f.read(ctx, indexName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrRefused) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	names = append(names, shardsOf(raw)...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Open opens a file. The reads of the object end when ctx does.
func (f *Folder) Open(ctx context.Context, name string) (store.Object, error) {
	x, err := f.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	return f.reader.Open(ctx, remote.File{Name: x.String(), Size: x.size, Stamp: x.stamp()}, x), nil
}

// read reads a file whole.
func (f *Folder) read(ctx context.Context, name string) ([]byte, error) {
	o, err := f.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	if o.Size() > maxIndex {
		return nil, invalid.Errorf("reading %q: %d bytes, more than %d", o.String(), o.Size(), maxIndex)
	}
	raw := make([]byte, o.Size())
	if _, err := o.ReadAt(raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return raw, nil
}

// request is a request for a name of the folder.
func (f *Folder) request(method, name string) Request {
	u := f.base
	if name != "" {
		u = Below(f.base, name)
	}
	return Request{Method: method, URL: u, Header: http.Header{}, Name: Public(u)}
}

// stat asks for a file once: how large it is and which.
func (f *Folder) stat(ctx context.Context, name string) (*file, error) {
	if !fs.ValidPath(name) || name == "." {
		return nil, invalid.Errorf("%s: %q is no name of a file in it", f, name)
	}
	f.mu.Lock()
	x := f.files[name]
	f.mu.Unlock()
	if x != nil {
		return x, nil
	}
	x = &file{folder: f, name: name}
	err := f.reader.Brief.Do(ctx, func() error { return x.ask(ctx) })
	if err != nil {
		return nil, reading(x.String(), err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = x
	return x, nil
}

// reading names a file before an error and keeps what it matches.
func reading(name string, err error) error {
	if errors.Is(err, invalid.Input) {
		return invalid.Errorf("reading %q: %w", name, err)
	}
	return fmt.Errorf("reading %q: %w", name, err)
}
