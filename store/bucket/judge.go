package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
	"quern/store/web"
)

// judging is a transport that makes errors of answers after which another try makes
// sense. It sees the headers that say when, which the client does not hand on.
type judging struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (j *judging) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := j.next.RoundTrip(r)
	if err != nil {
		return nil, web.Connection(r.Context(), err)
	}
	switch resp.StatusCode {
	case http.StatusConflict: // two that write the same object at once: a moment later one is there
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return resp, nil
		}
		web.Discard(resp)
		return nil, remote.TryAgain(errors.New("the store answers 409 Conflict"), 0)
	case http.StatusNotFound, http.StatusForbidden, http.StatusUnauthorized, http.StatusPreconditionFailed: // have codes
		return resp, nil
	}
	if err := web.Judge(resp); err != nil && remote.IsTemporary(err) {
		web.Discard(resp)
		return nil, err
	}
	return resp, nil
}

// errTaken is what a conditional write ends with when the object is there already.
var errTaken = errors.New("the object is there already")

// judge makes an error of a request what the rest of the module understands, without
// the URL in it.
func judge(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return web.Scrub(err)
	}
	said := fmt.Errorf("%d %s", r.StatusCode, http.StatusText(r.StatusCode))
	if r.RequestID != "" || !strings.HasPrefix(r.Code, strconv.Itoa(r.StatusCode)) { // else it is a page, and no answer of S3
		said = web.Scrub(fmt.Errorf("%d %s: %.200s", r.StatusCode, r.Code, r.Message))
	}
	switch {
	case r.Code == minio.NoSuchBucket:
		return invalid.Errorf("there is no such bucket; are AWS_ENDPOINT_URL and AWS_REGION right?")
	case r.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w (%s)", fs.ErrNotExist, r.Code)
	case r.StatusCode == http.StatusPreconditionFailed:
		return invalid.Errorf("%w (412): %w", store.ErrChanged, errTaken)
	case r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return invalid.Errorf("%w: it has become shorter (416)", store.ErrChanged)
	case r.StatusCode == http.StatusForbidden, r.StatusCode == http.StatusUnauthorized:
		return invalid.Errorf("the store refuses access (%w); credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a web identity or the machine's role", said)
	case r.StatusCode == http.StatusNotImplemented:
		return invalid.Errorf("the store cannot do that (%w)", said)
	case r.StatusCode == 0: // refused before it was sent
		return invalid.Errorf("%w", said)
	}
	return fmt.Errorf("the store answers %w", said)
}
