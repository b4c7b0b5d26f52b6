package web

import (
	"context"
	"io"
	"net/http"
	"strings"

	"quern/internal/invalid"
	"quern/store"
)

// A file is a file of a folder in the state that it had when it was first asked for.
type file struct {
	folder   *Folder
	name     string
	size     int64
	etag     string // "" where the server tells none
	modified string // Last-Modified, likewise
}

func (x *file) String() string { return x.folder.request("", x.name).Name }

// stamp names the state of a file.
func (x *file) stamp() store.Stamp {
	switch {
	case x.etag != "":
		return store.Stamp("etag:" + x.etag)
	case x.modified != "":
		return store.Stamp("modified:" + x.modified)
	}
	return ""
}

// ask asks for size and state: HEAD, or the first byte where a server has no HEAD.
func (x *file) ask(ctx context.Context) error {
	r := x.folder.request(http.MethodHead, x.name)
	resp, err := x.folder.client.Follow(ctx, r)
	if err != nil {
		return err
	}
	Discard(resp)
	size := resp.ContentLength
	if resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusNotImplemented ||
		resp.StatusCode == http.StatusForbidden || resp.StatusCode/100 == 2 && size < 0 {
		r.Method = http.MethodGet
		Span(r.Header, 0, 1)
		if resp, err = x.folder.client.Follow(ctx, r); err != nil {
			return err
		}
		_ = resp.Body.Close() // it may be the whole file
		if size = resp.ContentLength; resp.StatusCode == http.StatusPartialContent {
			if _, size, err = rangeOf(resp.Header); err != nil {
				return err
			}
		}
		if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			resp.StatusCode, size = http.StatusOK, 0 // an empty file has no first byte
		}
	}
	if err := Judge(resp); err != nil {
		return err
	}
	if size < 0 {
		return invalid.Errorf("the server does not tell its size")
	}
	x.size, x.etag, x.modified = size, resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return nil
}

// same adds to a header that the file must be in the state that is known. A weak ETag
// (W/"…") does not name bytes, and If-Match never matches it (RFC 9110 §13.1.1).
func (x *file) same(h http.Header) {
	switch {
	case x.etag != "" && !strings.HasPrefix(x.etag, "W/"):
		h.Set("If-Match", x.etag)
	case x.modified != "":
		h.Set("If-Unmodified-Since", x.modified)
	}
}

// Get implements remote.Source.
func (x *file) Get(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r := x.folder.request(http.MethodGet, x.name)
	Span(r.Header, off, n)
	x.same(r.Header)
	resp, err := x.folder.client.Follow(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := x.compare(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return Body(resp, off, x.size)
}

// compare looks at the state that an answer tells: servers may pass over If-Match.
func (x *file) compare(resp *http.Response) error {
	if etag := resp.Header.Get("ETag"); resp.StatusCode/100 == 2 && x.etag != "" && etag != "" && etag != x.etag {
		return invalid.Errorf("%w: its ETag is %.80q now and was %.80q", store.ErrChanged, etag, x.etag)
	}
	return nil
}

// Check implements remote.Source: it asks for the file again.
func (x *file) Check(ctx context.Context) error {
	now := &file{folder: x.folder, name: x.name}
	if err := now.ask(ctx); err != nil {
		return err
	}
	switch {
	case now.size != x.size:
		return changedSize(now.size, x.size)
	case now.stamp() != x.stamp():
		return invalid.Errorf("%w: %.80q now, %.80q then", store.ErrChanged, now.stamp(), x.stamp())
	}
	return nil
}
