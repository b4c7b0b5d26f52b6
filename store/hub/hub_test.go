package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/hub/hubtest"
	"quern/store/remote"
)

const big = "model-00001-of-00001.safetensors"

func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

// server is a hub with a small repository.
func server(t *testing.T) *hubtest.Server {
	return (&hubtest.Server{
		Repo: "me/small", Revisions: []string{"main", "refs/pr/1"},
		Files: map[string][]byte{
			"config.json": []byte(`{"a":1}`), "sub/odd #1%.txt": []byte("odd"), ".gitattributes": []byte("x"),
			big: random(20<<20 + 77),
		},
	}).Start(t)
}

func quick() *remote.Reader {
	r := remote.NewReader(0)
	r.Patient = remote.Patience{Tries: 5, First: time.Millisecond, Most: 2 * time.Millisecond}
	r.Brief = r.Patient
	return r
}

func set(s *hubtest.Server, token string) Settings {
	u, _ := url.Parse(s.Hub.URL)
	return Settings{Endpoint: u, Token: Token(token)}
}

func openAt(t *testing.T, s *hubtest.Server, location, token string) (*Repository, error) {
	t.Helper()
	l, err := Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return Open(t.Context(), l, set(s, token), quick())
}

func openBig(t *testing.T, s *hubtest.Server) store.Object {
	t.Helper()
	r, err := openAt(t, s, "hf://me/small", s.Token)
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.Open(t.Context(), big)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// whole reads an object from front to back.
func whole(o store.Object) ([]byte, error) {
	o.Sequential()
	return io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
}

func TestReads(t *testing.T) {
	s := server(t)
	s.PageSize = 2
	for _, location := range []string{"hf://me/small", "hf://me/small@main", "hf://me/small@refs/pr/1", "hf://me/small@" + hubtest.Commit} {
		r, err := openAt(t, s, location, "")
		if err != nil {
			t.Fatalf("%s: %v", location, err)
		}
		list, err := r.List(t.Context())
		if err != nil || len(list) != 4 || list[1].Name != "config.json" || list[2].Name != big || list[2].Size != 20<<20+77 || !strings.HasPrefix(string(list[2].Stamp), "sha256:") {
			t.Errorf("%s: %v %+v", location, err, list)
		}
	}
	before := len(s.Log())
	r, _ := openAt(t, s, "hf://me/small", "")
	for name, want := range s.Files {
		o, err := r.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := whole(o); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes: %v", name, err)
		}
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		_ = o.Close()
	}
	if n := s.Count("resolve"); n != 4 {
		t.Errorf("%d requests of files of the hub for 4 files", n)
	}
	for _, l := range s.Log()[before:] {
		if strings.Contains(l, "HEAD") {
			t.Errorf("a HEAD: %s", l)
		}
	}
	if _, err := r.Open(t.Context(), "no.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestManyReadersAskForOneLink(t *testing.T) {
	s := server(t)
	o := openBig(t, s)
	var g errgroup.Group
	for i := range 16 {
		g.Go(func() error {
			p := make([]byte, 1<<20)
			off := int64(i) << 20
			_, err := o.ReadAt(p, off)
			if err == nil && !bytes.Equal(p, s.Files[big][off:off+1<<20]) {
				err = errors.New("other bytes")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := s.Count("resolve"); n != 1 {
		t.Errorf("%d requests for one link", n)
	}
}

func TestSurvives(t *testing.T) {
	for name, odd := range map[string]func(w http.ResponseWriter){
		"429": func(w http.ResponseWriter) {
			w.Header().Set("RateLimit", `"resolvers";r=0;t=0`)
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"cut": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "[")
			panic(http.ErrAbortHandler)
		},
		"no answer": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		for _, where := range []string{"api", "resolve", "cdn"} {
			if name == "cut" && where != "api" {
				continue // there a length of another file; see the next test
			}
			s := server(t)
			s.Odd = func(at string, n int, w http.ResponseWriter, _ *http.Request) bool {
				if at == where && n <= 3 {
					odd(w)
					return true
				}
				return false
			}
			if got, err := whole(openBig(t, s)); err != nil || !bytes.Equal(got, s.Files[big]) {
				t.Errorf("%s at %s: %v", name, where, err)
			}
		}
	}
}

func TestCutTransfers(t *testing.T) {
	s := server(t)
	s.Odd = func(at string, n int, w http.ResponseWriter, r *http.Request) bool {
		if at != "cdn" || n%2 == 0 {
			return false
		}
		var a, b int
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &a, &b)
		data := s.Files[big]
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", a, b, len(data)))
		w.Header().Set("Content-Length", fmt.Sprint(b-a+1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[a : a+(b-a+1)*2/3])
		panic(http.ErrAbortHandler)
	}
	if got, err := whole(openBig(t, s)); err != nil || !bytes.Equal(got, s.Files[big]) {
		t.Errorf("%v", err)
	}
}

func TestExpiredLinks(t *testing.T) {
	s := server(t)
	o := openBig(t, s)
	for i := range 4 {
		off := int64(i) * 5 << 20
		p := make([]byte, 3<<20)
		if _, err := o.ReadAt(p, off); err != nil || !bytes.Equal(p, s.Files[big][off:off+3<<20]) {
			t.Errorf("%v", err)
		}
		s.Expire()
	}
	if n := s.Count("resolve"); n != 4 {
		t.Errorf("%d links for 3 that expired", n)
	}
}

func TestChanges(t *testing.T) {
	// The same length, noticed when the link is asked for again.
	s := server(t)
	o := openBig(t, s)
	if _, err := o.ReadAt(make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(s.Files[big])
	other[10<<20] ^= 1
	s.Set(big, other)
	s.Expire()
	_, err := o.ReadAt(make([]byte, 2<<20), 10<<20)
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "hf://me/small/"+big) {
		t.Errorf("%v", err)
	}
	// Another length, noticed at once.
	s = server(t)
	o = openBig(t, s)
	_, _ = o.ReadAt(make([]byte, 100), 0)
	s.Set(big, other[:10<<20])
	if _, err := o.ReadAt(make([]byte, 2<<20), 5<<20); !errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
	// The same length behind the same link: noticed by the digest, as the file is read whole.
	s = server(t)
	s.Odd = func(where string, _ int, _ http.ResponseWriter, _ *http.Request) bool {
		if where == "cdn" {
			s.Set(big, other)
		}
		return false
	}
	if _, err := whole(openBig(t, s)); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "digest") {
		t.Errorf("%v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, location, token string
		server                *hubtest.Server
		want                  []string
	}{
		{"missing", "hf://me/nothing", "", &hubtest.Server{}, []string{"hf://me/nothing", "no such repository", "HF_TOKEN"}},
		{"private", "hf://me/small", "wrong", &hubtest.Server{Token: "right"}, []string{"private", "does not open"}},
		{"gated", "hf://me/small", "right", &hubtest.Server{Token: "right", Gated: true}, []string{"gated", "/me/small", "accept"}},
		{"revision", "hf://me/small@v9", "", &hubtest.Server{}, []string{`no revision "v9"`}},
		{"401", "hf://me/small", "old", &hubtest.Server{Odd: func(_ string, _ int, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}}, []string{"expired"}},
		{"no hub", "hf://me/small", "", &hubtest.Server{Odd: func(_ string, _ int, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, "<html>")
			return true
		}}, []string{"HF_ENDPOINT"}},
		{"another host's pages", "hf://me/small", "", &hubtest.Server{Odd: func(_ string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				return false
			}
			w.Header().Set("Link", `<https://elsewhere/x>; rel="next"`)
			_, _ = io.WriteString(w, "[]")
			return true
		}}, []string{"another host"}},
	} {
		s := c.server
		s.Repo, s.Revisions = "me/small", []string{"main"}
		s.Start(t)
		_, err := openAt(t, s, c.location, c.token)
		if !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in %q", c.name, w, err)
			}
		}
		if c.token != "" && strings.Contains(err.Error(), c.token) && c.token != "right" && c.token != "old" {
			t.Errorf("%s: the token is in %q", c.name, err)
		}
	}
	for _, l := range []string{
		"hf://", "hf://name", "hf://a/b@", "hf://a/b@../x", "hf://../b", "https://a/b", "hf://a/b?x",
		"hf://a/b//c", "hf://a/b/../c.safetensors", "hf://a/b/c?x.safetensors", "hf://a/b@/c.safetensors", "hf://a/b@v/../c.safetensors", "hf://a@v/b",
	} {
		if _, err := Parse(l); !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v", l, err)
		}
	}
	for l, want := range map[string]Location{
		"hf://a/b":                              {"a/b", "main", ""},
		"hf://a/b/":                             {"a/b", "main", ""},
		"hf://a/b@feature/x":                    {"a/b", "feature/x", ""},
		"hf://a/b@feature%2Fx":                  {"a/b", "feature/x", ""},
		"hf://a/b/c.safetensors":                {"a/b", "main", "c.safetensors"},
		"hf://a/b/sub/c":                        {"a/b", "main", "sub/c"},
		"hf://a/b@v1/sub/c.safetensors":         {"a/b", "v1", "sub/c.safetensors"},
		"hf://a/b@refs/pr/12/c.json":            {"a/b", "refs/pr/12", "c.json"},
		"hf://a/b@feature%2Fx/c.safetensors":    {"a/b", "feature/x", "c.safetensors"},
		"hf://a/b@refs/pr/1":                    {"a/b", "refs/pr/1", ""},
		"hf://a/b/odd@name.safetensors":         {"a/b", "main", "odd@name.safetensors"},
		"hf://a/b@refs/convert/parquet/c/d.txt": {"a/b", "refs/convert/parquet", "c/d.txt"},
	} {
		if got, err := Parse(l); err != nil || got != want {
			t.Errorf("%s: %+v, %v", l, got, err)
		}
	}
	if !Like("owner/name") || Like("./name") || Like("a/b/c") || Like("name") || Like("/a/b") || Like("../b") {
		t.Error("what looks like a repository")
	}
}

