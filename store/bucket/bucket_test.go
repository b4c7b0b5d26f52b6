package bucket

// Longer than 500 lines: the bucket that all its tests read and write is in it.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/bucket/buckettest"
	"quern/store/remote"
)

const (
	key    = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI-secret"
)

func random(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(p)
	return p
}

func quick() *remote.Reader {
	r := remote.NewReader(0)
	r.Patient = remote.Patience{Tries: 5, First: time.Millisecond, Most: 2 * time.Millisecond}
	r.Brief = r.Patient
	return r
}

// env is an environment without any of the machine's own.
func env(t *testing.T, pairs ...string) func(string) string {
	none := filepath.Join(t.TempDir(), "none")
	m := map[string]string{"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) string { return m[k] }
}

func open(t *testing.T, s *buckettest.Server, prefix string, pairs ...string) *Bucket {
	t.Helper()
	l, err := Parse("s3://" + buckettest.Bucket + prefix)
	if err != nil {
		t.Fatal(err)
	}
	pairs = append([]string{"AWS_ENDPOINT_URL", s.URL, "AWS_ACCESS_KEY_ID", key, "AWS_SECRET_ACCESS_KEY", secret, "AWS_REGION", "eu-west-9"}, pairs...)
	set, err := settings(env(t, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(l, set, quick())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReads(t *testing.T) {
	s := (&buckettest.Server{Key: key}).Start(t)
	data := random(20<<20 + 5)
	s.Put("a/b/model.safetensors", data)
	s.Put("a/b/config.json", []byte("{}"))
	s.Put("a/b/sub/x y.txt", []byte("x"))
	s.Put("a/b/sub/", nil)
	s.Put("a/bc/other", nil)
	b := open(t, s, "/a/b")
	list, err := b.List(t.Context())
	if err != nil || len(list) != 3 || list[0].Name != "config.json" || list[1].Size != 20<<20+5 || list[2].Name != "sub/x y.txt" || list[1].Stamp == "" {
		t.Fatalf("%v %+v", err, list)
	}
	o, err := b.Open(t.Context(), "model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	if o.Stamp() != list[1].Stamp || o.String() != "s3://models/a/b/model.safetensors" || b.String() != "s3://models/a/b" {
		t.Errorf("%q %s %s", o.Stamp(), o, b)
	}
	o.Sequential()
	if got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size())); err != nil || !bytes.Equal(got, data) {
		t.Errorf("other bytes: %v", err)
	}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	if _, err := b.Open(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
	if _, err := b.Open(t.Context(), "../bc/other"); !errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
}

func TestReadsThroughFaults(t *testing.T) {
	for name, odd := range map[string]func(w http.ResponseWriter){
		"503":       func(w http.ResponseWriter) { buckettest.Fail(w, http.StatusServiceUnavailable, "SlowDown") },
		"429":       func(w http.ResponseWriter) { w.Header().Set("Retry-After", "0"); w.WriteHeader(429) },
		"no answer": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"500":       func(w http.ResponseWriter) { buckettest.Fail(w, http.StatusInternalServerError, "InternalError") },
	} {
		s := (&buckettest.Server{Key: key}).Start(t)
		data := random(9 << 20)
		s.Put("m", data)
		s.Before(func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%3 == 0 {
				return false
			}
			odd(w)
			return true
		})
		b := open(t, s, "")
		if list, err := b.List(t.Context()); err != nil || len(list) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		o, err := b.Open(t.Context(), "m")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]byte, len(data))
		if _, err := o.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", name, err)
		}
		_ = o.Close()
	}
}

func TestChanges(t *testing.T) {
	for _, unconditional := range []bool{false, true} {
		s := (&buckettest.Server{Key: key, Unconditional: unconditional}).Start(t)
		s.Put("m", random(3<<20))
		b := open(t, s, "")
		o, err := b.Open(t.Context(), "m")
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		other := random(3 << 20)
		other[5]++
		s.Put("m", other)
		if err := o.Check(); !errors.Is(err, invalid.Input) {
			t.Errorf("Check: %v", err)
		}
		if _, err := o.ReadAt(make([]byte, 10), 2<<20); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "s3://models/m") {
			t.Errorf("%v", err)
		}
	}
}

