package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	// Certificates for machines without any, as an image of one static program is.
	_ "golang.org/x/crypto/x509roots/fallback"

	"quern/store/remote"
)

// A Client asks servers. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
}

// NewClient makes a client. It speaks HTTP/1.1 only: with HTTP/2 all ranges of a
// transfer share one connection, and its one window, and one lost packet holds up all.
func NewClient() *Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Client{transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   32,
		DisableCompression:    true, // ranges are of the file as it is
		Protocols:             protocols,
	}}
}

// Transport is what the client sends requests with.
func (c *Client) Transport() http.RoundTripper { return c.transport }

// A Request is what to ask for.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header // credentials among it go to the URL's host only
	Name   string      // what errors call it: no secrets
}

// Once sends a request once and follows no redirect. Errors are marked with
// remote.TryAgain where they are of the connection. The caller judges the status and
// closes the body.
func (c *Client) Once(ctx context.Context, r Request) (*http.Response, error) {
	req := (&http.Request{Method: r.Method, URL: r.URL, Header: r.Header.Clone(), Host: r.URL.Host}).WithContext(ctx)
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "quern")
	if user := r.URL.User; user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, Connection(ctx, err)
	}
	return resp, nil
}

// Connection judges an error of a connection: most are worth another try.
func Connection(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = Scrub(err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the server closed the connection")
	}
	var host *net.DNSError
	if errors.As(err, &host) && host.IsNotFound || isCertificate(err) {
		return err
	}
	return remote.TryAgain(err, 0)
}

// maxRedirects is how many redirects in a row are followed.
const maxRedirects = 8

// Follow sends a request once and follows redirects. Credentials stay with the host
// that they are for.
func (c *Client) Follow(ctx context.Context, r Request) (*http.Response, error) {
	for range maxRedirects {
		resp, err := c.Once(ctx, r)
		if err != nil {
			return nil, err
		}
		next, err := Location(r.URL, resp)
		if err != nil || next == nil {
			if err != nil {
				Discard(resp)
			}
			return resp, err
		}
		Discard(resp)
		if !SameHost(r.URL, next) {
			r.Header = WithoutCredentials(r.Header)
		} else if next.User == nil {
			next.User = r.URL.User
		}
		r.URL = next
	}
	return nil, fmt.Errorf("more than %d redirects in a row", maxRedirects)
}

// Location is where an answer leads, nil when it is no redirect.
func Location(from *url.URL, resp *http.Response) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	next, err := from.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return nil, errors.New("the server redirects to what is no URL")
	case next.Scheme != "https" && next.Scheme != "http", next.Scheme == "http" && from.Scheme == "https":
		return nil, fmt.Errorf("the server redirects from %s to %s, which is not followed", from.Scheme, next.Scheme)
	}
	return next, nil
}

// Below is the URL of a slash-separated name below another.
func Below(base *url.URL, name string) *url.URL {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p) // JoinPath takes them as escaped
	}
	return base.JoinPath(parts...)
}

// SameHost reports whether credentials for one URL are for another too.
func SameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// WithoutCredentials is a header without what only one host may see.
func WithoutCredentials(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Authorization")
	h.Del("Cookie")
	return h
}

// Discard reads what is left of a small body, so that the connection can be used
// again, and closes it.
func Discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
