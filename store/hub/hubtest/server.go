// Package hubtest is a hub to test with: as much of one as huggingface_hub asks for
// (revision, pages of files, resolve, a second host for large files with signed links),
// that can be told to misbehave.
package hubtest

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Commit is what every revision of a repository is.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// A Server is a hub of one repository and, on another host, what stores its large files.
type Server struct {
	Repo      string
	Files     map[string][]byte
	Revisions []string      // that it has besides Commit
	Token     string        // that is asked for; "" is none
	Gated     bool          // the token does not open it
	ByName    bool          // files are given by a revision's name too, not by Commit only
	PageSize  int           // files on a page of the listing; 0 is all
	Delay     time.Duration // before each answer
	// Odd is asked before each answer, with where ("api", "resolve", "cdn") and the number
	// of the request there from 1; it reports whether it has answered.
	Odd func(where string, n int, w http.ResponseWriter, r *http.Request) bool

	Hub, CDN *httptest.Server

	mu         sync.Mutex
	count      map[string]int
	log        []string
	generation int // of signed links
}

// A Cleaner calls f at its end: a test, or a script of tests.
type Cleaner interface{ Cleanup(f func()) }

// Start starts both hosts; they end with the test.
func (s *Server) Start(t Cleaner) *Server {
	s.count = map[string]int{}
	s.Hub = httptest.NewServer(http.HandlerFunc(s.hub))
	s.CDN = httptest.NewServer(http.HandlerFunc(s.cdn))
	t.Cleanup(func() { s.Hub.Close(); s.CDN.Close() })
	return s
}

// Expire makes all links that were given out bad.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
}

// Set gives a file another content.
func (s *Server) Set(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Files[name] = data
}

// Count is the number of requests to a place.
func (s *Server) Count(where string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[where]
}

// Log is what was asked: a place, a method, a path, a range and credentials each.
func (s *Server) Log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *Server) odd(where string, w http.ResponseWriter, r *http.Request) bool {
	time.Sleep(s.Delay)
	s.mu.Lock()
	s.count[where]++
	n := s.count[where]
	s.log = append(s.log, fmt.Sprintf("%s %s %s range=%s auth=%s", where, r.Method, r.URL, r.Header.Get("Range"), r.Header.Get("Authorization")))
	s.mu.Unlock()
	return s.Odd != nil && s.Odd(where, n, w, r)
}

// fail answers with an error as hubs do.
func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Error-Code", code)
	w.WriteHeader(status)
}

// IsLarge reports whether a file lies on the other host.
func IsLarge(name string) bool { return strings.HasSuffix(name, ".safetensors") }

func sha256Of(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

func gitOf(data []byte) string {
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...)))
}

func (s *Server) hub(w http.ResponseWriter, r *http.Request) {
	where, rest := "resolve", strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if api, ok := strings.CutPrefix(rest, "api/models/"); ok {
		where, rest = "api", api
	}
	if s.odd(where, w, r) {
		return
	}
	if rest == s.Repo {
		rest += "/revision/main"
	}
	rest, ok := strings.CutPrefix(rest, s.Repo+"/")
	given := r.Header.Get("Authorization") == "Bearer "+s.Token
	switch {
	case !ok, s.Token != "" && !given && !s.Gated:
		fail(w, http.StatusNotFound, "RepoNotFound")
		return
	case s.Gated:
		fail(w, http.StatusForbidden, "GatedRepo")
		return
	}
	kind, rest, _ := strings.Cut(rest, "/")
	rev, name, _ := strings.Cut(rest, "/")
	rev, _ = url.PathUnescape(rev)
	name, _ = url.PathUnescape(name)
	if rev != Commit && (kind != "revision" && !s.ByName || !slices.Contains(s.Revisions, rev)) {
		fail(w, http.StatusNotFound, "RevisionNotFound")
		return
	}
	w.Header().Set("X-Repo-Commit", Commit)
	switch kind {
	case "revision":
		_ = json.NewEncoder(w).Encode(map[string]any{"id": s.Repo, "sha": Commit, "siblings": s.siblings()})
	case "tree":
		s.tree(w, r)
	case "resolve":
		s.resolve(w, r, name)
	}
}

// siblings are the names of all files, as a repository's description has them.
func (s *Server) siblings() []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		list = append(list, map[string]string{"rfilename": name})
	}
	return list
}

// tree is a page of the listing.
func (s *Server) tree(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []map[string]any
	for name, data := range s.Files {
		e := map[string]any{"type": "file", "path": name, "size": len(data), "oid": gitOf(data)}
		if IsLarge(name) {
			e["lfs"] = map[string]any{"oid": sha256Of(data), "size": len(data), "pointerSize": 134}
		}
		list = append(list, e)
	}
	list = append(list, map[string]any{"type": "directory", "path": "sub", "oid": gitOf(nil), "size": 0})
	slices.SortFunc(list, func(a, b map[string]any) int { return cmp.Compare(a["path"].(string), b["path"].(string)) })
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	size := cmp.Or(s.PageSize, len(list))
	to := min(from+size, len(list))
	if to < len(list) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, s.Hub.URL, r.URL.Path, to))
	}
	_ = json.NewEncoder(w).Encode(list[from:to])
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.Lock()
	data, ok := s.Files[name]
	generation := s.generation
	s.mu.Unlock()
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "EntryNotFound")
	case IsLarge(name):
		w.Header().Set("X-Linked-ETag", `"`+sha256Of(data)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
		w.Header().Set("Location", fmt.Sprintf("%s/blob/%s?signature=signed-%d", s.CDN.URL, url.PathEscape(name), generation))
		w.WriteHeader(http.StatusFound)
	default:
		w.Header().Set("ETag", `"`+gitOf(data)+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

func (s *Server) cdn(w http.ResponseWriter, r *http.Request) {
	if s.odd("cdn", w, r) {
		return
	}
	name, _ := strings.CutPrefix(r.URL.Path, "/blob/")
	s.mu.Lock()
	data, ok := s.Files[name]
	generation := s.generation
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "": // as stores of signed links do
		http.Error(w, "only one authentication mechanism is allowed", http.StatusBadRequest)
	case r.URL.Query().Get("signature") != fmt.Sprintf("signed-%d", generation):
		http.Error(w, "expired", http.StatusForbidden)
	case !ok:
		http.NotFound(w, r)
	default:
		w.Header().Set("ETag", fmt.Sprintf(`"blob-%d"`, len(data)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}
