package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
	"quern/store/web"
)

const (
	// maxAnswer bounds a page of a listing, which has 1,000 files at most.
	maxAnswer = 64 << 20
	// maxPages bounds the pages of a listing.
	maxPages = 1000
)

// A Repository is a repository of a hub at one commit: a store.Folder.
type Repository struct {
	location Location
	settings Settings
	commit   string
	reader   *remote.Reader
	client   *web.Client

	list  []store.Entry
	known map[string]entry

	mu    sync.Mutex
	files map[string]*file // opened: they share their links
}

var _ store.Folder = (*Repository)(nil)

// entry is a file of the listing.
type entry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// digest is what the hub says of the content: the SHA-256 of large files, and of small
// ones the name that git gives them.
func (e entry) digest() remote.Digest {
	if e.LFS != nil {
		return remote.Digest("sha256:" + e.LFS.OID)
	}
	return remote.Digest("git:" + e.OID)
}

// Open asks the hub for a repository: its commit and its files. The local cache is not
// looked at: Settings.Cached does.
func Open(ctx context.Context, l Location, s Settings, reader *remote.Reader) (*Repository, error) {
	r := &Repository{location: l, settings: s, reader: reader, client: web.NewClient(), known: map[string]entry{}, files: map[string]*file{}}
	if s.Offline {
		return nil, invalid.Errorf("%s: it is not in the local cache %q, or not complete there, and HF_HUB_OFFLINE is set", l, s.Cache)
	}
	r.settings.Endpoint = s.Endpoint.JoinPath("/") // a URL without a path is joined to none
	var info struct {
		SHA string `json:"sha"`
	}
	api := r.settings.Endpoint.JoinPath("api", "models", l.Repo)
	if _, err := r.ask(ctx, api.JoinPath("revision", url.PathEscape(l.Revision)), &info); err != nil {
		return nil, err
	}
	if !commit.MatchString(info.SHA) {
		return nil, invalid.Errorf("%s: the hub names no commit for %q: is HF_ENDPOINT a hub?", l, l.Revision)
	}
	r.commit = info.SHA
	next := api.JoinPath("tree", r.commit)
	next.RawQuery = "recursive=true&expand=false"
	for pages := 0; next != nil; pages++ {
		if pages == maxPages {
			return nil, invalid.Errorf("%s: more than %d pages of files", l, maxPages)
		}
		var page []entry
		var err error
		if next, err = r.ask(ctx, next, &page); err != nil {
			return nil, err
		}
		for _, e := range page {
			if err := r.add(e); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(r.list, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return r, nil
}

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{40}$|^[0-9a-f]{64}$`)

// add takes a file of the listing.
func (r *Repository) add(e entry) error {
	if e.Type != "file" {
		return nil
	}
	oid := e.OID
	if e.LFS != nil {
		e.Size, oid = e.LFS.Size, e.LFS.OID
	}
	if !fs.ValidPath(e.Path) || strings.Contains(e.Path, `\`) || e.Size < 0 || !hexadecimal.MatchString(oid) {
		return invalid.Errorf("%s: the hub lists a file %.80q of %d bytes with the digest %.80q, which cannot be", r.location, e.Path, e.Size, oid)
	}
	if _, twice := r.known[e.Path]; twice {
		return invalid.Errorf("%s: the hub lists %.80q twice", r.location, e.Path)
	}
	if len(r.list) >= store.MaxEntries {
		return invalid.Errorf("%s: more than %d files", r.location, store.MaxEntries)
	}
	r.known[e.Path] = e
	r.list = append(r.list, store.Entry{Name: e.Path, Size: e.Size, Stamp: store.Stamp(e.digest())})
	return nil
}

func (r *Repository) String() string { return r.location.String() }

// Commit is what the revision is pinned to.
func (r *Repository) Commit() string { return r.commit }

// List returns all files of the commit.
func (r *Repository) List(context.Context) ([]store.Entry, error) { return slices.Clone(r.list), nil }

// Open opens a file. Nothing is asked until it is read. The reads of the object end when
// ctx does.
func (r *Repository) Open(ctx context.Context, name string) (store.Object, error) {
	e, ok := r.known[name]
	if !ok {
		return nil, fmt.Errorf("reading %q: %w", r.String()+"/"+name, fs.ErrNotExist)
	}
	r.mu.Lock()
	f := r.files[name]
	if f == nil {
		f = &file{repository: r, entry: e}
		r.files[name] = f
	}
	r.mu.Unlock()
	return r.reader.Open(ctx, remote.File{Name: r.String() + "/" + name, Size: e.Size, Stamp: store.Stamp(e.digest()), Digest: e.digest(), Idle: r.settings.Idle}, f), nil
}

// has says what is wrong with the name of a file that the commit does not have.
func (r *Repository) has(name string) error {
	if _, ok := r.known[name]; ok {
		return nil
	}
	var weights []string
	for _, e := range r.list {
		if strings.HasPrefix(e.Name, name+"/") {
			return invalid.Errorf("%s: %q is a folder of the repository, and only whole repositories and files are read: name %s, or a file such as %s/%s", r, name, r, r, e.Name)
		}
		if strings.HasSuffix(e.Name, ".safetensors") {
			weights = append(weights, e.Name)
		}
	}
	const most = 3
	of := "it has no file of weights that quern reads"
	if n := len(weights); n > most {
		of = fmt.Sprintf("its %d files of weights begin with %s", n, strings.Join(weights[:most], ", "))
	} else if n > 0 {
		of = "its weights are " + strings.Join(weights, ", ")
	}
	return invalid.Errorf("%s: the repository has no file %q; %s", r, name, of)
}

// header has what the hub's own host may see.
func (r *Repository) header() http.Header {
	h := http.Header{}
	if r.settings.Token != "" {
		h.Set("Authorization", "Bearer "+string(r.settings.Token))
	}
	return h
}

// ask gets an answer in JSON and the URL of its next page.
func (r *Repository) ask(ctx context.Context, u *url.URL, to any) (next *url.URL, err error) {
	err = r.reader.Brief.Do(ctx, func() error {
		resp, err := r.client.Follow(ctx, web.Request{Method: http.MethodGet, URL: u, Header: r.header(), Name: r.String()})
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if err := r.judge(resp); err != nil {
			return err
		}
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return remote.TryAgain(fmt.Errorf("the connection was lost: %w", err), 0)
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return invalid.Errorf("the answer is no JSON of a hub: is HF_ENDPOINT one? (%w)", err)
		}
		next, err = nextPage(u, resp.Header)
		return err
	})
	switch {
	case errors.Is(err, invalid.Input):
		return nil, invalid.Errorf("%s: %w", r.location, err)
	case err != nil:
		return nil, fmt.Errorf("%s: asking the hub: %w", r.location, err)
	}
	return next, nil
}

var nextLink = regexp.MustCompile(`<([^<>]*)>\s*;\s*rel="next"`)

// nextPage is the URL of the next page of a listing: Link: <URL>; rel="next".
func nextPage(u *url.URL, h http.Header) (*url.URL, error) {
	m := nextLink.FindStringSubmatch(strings.Join(h.Values("Link"), ","))
	if m == nil {
		return nil, nil
	}
	next, err := u.Parse(m[1])
	if err != nil || !web.SameHost(u, next) {
		return nil, invalid.Errorf("the hub says that its listing goes on at another host")
	}
	return next, nil
}
