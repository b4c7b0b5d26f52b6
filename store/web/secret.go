package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"regexp"
)

// Public is a URL as people may see it: without user, password, query and fragment.
func Public(u *url.URL) string {
	p := *u
	p.User, p.RawQuery, p.Fragment, p.RawFragment, p.ForceQuery = nil, "", "", "", false
	return p.String()
}

// scrubbed is an error whose text has lost its secrets.
type scrubbed struct {
	text string
	err  error
}

func (e *scrubbed) Error() string { return e.text }
func (e *scrubbed) Unwrap() error { return e.err }

// Where secrets stand in URLs: before the host, and behind the question mark.
var (
	userinfo = regexp.MustCompile(`://[^/\s"'@]*@`)
	query    = regexp.MustCompile(`(://[^\s"'?]*)\?[^\s"']*`)
)

// Scrub takes users, passwords and queries out of the URLs in the text of an error.
func Scrub(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := query.ReplaceAllString(userinfo.ReplaceAllString(text, "://"), "$1?…")
	if clean == text {
		return err
	}
	return &scrubbed{clean, err}
}

// isCertificate reports whether a server could not show who it is. That does not get
// better by trying.
func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var plain tls.RecordHeaderError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &plain)
}
