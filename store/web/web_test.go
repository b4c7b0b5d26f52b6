package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
)

// site is a web server with files, that misbehaves as told.
type site struct {
	mu    sync.Mutex
	files map[string][]byte // by path
	etags map[string]string
	log   []string
	odd   func(w http.ResponseWriter, r *http.Request, n int) bool // reports whether it answered
	n     int
	auth  []string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.n++
	n, odd := s.n, s.odd
	s.log = append(s.log, r.Method+" "+r.URL.Path+" "+r.Header.Get("Range"))
	s.auth = append(s.auth, r.Header.Get("Authorization")+" "+r.URL.RawQuery)
	data, ok := s.files[r.URL.Path]
	etag := s.etags[r.URL.Path]
	s.mu.Unlock()
	if odd != nil && odd(w, r, n) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (s *site) count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(s.log), func(l string) bool { return !strings.HasPrefix(l, prefix) }))
}

func start(t *testing.T, s *site) string {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}

// quick is a reader that hardly waits.
func quick() *remote.Reader {
	r := remote.NewReader(0)
	r.Patient = remote.Patience{Tries: 5, First: time.Millisecond, Most: 2 * time.Millisecond}
	r.Brief = r.Patient
	return r
}

func checkpoint() *site {
	return &site{
		files: map[string][]byte{
			"/m/config.json":                  []byte(`{}`),
			"/m/model.safetensors.index.json": []byte(`{"weight_map":{"a":"model-1.safetensors","b":"model 2.safetensors","c":"../x"}}`),
			"/m/model-1.safetensors":          bytes.Repeat([]byte("0123456789"), 300_000),
			"/m/model 2.safetensors":          []byte("b"),
			"/m/tokenizer.json":               {},
		},
		etags: map[string]string{"/m/model-1.safetensors": `"one"`},
	}
}

func names(list []store.Entry) string {
	var s []string
	for _, e := range list {
		s = append(s, fmt.Sprintf("%s:%d", e.Name, e.Size))
	}
	return strings.Join(s, " ")
}

