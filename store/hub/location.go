package hub

import (
	"io/fs"
	"net/url"
	"regexp"
	"strings"

	"quern/internal/invalid"
	"quern/store/web"
)

// Scheme begins the location of a repository.
const Scheme = "hf://"

// A Location is a repository at a revision, or a file of it.
type Location struct {
	Repo     string // owner/name
	Revision string // a branch, tag or commit; "main" unless given
	File     string // "" is the repository
}

func (l Location) String() string {
	s := Scheme + l.Repo
	if l.Revision != "main" {
		s += "@" + l.Revision
	}
	if l.File != "" {
		s += "/" + l.File
	}
	return s
}

// repository is the location without its file.
func (l Location) repository() Location {
	l.File = ""
	return l
}

var (
	repo     = regexp.MustCompile(`^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$`)
	revision = regexp.MustCompile(`^[\w][\w./+-]{0,254}$`)
	special  = regexp.MustCompile(`^(refs/(?:pr|convert)/[\w-]+)/(.+)$`) // pull requests, conversions
	commit   = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Parse reads hf://owner/name[@revision][/file], as huggingface_hub's HfFileSystem does:
// a revision in front of a file has slashes in refs/… only, others are written %2F.
func Parse(location string) (Location, error) {
	rest, ok := strings.CutPrefix(location, Scheme)
	rest = strings.TrimSuffix(rest, "/")
	l := Location{Repo: rest, Revision: "main"}
	if owner, more, _ := strings.Cut(rest, "/"); strings.ContainsAny(more, "@/") {
		at := strings.IndexAny(more, "@/")
		l.Repo = owner + "/" + more[:at]
		if rest = more[at+1:]; more[at] == '/' {
			l.File = rest
		} else {
			l.Revision, l.File = revised(rest)
		}
		ok = ok && rest != ""
	}
	if !ok || !repo.MatchString(l.Repo) || !revision.MatchString(l.Revision) || strings.Contains(l.Revision, "..") || l.File != "" && !fs.ValidPath(l.File) || strings.ContainsAny(l.File, `\?#`) {
		return Location{}, invalid.Errorf("%.200q: a repository of a hub has the form hf://OWNER/NAME or hf://OWNER/NAME@REVISION, a file of it hf://OWNER/NAME/FILE or hf://OWNER/NAME@REVISION/FILE", location)
	}
	return l, nil
}

// revised divides what follows the @ into the revision and the file.
func revised(rest string) (revision, file string) {
	if _, name := web.Single(rest); name == "" {
		file = ""
	} else if m := special.FindStringSubmatch(rest); m != nil {
		rest, file = m[1], m[2]
	} else {
		rest, file, _ = strings.Cut(rest, "/")
	}
	if plain, err := url.PathUnescape(rest); err == nil {
		rest = plain
	}
	return rest, file
}

// Like reports whether an argument looks like a repository whose scheme was left out:
// owner/name, with no more slashes, and neither . nor .. in front.
func Like(argument string) bool {
	name, _, _ := strings.Cut(argument, "@")
	return repo.MatchString(name)
}
