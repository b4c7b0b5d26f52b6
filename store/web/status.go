package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
)

// ErrRefused is matched by errors of a server that asks for other credentials.
var ErrRefused = errors.New("the server refuses access")

// Judge makes an error of a status that is none of success: one worth another try
// (remote.TryAgain), fs.ErrNotExist, or one that blames the input. It does not know
// what access a store wants; that is said by those who do.
func Judge(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w (%s)", fs.ErrNotExist, status(resp))
	case code == http.StatusPreconditionFailed:
		return invalid.Errorf("%w (%s)", store.ErrChanged, status(resp))
	case code == http.StatusRequestedRangeNotSatisfiable:
		return invalid.Errorf("%w: it has become shorter (%s)", store.ErrChanged, status(resp))
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		return invalid.Errorf("%w (%s)", ErrRefused, status(resp))
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests,
		code == http.StatusInternalServerError, code == http.StatusBadGateway,
		code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return remote.TryAgain(fmt.Errorf("the server answers %s", status(resp)), After(resp.Header, time.Now()))
	default:
		return invalid.Errorf("the server answers %s", status(resp))
	}
}

// status is a status as people know it. What the server wrote is not repeated.
func status(resp *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
}

// limit finds the seconds until more requests are allowed, as hubs write it:
// RateLimit: "api";r=0;t=55 (draft-ietf-httpapi-ratelimit-headers).
var limit = regexp.MustCompile(`(?:^|;)\s*t=(\d{1,6})`)

// After is how long a server asks to wait: Retry-After, in seconds or as a time, else
// what RateLimit says; 0 when it does not ask.
func After(h http.Header, now time.Time) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if n, err := strconv.ParseUint(v, 10, 31); err == nil {
			return time.Duration(n) * time.Second
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, at.Sub(now))
		}
	}
	if m := limit.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n) * time.Second
	}
	return 0
}
