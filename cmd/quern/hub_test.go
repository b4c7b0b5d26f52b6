package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quern/internal/tinyseek"
	"quern/store/hub/hubtest"
)

const hubToken = "hf_averysecrettoken"

// hubOf serves a folder as hf://me/small, in the environment.
func hubOf(t *testing.T, dir string) *hubtest.Server {
	t.Helper()
	s := &hubtest.Server{Repo: "me/small", Revisions: []string{"main"}, Token: hubToken, Files: map[string][]byte{}}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			s.Files[name], err = os.ReadFile(filepath.Join(dir, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	for k, v := range map[string]string{
		"HF_ENDPOINT": s.Hub.URL, "HF_HOME": t.TempDir(), "HF_TOKEN": hubToken, "HF_TOKEN_PATH": "", "HF_HUB_CACHE": "", "HF_HUB_OFFLINE": "", "XDG_CACHE_HOME": "",
	} {
		t.Setenv(k, v)
	}
	return s
}

// files are all files of a folder, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A repository is converted through whatever a hub does, to the bytes that its folder
// gives; what changes, is not what the hub says, or is not open ends with 4. Each file is
// asked for without HEAD, and the token is in nothing that is said or written.
func TestHub(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := tinyseek.Extract(in); err != nil {
		t.Fatal(err)
	}
	if r := quern(t, dir, "quantize", "--quiet", "in", "want"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	want := files(t, filepath.Join(dir, "want"))
	status := func(code int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	const weights = "model-00002-of-000004.safetensors"
	for _, c := range []struct {
		name, location, code string
		odd                  func(*hubtest.Server) func(string, int, http.ResponseWriter, *http.Request) bool
		says                 string // where it is not 0
	}{
		{name: "as it is"},
		{name: "a commit", location: "hf://me/small@" + hubtest.Commit},
		{name: "429", odd: twice("", status(http.StatusTooManyRequests, "Retry-After", "1"))},
		{name: "429 with RateLimit", odd: twice("api resolve", status(http.StatusTooManyRequests, "RateLimit", `"resolvers";r=0;t=1`))},
		{name: "503", odd: twice("", status(http.StatusServiceUnavailable))},
		{name: "expired", odd: twice("cdn", status(http.StatusForbidden))},
		{name: "cut", odd: twice("", func(http.ResponseWriter) { panic(http.ErrAbortHandler) })},
		{name: "changed half way", says: `reading "hf://me/small/` + weights + `".*changed`, odd: func(s *hubtest.Server) func(string, int, http.ResponseWriter, *http.Request) bool {
			return func(where string, _ int, _ http.ResponseWriter, r *http.Request) bool {
				if where == "cdn" && strings.Contains(r.URL.Path, weights) && !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
					s.Set(weights, append(bytes.Clone(s.Files[weights]), 0))
				}
				return false
			}
		}},
		{name: "other bytes than the listing's digest", says: `hf://me/small/` + weights + `.*digest`, odd: func(s *hubtest.Server) func(string, int, http.ResponseWriter, *http.Request) bool {
			data := bytes.Clone(s.Files[weights])
			data[len(data)-3] ^= 1
			return func(where string, _ int, _ http.ResponseWriter, r *http.Request) bool {
				if where == "cdn" && strings.Contains(r.URL.Path, weights) {
					s.Set(weights, data)
				}
				return false
			}
		}},
		{name: "gated", says: "gated: accept its conditions at .*/me/small", odd: func(s *hubtest.Server) func(string, int, http.ResponseWriter, *http.Request) bool {
			s.Gated = true
			return nil
		}},
		{name: "missing", location: "hf://me/none", says: "hf://me/none: there is no such repository, or it is private; the token that is given does not open it"},
		{name: "no such revision", location: "hf://me/small@v9", says: `no revision "v9"`},
		{name: "a file that is none", location: "hf://me/small/no.safetensors", says: "has no file \"no.safetensors\"; its 4 files of weights begin with model-00001-of-000004.safetensors, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hubOf(t, in)
			if c.odd != nil {
				s.Odd = c.odd(s)
			}
			if c.location == "" {
				c.location = "hf://me/small"
			}
			out := strings.ReplaceAll(c.name, " ", "-")
			r := quern(t, dir, "quantize", "--verbose", c.location, out)
			switch {
			case c.says != "":
				if last := r.stderr[strings.LastIndex(strings.TrimSuffix(r.stderr, "\n"), "\n")+1:]; r.code != exitInvalid || !regexp.MustCompile("^quern: .*"+c.says).MatchString(last) {
					t.Errorf("exit code %d: %s", r.code, r.stderr)
				}
			case r.code != 0:
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			default:
				got := files(t, filepath.Join(dir, out))
				for name, text := range want {
					if got[name] != text {
						t.Errorf("%s has other bytes", name)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d files, want %d", len(got), len(want))
				}
			}
			said := r.stdout + r.stderr
			if c.says == "" && c.odd == nil {
				p := quern(t, dir, "plan", "--json", c.location)
				v := quern(t, dir, "verify", "--verbose", "--json", "--baseline", c.location, out)
				if p.code != 0 || v.code != 0 {
					t.Errorf("plan: %s; verify: %s", p.stderr, v.stderr)
				}
				said += p.stdout + p.stderr + v.stdout + v.stderr
			}
			for name, text := range files(t, dir) {
				if strings.Contains(text, hubToken) {
					t.Errorf("%s has the token", name)
				}
			}
			if strings.Contains(said, hubToken) || strings.Contains(said, "signature=") {
				t.Errorf("a secret is in %s", said)
			}
			for _, l := range s.Log() {
				if strings.Contains(l, "HEAD") || strings.HasPrefix(l, "cdn") && strings.Contains(l, hubToken) {
					t.Error(l)
				}
			}
			if n := s.Count("resolve"); c.odd == nil && c.says == "" && n > 3*len(s.Files) {
				t.Errorf("%d requests of %d files, by three commands", n, len(s.Files))
			}
		})
	}
}

// twice answers the first and the fourth request of each of those places otherwise; "" are
// all.
func twice(places string, answer func(http.ResponseWriter)) func(*hubtest.Server) func(string, int, http.ResponseWriter, *http.Request) bool {
	return func(*hubtest.Server) func(string, int, http.ResponseWriter, *http.Request) bool {
		return func(where string, n int, w http.ResponseWriter, _ *http.Request) bool {
			if !strings.Contains(places, where) && places != "" || n%3 != 1 || n > 6 {
				return false
			}
			answer(w)
			return true
		}
	}
}

// What looks like a repository, and a file of one, get the answer that is needed.
func TestHubNames(t *testing.T) {
	dir := t.TempDir()
	if err := tinyseek.Extract(filepath.Join(dir, "in")); err != nil {
		t.Fatal(err)
	}
	hubOf(t, filepath.Join(dir, "in"))
	if r := quern(t, dir, "inspect", "me/small"); r.code != exitInvalid || !strings.Contains(r.stderr, "hf://me/small") {
		t.Error(r.stderr)
	}
	near := quern(t, dir, "inspect", "in/model-00001-of-000004.safetensors")
	far := quern(t, dir, "inspect", "hf://me/small/model-00001-of-000004.safetensors")
	if _, a, _ := strings.Cut(near.stdout, "\n"); far.code != 0 || far.stdout != fmt.Sprintf("hf://me/small/model-00001-of-000004.safetensors\n%s", a) {
		t.Errorf("%s%s\nwant %s", far.stdout, far.stderr, near.stdout)
	}
	if r := quern(t, dir, "quantize", "in", "hf://me/small"); r.code != exitInvalid || !strings.Contains(r.stderr, "nothing is written to hf://") {
		t.Error(r.stderr)
	}
}
