package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
	"quern/store/web"
)

// A file is a file at the pinned commit: a remote.Source.
type file struct {
	repository *Repository
	entry      entry

	resolving sync.Mutex // one asks for the link, others wait for it
	mu        sync.Mutex
	link      *url.URL // where a large file lies, signed; nil when it must be asked for
	etag      string   // of what lies there
	direct    bool     // the hub sends it itself
}

// Check implements remote.Source. The commit names the content for good, and each answer
// is held against it.
func (f *file) Check(context.Context) error { return nil }

// Get implements remote.Source.
func (f *file) Get(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	link, direct := f.place()
	if link == nil && !direct {
		f.resolving.Lock()
		defer f.resolving.Unlock()
		link, _ = f.place() // another may have asked meanwhile
	}
	if link == nil {
		var body io.ReadCloser
		var err error
		if link, body, err = f.resolve(ctx, off, n); err != nil || body != nil {
			return body, err
		}
	}
	return f.follow(ctx, link, off, n)
}

func (f *file) place() (*url.URL, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.link, f.direct
}

// resolve asks the hub for a range. It answers with a link to where a large file lies, or
// with the bytes of a small one.
func (f *file) resolve(ctx context.Context, off, n int64) (*url.URL, io.ReadCloser, error) {
	r := f.repository
	at := web.Below(r.settings.Endpoint.JoinPath(r.location.Repo, "resolve", r.commit), f.entry.Path)
	req := web.Request{Method: http.MethodGet, URL: at, Header: r.header(), Name: r.String() + "/" + f.entry.Path}
	web.Span(req.Header, off, n)
	for range 4 { // a repository that was renamed leads to its new name, on the same host
		resp, err := r.client.Once(ctx, req)
		if err != nil {
			return nil, nil, err
		}
		if err := f.judge(resp); err != nil {
			web.Discard(resp)
			return nil, nil, err
		}
		next, err := web.Location(req.URL, resp)
		switch {
		case err != nil:
			web.Discard(resp)
			return nil, nil, err
		case next == nil:
			f.mu.Lock()
			f.direct = true
			f.mu.Unlock()
			body, err := web.Body(resp, off, f.entry.Size)
			return nil, body, err
		case web.SameHost(req.URL, next) && resp.Header.Get("X-Linked-ETag") == "":
			web.Discard(resp)
			req.URL = next
			continue
		}
		web.Discard(resp)
		f.mu.Lock()
		f.link, f.etag = next, ""
		f.mu.Unlock()
		return next, nil, nil
	}
	return nil, nil, fmt.Errorf("the hub redirects in a circle")
}

// judge holds an answer of the hub against the listing: the same content, by its digest.
func (f *file) judge(resp *http.Response) error {
	if err := f.repository.judge(resp); err != nil {
		return err
	}
	h := resp.Header
	tag := h.Get("X-Linked-ETag")
	if tag == "" && resp.StatusCode/100 == 2 {
		tag = h.Get("ETag")
	}
	tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	_, want, _ := strings.Cut(string(f.entry.digest()), ":")
	// Other hubs may tag otherwise; what has the form of a digest is one.
	if hexadecimal.MatchString(tag) && len(tag) == len(want) && tag != want {
		return invalid.Errorf("%w: the hub's listing says %s, the file itself %s", store.ErrChanged, want, tag)
	}
	if size := h.Get("X-Linked-Size"); size != "" && size != fmt.Sprint(f.entry.Size) {
		return invalid.Errorf("%w: the hub's listing says %d bytes, the file itself %.20s", store.ErrChanged, f.entry.Size, size)
	}
	return nil
}

// follow asks for a range where a large file lies. A link that has expired is forgotten,
// and the next try asks for another.
func (f *file) follow(ctx context.Context, link *url.URL, off, n int64) (io.ReadCloser, error) {
	req := web.Request{Method: http.MethodGet, URL: link, Header: http.Header{}, Name: f.repository.String() + "/" + f.entry.Path}
	if web.SameHost(link, f.repository.settings.Endpoint) {
		req.Header = f.repository.header()
	}
	web.Span(req.Header, off, n)
	resp, err := f.repository.client.Follow(ctx, req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		web.Discard(resp)
		f.mu.Lock()
		if f.link == link {
			f.link = nil
		}
		f.mu.Unlock()
		return nil, remote.TryAgain(fmt.Errorf("the link to the file is no longer good (%d %s)", resp.StatusCode, http.StatusText(resp.StatusCode)), 0)
	}
	if err := f.compare(link, resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return web.Body(resp, off, f.entry.Size)
}

// compare notices that what lies behind one link becomes something else.
func (f *file) compare(link *url.URL, resp *http.Response) error {
	etag := resp.Header.Get("ETag")
	if etag == "" || resp.StatusCode/100 != 2 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link != link {
		return nil
	}
	if f.etag == "" {
		f.etag = etag
	}
	if etag != f.etag {
		return invalid.Errorf("%w: its ETag is %.80q now and was %.80q", store.ErrChanged, etag, f.etag)
	}
	return nil
}