// upload writes an object in pieces, in an order by chance, by four at once.
func upload(t *testing.T, b *Bucket, name string, data []byte) (*Upload, error) {
	t.Helper()
	u, err := b.Create(t.Context(), name, int64(len(data)))
	if err != nil {
		return nil, err
	}
	const piece = 700_001
	var at []int
	for i := 0; i < len(data); i += piece {
		at = append(at, i)
	}
	rand.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	var g errgroup.Group
	g.SetLimit(4)
	for _, i := range at {
		g.Go(func() error {
			_, err := u.WriteAt(data[i:min(i+piece, len(data))], int64(i))
			return err
		})
	}
	return u, g.Wait()
}

func TestWrites(t *testing.T) {
	s := (&buckettest.Server{Key: key}).Start(t)
	b := open(t, s, "/out")
	for _, n := range []int{0, 1, 5000, partSize, partSize + 1, 40<<20 + 3} {
		name, data := fmt.Sprintf("f%d", n), random(n)
		u, err := upload(t, b, name, data)
		if err != nil {
			t.Fatal(err)
		}
		if s.Object("out/"+name) != nil {
			t.Errorf("%d bytes: seen before it is whole", n)
		}
		if err := u.Commit(); err != nil {
			t.Fatal(err)
		}
		u.Discard() // does nothing now
		if !bytes.Equal(s.Object("out/"+name), data) {
			t.Errorf("%d bytes: other bytes", n)
		}
	}
	if s.Uploads() != 0 {
		t.Errorf("%d uploads are left", s.Uploads())
	}
	if err := b.Remove(t.Context(), "f1"); err != nil {
		t.Error(err)
	}
	if err := b.Remove(t.Context(), "f1"); err != nil {
		t.Error(err)
	}
	if slices.Contains(s.Keys(), "out/f1") {
		t.Error("it is still there")
	}
}

func TestWritesThroughFaults(t *testing.T) {
	for name, odd := range map[string]func(n int, w http.ResponseWriter, r *http.Request) bool{
		"503": func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			buckettest.Fail(w, 503, "SlowDown")
			return true
		},
		"no answer": func(int, http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"409": func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			buckettest.Fail(w, 409, "ConditionalRequestConflict")
			return true
		},
	} {
		for _, after := range []bool{false, true} { // the request was done, its answer lost
			if after && name != "no answer" {
				continue
			}
			s := (&buckettest.Server{Key: key}).Start(t)
			fault := func(n int, w http.ResponseWriter, r *http.Request) bool { return n%2 == 1 && odd(n, w, r) }
			if after {
				s.After(fault)
			} else {
				s.Before(fault)
			}
			b := open(t, s, "/out")
			for _, n := range []int{100, 20 << 20} {
				data := random(n)
				u, err := upload(t, b, fmt.Sprint(n), data)
				if err == nil {
					err = u.Commit()
				}
				if err != nil || !bytes.Equal(s.Object(fmt.Sprintf("out/%d", n)), data) {
					t.Errorf("%s (done %v): %d bytes: %v", name, after, n, err)
				}
			}
		}
	}
}

func TestFirstWins(t *testing.T) {
	s := (&buckettest.Server{Key: key}).Start(t)
	for _, n := range []int{1000, 17 << 20} {
		var mu sync.Mutex
		won, lost := 0, 0
		name := fmt.Sprint(n)
		var g errgroup.Group
		for i := range 4 {
			data := random(n)
			data[0] = byte(i)
			g.Go(func() error {
				u, err := upload(t, open(t, s, "/race"), name, data)
				if err != nil {
					return err
				}
				err = u.Commit()
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
					if got := s.Object("race/" + name); got[0] != byte(i) {
						return errors.New("another's bytes")
					}
				case errors.Is(err, fs.ErrExist):
					lost++
				default:
					return err
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil || won != 1 || lost != 3 {
			t.Errorf("%d bytes: %v; %d won, %d lost", n, err, won, lost)
		}
	}
	if s.Uploads() != 0 {
		t.Errorf("%d uploads are left", s.Uploads())
	}
}

func TestGivingUp(t *testing.T) {
	s := (&buckettest.Server{Key: key}).Start(t)
	b := open(t, s, "/out")
	u, err := upload(t, b, "big", random(30<<20))
	if err != nil {
		t.Fatal(err)
	}
	u.Discard()
	if s.Uploads() != 0 || s.Object("out/big") != nil {
		t.Errorf("%d uploads are left", s.Uploads())
	}
	u, _ = b.Create(t.Context(), "hole", 20<<20)
	_, _ = u.WriteAt(make([]byte, 10), 5)
	if err := u.Commit(); err == nil || !strings.Contains(err.Error(), "10 of 8388608 bytes of part 1") {
		t.Errorf("%v", err)
	}
	u, _ = b.Create(t.Context(), "twice", 20)
	_, _ = u.WriteAt(make([]byte, 15), 0)
	if _, err := u.WriteAt(make([]byte, 15), 5); err == nil {
		t.Error("written twice")
	}
	if _, err := u.WriteAt(make([]byte, 15), 10); err == nil {
		t.Error("written beyond the end")
	}
	u.Discard()
	// A process that was killed leaves its uploads; the next finds its own.
	for _, name := range []string{"model-00001.safetensors", "of-another"} {
		if _, err := b.Create(t.Context(), name, 20<<20); err != nil {
			t.Fatal(err)
		}
	}
	n, err := b.AbortLeft(t.Context(), func(name string) bool { return strings.HasPrefix(name, "model-") })
	if err != nil || n != 1 || s.Uploads() != 1 {
		t.Errorf("%v: %d given up, %d left", err, n, s.Uploads())
	}
	// A fault that stays.
	s.Before(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("partNumber") {
			buckettest.Fail(w, 403, "AccessDenied")
			return true
		}
		return false
	})
	u, err = upload(t, b, "denied", random(30<<20))
	if err == nil {
		err = u.Commit()
	} else {
		u.Discard()
	}
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), `writing "s3://models/out/denied"`) {
		t.Errorf("%v", err)
	}
	if s.Uploads() != 1 {
		t.Errorf("%d uploads are left", s.Uploads())
	}
}