// The token goes to the hub and nowhere else, and nothing prints it, nor a signature.
func TestSecrets(t *testing.T) {
	const token = "hf_verysecret"
	s := server(t)
	s.Token = token
	var mu sync.Mutex
	mode := ""
	s.Odd = func(where string, _ int, w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case mode == where+"403":
			http.Error(w, "signed-0 "+token, http.StatusForbidden)
		case mode == where+"503":
			http.Error(w, "signed-0 "+token, http.StatusServiceUnavailable)
		case mode == where+"416":
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		case mode == where+"cut":
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
	o := openBig(t, s)
	if got, err := whole(o); err != nil || !bytes.Equal(got, s.Files[big]) {
		t.Fatal(err)
	}
	for _, l := range s.Log() {
		if strings.Contains(l, token) != !strings.HasPrefix(l, "cdn") {
			t.Errorf("the token went astray: %s", l)
		}
	}
	said := []string{o.String(), string(o.Stamp()), fmt.Sprintf("%v %+v %#v %s", set(s, token), set(s, token), set(s, token), Token(token))}
	for _, where := range []string{"api", "resolve", "cdn"} {
		for _, how := range []string{"403", "503", "416", "cut"} {
			s.Expire()
			mu.Lock()
			mode = where + how
			mu.Unlock()
			r, err := openAt(t, s, "hf://me/small", token)
			if err == nil {
				var o store.Object
				if o, err = r.Open(t.Context(), big); err == nil {
					_, err = o.ReadAt(make([]byte, 10), 5)
				}
			}
			if err == nil {
				t.Errorf("%s: no error", mode)
			}
			said = append(said, fmt.Sprintf("%v %+v", err, err))
		}
	}
	s.CDN.Close()
	mu.Lock()
	mode = ""
	mu.Unlock()
	_, err := openBig(t, s).ReadAt(make([]byte, 10), 5)
	said = append(said, fmt.Sprint(err))
	for _, text := range said {
		if strings.Contains(text, token) || strings.Contains(text, "signed-") || strings.Contains(text, "signature") {
			t.Errorf("a secret is in %q", text)
		}
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(pairs ...string) (Settings, error) {
		env := map[string]string{"HF_HOME": dir}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return settings(func(k string) string { return env[k] })
	}
	s, err := read()
	if err != nil || s.Token != "from-file" || s.Endpoint.String() != "https://huggingface.co" || s.Cache != filepath.Join(dir, "hub") || s.Offline {
		t.Errorf("%v, cache %s, %s", err, s.Cache, s.Endpoint)
	}
	s, err = read("HF_TOKEN", "given", "HF_ENDPOINT", "http://127.0.0.1:1/", "HF_HUB_CACHE", "/c", "HF_HUB_OFFLINE", "1", "HF_HUB_DOWNLOAD_TIMEOUT", "7")
	if err != nil || s.Token != "given" || s.Endpoint.String() != "http://127.0.0.1:1" || s.Cache != "/c" || !s.Offline || s.Idle != 7*time.Second {
		t.Errorf("%v, cache %s, %s, %v", err, s.Cache, s.Endpoint, s.Idle)
	}
	if s, _ = read("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"); s.Token != "" {
		t.Error("the token of the file is sent all the same")
	}
	for _, bad := range [][2]string{{"HF_ENDPOINT", "huggingface.co"}, {"HF_TOKEN", "two words"}, {"HF_TOKEN", "ünique"}, {"HF_HUB_DOWNLOAD_TIMEOUT", "soon"}} {
		if _, err := read(bad[0], bad[1]); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), bad[0]) || bad[0] == "HF_TOKEN" && strings.Contains(err.Error(), bad[1]) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestCached(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "models--me--small")
	snapshot := filepath.Join(root, "snapshots", hubtest.Commit)
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Settings{Cache: dir}
	look := func(location, step string, found, whole bool) {
		t.Helper()
		l, err := Parse(location)
		if err != nil {
			t.Fatal(err)
		}
		at, ok := s.Cached(l)
		if ok != whole || (at == snapshot) != found {
			t.Errorf("%s, %s: %q, complete %v", step, location, at, ok)
		}
	}
	look("hf://me/small", "no cache", false, false)
	write(filepath.Join(root, "refs", "main"), hubtest.Commit)
	look("hf://me/small", "no snapshot", false, false)
	write(filepath.Join(snapshot, "config.json"), "{}")
	write(filepath.Join(snapshot, "model-00001-of-00002.safetensors"), "x")
	write(filepath.Join(snapshot, "tokenizer.json"), "{}")
	look("hf://me/small", "one of two files", true, false)
	write(filepath.Join(snapshot, "model.safetensors.index.json"), `{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`)
	look("hf://me/small", "index and one of two files", true, false)
	if err := os.Symlink(filepath.Join("..", "..", "blobs", "gone"), filepath.Join(snapshot, "model-00002-of-00002.safetensors")); err != nil {
		t.Skip("no links here:", err)
	}
	look("hf://me/small", "a link that leads nowhere", true, false)
	write(filepath.Join(root, "blobs", "gone"), "y")
	look("hf://me/small", "all", true, true)
	look("hf://me/small@"+hubtest.Commit, "all", true, true)
	look("hf://me/small@v2", "another revision", false, false)
	look("hf://me/small/model-00002-of-00002.safetensors", "a file", true, true)
	look("hf://me/small/other.safetensors", "a file that is not there", true, false)
	_ = os.Remove(filepath.Join(snapshot, "tokenizer.json"))
	look("hf://me/small", "no tokenizer", true, false)
	l, _ := Parse("hf://me/other")
	if _, err := Open(t.Context(), l, Settings{Cache: dir, Offline: true}, quick()); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
		t.Errorf("%v", err)
	}
}