func openFile(t *testing.T, s *site, url string) (*Folder, store.Object) {
	t.Helper()
	f, err := Open(url, quick())
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Open(t.Context(), "model-1.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return f, o
}

// all reads an object and compares it.
func all(s *site, o store.Object) error {
	p := make([]byte, o.Size())
	if _, err := o.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(p, s.files["/m/model-1.safetensors"]) {
		return errors.New("other bytes")
	}
	return nil
}

func TestListByKnownNames(t *testing.T) {
	s := checkpoint()
	f, err := Open(start(t, s)+"/m", quick())
	if err != nil {
		t.Fatal(err)
	}
	list, err := f.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(list), "config.json:2 model 2.safetensors:1 model-1.safetensors:3000000 model.safetensors.index.json:79 tokenizer.json:0"; got != want {
		t.Errorf("%s\nand should be\n%s", got, want)
	}
	o, err := f.Open(t.Context(), "model-1.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if err := all(s, o); err != nil {
		t.Error(err)
	}
	if o.Stamp() != `etag:"one"` {
		t.Errorf("stamp %q", o.Stamp())
	}
	if n := s.count("HEAD /m/model-1.safetensors"); n != 1 {
		t.Errorf("%d HEADs of one file", n)
	}
	if _, err := f.Open(t.Context(), "no.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := f.Open(t.Context(), "../etc/passwd"); !errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
	g, _ := Open(strings.TrimSuffix(f.String(), "/m")+"/nothing/", quick())
	if _, err := g.List(t.Context()); !errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
}

func TestListAsShown(t *testing.T) {
	s := checkpoint()
	s.files["/m/odd #50% name.txt"] = []byte("x")
	base := start(t, s)
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != "/m/" {
			return false
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<a href="../">up</a><a href="config.json">c</a> <A HREF='/m/odd%20%2350%25%20name.txt'>o</A> <a href="sub/">s</a><a href="?C=M">sort</a><a href="https://elsewhere/m/x">x</a><a href="model-1.safetensors">w</a>`)
		return true
	}
	f, _ := Open(base+"/m/", quick())
	list, err := f.List(t.Context())
	if got, want := names(list), "config.json:2 model-1.safetensors:3000000 odd #50% name.txt:1"; err != nil || got != want {
		t.Errorf("%v\n%s\nand should be\n%s", err, got, want)
	}
}

// Buckets that may be read and not listed refuse what is not there.
func TestRefusedIsNotThere(t *testing.T) {
	s := checkpoint()
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if s.files[r.URL.Path] == nil {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	base := start(t, s)
	f, _ := Open(base+"/m", quick())
	if list, err := f.List(t.Context()); err != nil || len(list) != 5 {
		t.Errorf("%v %s", err, names(list))
	}
	f, _ = Open(base+"/other", quick())
	if _, err := f.List(t.Context()); !errors.Is(err, invalid.Input) || !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}

func TestSurvives(t *testing.T) {
	var mu sync.Mutex
	for name, odd := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"429 with Retry-After": func(w http.ResponseWriter, _ *http.Request, n int) bool {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		},
		"503": func(w http.ResponseWriter, _ *http.Request, n int) bool {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return true
		},
		"a cut connection": func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Content-Length", "3000000")
			_, _ = w.Write(make([]byte, 10))
			panic(http.ErrAbortHandler)
		},
		"no answer": func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) },
	} {
		s := checkpoint()
		url := start(t, s) + "/m"
		failed := 0
		_, o := openFile(t, s, url)
		s.odd = func(w http.ResponseWriter, r *http.Request, n int) bool {
			mu.Lock()
			failed++
			fail := failed < 4
			mu.Unlock()
			return fail && odd(w, r, n)
		}
		if err := all(s, o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCutBodyGoesOn(t *testing.T) {
	s := checkpoint()
	_, o := openFile(t, s, start(t, s)+"/m")
	cut := true
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if !cut {
			return false
		}
		cut = false
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("Content-Range", "bytes 0-2999999/3000000")
		w.Header().Set("Content-Length", "3000000")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(s.files["/m/model-1.safetensors"][:1_000_000])
		panic(http.ErrAbortHandler)
	}
	if err := all(s, o); err != nil {
		t.Fatal(err)
	}
	last := s.log[len(s.log)-1]
	if last == "GET /m/model-1.safetensors bytes=0-2999999" || !strings.HasSuffix(last, "-2999999") {
		t.Errorf("it began again: %s", last)
	}
}

func TestChanges(t *testing.T) {
	change := map[string]func(s *site){
		"another ETag": func(s *site) { s.etags["/m/model-1.safetensors"] = `"two"` },
		"another size": func(s *site) {
			s.etags = nil
			s.files["/m/model-1.safetensors"] = s.files["/m/model-1.safetensors"][:2_999_999]
		},
		"gone": func(s *site) { delete(s.files, "/m/model-1.safetensors") },
		"If-Match passed over": func(s *site) {
			s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				r.Header.Del("If-Match")
				w.Header().Set("ETag", `"three"`)
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.files["/m/model-1.safetensors"]))
				return true
			}
		},
	}
	for name, f := range change {
		s := checkpoint()
		_, o := openFile(t, s, start(t, s)+"/m")
		if err := o.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.mu.Lock()
		f(s)
		s.mu.Unlock()
		if err := o.Check(); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "/m/model-1.safetensors") {
			t.Errorf("%s: Check: %v", name, err)
		}
		_, err := o.ReadAt(make([]byte, 100), 2_000_000)
		if !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWholeFilesOnly(t *testing.T) {
	s := checkpoint()
	base := start(t, s)
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		r.Header.Del("Range")
		return false
	}
	_, o := openFile(t, s, base+"/m")
	p := make([]byte, 10)
	if _, err := o.ReadAt(p, 500_000); err != nil || string(p) != "0123456789" {
		t.Errorf("%q %v", p, err)
	}
	if _, err := o.ReadAt(p, 2_500_000); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "no ranges") {
		t.Errorf("%v", err)
	}
}

func TestNoHead(t *testing.T) {
	s := checkpoint()
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		return r.Method == http.MethodHead
	}
	f, o := openFile(t, s, start(t, s)+"/m")
	if err := all(s, o); err != nil {
		t.Error(err)
	}
	if e, err := f.Open(t.Context(), "tokenizer.json"); err != nil || e.Size() != 0 {
		t.Errorf("an empty file: %v", err)
	}
}

// Credentials go where they belong, and nowhere else; they are never shown.
func TestSecrets(t *testing.T) {
	const user, password, signature = "someone", "hunter2", "s3cr3tsig"
	other := checkpoint()
	otherURL := start(t, other)
	s := checkpoint()
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodGet {
			http.Redirect(w, r, otherURL+r.URL.Path+"?sig="+signature, http.StatusFound)
			return true
		}
		return false
	}
	at, _ := url.Parse(start(t, s) + "/m?token=" + signature)
	at.User = url.UserPassword(user, password)
	f, o := openFile(t, s, at.String())
	if err := all(s, o); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.auth[0], "Basic ") || !strings.Contains(s.auth[0], "token="+signature) {
		t.Errorf("the host was asked without credentials: %q", s.auth[0])
	}
	for _, a := range other.auth {
		if strings.Contains(a, "Basic") || strings.Contains(a, "token=") {
			t.Errorf("another host got %q", a)
		}
	}
	said := []string{f.String(), o.String(), string(o.Stamp())}
	other.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "signature %s of %s is no good", signature, password)
		return true
	}
	_, err := o.ReadAt(make([]byte, 4), 100)
	said = append(said, fmt.Sprint(err), fmt.Sprintf("%+v %#v", f.String(), fmt.Sprint(err)))
	_, o = openFile(t, s, at.String())
	other.odd = func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) }
	_, err = o.ReadAt(make([]byte, 4), 100)
	said = append(said, fmt.Sprint(err))
	for _, location := range []string{"https://" + user + ":" + password + "@:bad/", "ftp://" + user + ":" + password + "@h/", "https://" + user + ":" + password + "@127.0.0.1:1/m?sig=" + signature} {
		f, err := Open(location, quick())
		if err == nil {
			_, err = f.List(t.Context())
		}
		if err == nil {
			t.Errorf("%s: no error", location)
		}
		said = append(said, fmt.Sprint(err))
	}
	for _, text := range said {
		for _, secret := range []string{password, signature, user} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %q", secret, text)
			}
		}
	}
}

func TestScrub(t *testing.T) {
	inner := context.DeadlineExceeded
	err := Scrub(fmt.Errorf(`Get "https://u:p@h/x?sig=abc&b=1": proxy http://me:pw@proxy:80: %w`, inner))
	if got, want := err.Error(), `Get "https://h/x?…": proxy http://proxy:80: context deadline exceeded`; got != want {
		t.Errorf("%s\nand should be\n%s", got, want)
	}
	if !errors.Is(err, inner) {
		t.Error("it lost what it matches")
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		key, value string
		want       time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", "Sun, 01 Nov 2026 12:00:09 GMT", 9 * time.Second},
		{"Retry-After", "Sun, 01 Nov 2026 11:00:09 GMT", 0},
		{"Retry-After", "soon", 0},
		{"RateLimit", `"api";r=0;t=55`, 55 * time.Second},
		{"RateLimit", `"api";r=0`, 0},
	} {
		if got := After(http.Header{http.CanonicalHeaderKey(c.key): {c.value}}, now); got != c.want {
			t.Errorf("%s: %s: %v, %v is right", c.key, c.value, got, c.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	s := checkpoint()
	base := start(t, s)
	s.odd = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}
	f, _ := Open(base+"/m", quick())
	if _, err := f.Open(t.Context(), "config.json"); err == nil || !strings.Contains(err.Error(), "redirects in a row") {
		t.Errorf("%v", err)
	}
	secure, _ := url.Parse("https://h/x")
	if _, err := Location(secure, &http.Response{StatusCode: 302, Header: http.Header{"Location": {"http://h/x"}}}); err == nil {
		t.Error("a redirect from https to http is followed")
	}
}
