package hub

import (
	"regexp"
	"strings"

	"quern/internal/invalid"
)

// Scheme begins the location of a repository.
const Scheme = "hf://"

// A Location is a repository at a revision.
type Location struct {
	Repo     string // owner/name
	Revision string // a branch, tag or commit; "main" unless given
}

func (l Location) String() string {
	if l.Revision == "main" {
		return Scheme + l.Repo
	}
	return Scheme + l.Repo + "@" + l.Revision
}

var (
	repo     = regexp.MustCompile(`^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$`)
	revision = regexp.MustCompile(`^[\w][\w./+-]{0,254}$`)
	commit   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Parse reads hf://owner/name[@revision].
func Parse(location string) (Location, error) {
	rest, ok := strings.CutPrefix(location, Scheme)
	name, rev, at := strings.Cut(strings.TrimSuffix(rest, "/"), "@")
	if !at {
		rev = "main"
	}
	if !ok || !repo.MatchString(name) || !revision.MatchString(rev) || strings.Contains(rev, "..") {
		return Location{}, invalid.Errorf("%.200q: a repository of a hub has the form hf://OWNER/NAME or hf://OWNER/NAME@REVISION", location)
	}
	return Location{name, rev}, nil
}

// Like reports whether an argument looks like a repository whose scheme was left out:
// owner/name, with no more slashes, and neither . nor .. in front.
func Like(argument string) bool {
	name, _, _ := strings.Cut(argument, "@")
	return repo.MatchString(name)
}
