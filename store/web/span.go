package web

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"quern/internal/invalid"
	"quern/store"
)

// Span writes a Range header: the bytes from off to off+n.
func Span(h http.Header, off, n int64) {
	h.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
}

var contentRange = regexp.MustCompile(`^bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)$`)

// skippable is what is read over when a server sends a whole file instead of a range.
// Small files are often served so.
const skippable = 1 << 20

// Body is the part of a file of a size that an answer to a Range holds, from off on. It
// judges the status, and whether the answer is what was asked for: a server that says
// another size has another file. It closes the body when it returns an error.
func Body(resp *http.Response, off, size int64) (io.ReadCloser, error) {
	body, err := bodyOf(resp, off, size)
	if err != nil {
		Discard(resp)
		return nil, err
	}
	return body, nil
}

func bodyOf(resp *http.Response, off, size int64) (io.ReadCloser, error) {
	if err := Judge(resp); err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusPartialContent {
		first, total, err := rangeOf(resp.Header)
		switch {
		case err != nil:
			return nil, err
		case total >= 0 && total != size:
			return nil, changedSize(total, size)
		case first != off:
			return nil, invalid.Errorf("the server was asked for the bytes from %d and sends those from %d", off, first)
		}
		return resp.Body, nil
	}
	if n := resp.ContentLength; n >= 0 && n != size {
		return nil, changedSize(n, size)
	}
	if off > skippable {
		return nil, invalid.Errorf("the server sends whole files only, no ranges: download the folder first")
	}
	if n, err := io.CopyN(io.Discard, resp.Body, off); err != nil {
		return nil, fmt.Errorf("skipping to byte %d: ended at %d: %w", off, n, err)
	}
	return resp.Body, nil
}

func changedSize(is, was int64) error {
	return invalid.Errorf("%w: %d bytes now, %d then", store.ErrChanged, is, was)
}

// rangeOf reads Content-Range; total is -1 where it is not told.
func rangeOf(h http.Header) (first, total int64, err error) {
	m := contentRange.FindStringSubmatch(h.Get("Content-Range"))
	if m == nil {
		return 0, 0, invalid.Errorf("the server sends a range and does not say which (Content-Range %.60q)", h.Get("Content-Range"))
	}
	first, _ = strconv.ParseInt(m[1], 10, 64)
	if m[3] == "*" {
		return first, -1, nil
	}
	total, _ = strconv.ParseInt(m[3], 10, 64)
	return first, total, nil
}