func TestProbe(t *testing.T) {
	s := (&buckettest.Server{Key: key}).Start(t)
	if err := open(t, s, "/out").Probe(t.Context()); err != nil {
		t.Error(err)
	}
	s.Unconditional = true
	if err := open(t, s, "/out").Probe(t.Context()); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "If-None-Match") {
		t.Errorf("%v", err)
	}
	if len(s.Keys()) != 0 {
		t.Errorf("it leaves %v", s.Keys())
	}
	s.Before(func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		buckettest.Fail(w, 501, "NotImplemented")
		return true
	})
	if err := open(t, s, "/out").Probe(t.Context()); !errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
	other := open(t, s, "/out")
	other.location.Bucket = "nowhere"
	s.Before(nil)
	if err := other.Probe(t.Context()); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "no such bucket") {
		t.Errorf("%v", err)
	}
	if _, err := other.List(t.Context()); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "no such bucket") {
		t.Errorf("%v", err)
	}
}

// list reports whether the bucket lets one in.
func list(t *testing.T, s *buckettest.Server, pairs ...string) error {
	t.Helper()
	pairs = append([]string{"AWS_ENDPOINT_URL_S3", s.URL, "AWS_REGION", "eu-west-9"}, pairs...)
	set, err := settings(env(t, pairs...))
	if err != nil {
		return err
	}
	b, err := Open(Location{Bucket: buckettest.Bucket}, set, quick())
	if err != nil {
		return err
	}
	_, err = b.List(t.Context())
	return err
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := (&buckettest.Server{Key: key}).Start(t)
	if err := list(t, s, "AWS_ACCESS_KEY_ID", key, "AWS_SECRET_ACCESS_KEY", secret); err != nil {
		t.Errorf("environment: %v", err)
	}
	file := write("credentials", "[default]\naws_access_key_id = "+key+"\naws_secret_access_key = "+secret+"\n[team]\naws_access_key_id = TEAM\naws_secret_access_key = "+secret+"\n")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file) // minio-go reads this itself
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	if err := list(t, s, "AWS_SHARED_CREDENTIALS_FILE", file); err != nil {
		t.Errorf("file: %v", err)
	}
	s.Key = "TEAM"
	if err := list(t, s, "AWS_SHARED_CREDENTIALS_FILE", file, "AWS_PROFILE", "team"); err != nil {
		t.Errorf("profile: %v", err)
	}
	if err := list(t, s, "AWS_SHARED_CREDENTIALS_FILE", file, "AWS_PROFILE", "nobody"); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("no such profile: %v", err)
	}
	s.Key, s.Session = key, "session"
	if err := list(t, s, "AWS_ACCESS_KEY_ID", key, "AWS_SECRET_ACCESS_KEY", secret, "AWS_SESSION_TOKEN", "session"); err != nil {
		t.Errorf("session: %v", err)
	}
	token := write("web-identity", "the-web-token")
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if r.Form.Get("WebIdentityToken") != "the-web-token" || r.Form.Get("RoleArn") != "arn:aws:iam::1:role/x" || r.Form.Get("Action") != "AssumeRoleWithWebIdentity" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>session</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, key, secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	identity := []string{"AWS_WEB_IDENTITY_TOKEN_FILE", token, "AWS_ROLE_ARN", "arn:aws:iam::1:role/x", "AWS_ENDPOINT_URL_STS", sts.URL}
	if err := list(t, s, identity...); err != nil {
		t.Errorf("web identity: %v", err)
	}
	if err := list(t, s, append(identity, "AWS_ROLE_ARN", "arn:other")...); err == nil || strings.Contains(err.Error(), "the-web-token") {
		t.Errorf("a refused web identity: %v", err)
	}
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"session","Expiration":%q}`, key, secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer container.Close()
	if err := list(t, s, "AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL); err != nil {
		t.Errorf("container: %v", err)
	}
	err := list(t, s, "AWS_ACCESS_KEY_ID", "WRONG", "AWS_SECRET_ACCESS_KEY", secret)
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("wrong: %v", err)
	}
	s.Key, s.Session = "", ""
	if err := list(t, s); err != nil {
		t.Errorf("nobody, from a public bucket: %v", err)
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	text := "[default]\nregion = eu-north-1\n[profile lab]\nregion = us-lab-1\nendpoint_url = https://s3.lab:9000\ns3 =\n  addressing_style = virtual\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := settings(env(t, "AWS_CONFIG_FILE", config))
	if err != nil || s.Region != "eu-north-1" || s.Endpoint.String() != amazon || s.Lookup != 0 {
		t.Errorf("%v %+v", err, s)
	}
	s, err = settings(env(t, "AWS_CONFIG_FILE", config, "AWS_PROFILE", "lab"))
	if err != nil || s.Region != "us-lab-1" || s.Endpoint.Host != "s3.lab:9000" || s.Lookup != 1 {
		t.Errorf("%v %+v", err, s)
	}
	s, err = settings(env(t, "AWS_CONFIG_FILE", config, "AWS_REGION", "x", "AWS_ENDPOINT_URL", "http://127.0.0.1:1"))
	if err != nil || s.Region != "x" || s.Lookup != 2 {
		t.Errorf("%v %+v", err, s)
	}
	for _, bad := range []string{"127.0.0.1", "ftp://x", "https://user:hunter2@h", "http://h/path"} {
		if _, err := settings(env(t, "AWS_ENDPOINT_URL", bad)); !errors.Is(err, invalid.Input) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, bad := range []string{"s3://", "s3://b_/x", "s3://bucket/a/../b", "s3://bucket//a//b", "bucket/x"} {
		if l, err := Parse(bad); !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v %v", bad, l, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	s := (&buckettest.Server{Key: key, Session: "session-secret"}).Start(t)
	b := open(t, s, "/out", "AWS_SESSION_TOKEN", "session-secret")
	s.Put("out/m", random(1<<20))
	said := []string{b.String(), fmt.Sprintf("%v %+v", b.location, b)}
	for _, how := range []string{"403", "503", "cut", "garbage"} {
		s.Before(nil)
		o, err := b.Open(t.Context(), "m")
		if err != nil {
			t.Fatal(err)
		}
		s.Before(func(_ int, w http.ResponseWriter, r *http.Request) bool {
			switch how {
			case "403":
				buckettest.Fail(w, 403, "SignatureDoesNotMatch")
			case "503":
				buckettest.Fail(w, 503, "SlowDown")
			case "cut":
				panic(http.ErrAbortHandler)
			case "garbage":
				w.WriteHeader(418)
				_, _ = io.WriteString(w, r.Header.Get("Authorization"))
			}
			return true
		})
		_, err = o.ReadAt(make([]byte, 10), 3)
		said = append(said, fmt.Sprint(err), fmt.Sprint(o.Check()))
		_, err = b.List(t.Context())
		said = append(said, fmt.Sprint(err))
		said = append(said, fmt.Sprint(b.WriteFile(t.Context(), "w", []byte("x"))))
		_ = o.Close()
	}
	for _, text := range said {
		for _, x := range []string{secret, "session-secret", "Signature=", "X-Amz", "http://"} {
			if strings.Contains(text, x) {
				t.Errorf("%q is in %q", x, text)
			}
		}
		if text == "<nil>" {
			t.Error("no error")
		}
	}
}

var _ store.Object = (*remote.Object)(nil)
