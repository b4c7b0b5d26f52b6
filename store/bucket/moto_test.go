package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"quern/store/bucket/buckettest"
)

// moto starts moto, see buckettest.Moto, unless it is not asked for.
func moto(t *testing.T, cut int64) (url string) {
	t.Helper()
	if os.Getenv("QUERN_MOTO") == "" {
		t.Skip("a minute against another's store: QUERN_MOTO=1 with moto_server installed runs it")
	}
	url, err := buckettest.Moto(t, cut)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func motoBucket(t *testing.T, url string, pairs ...string) *Bucket {
	t.Helper()
	pairs = append([]string{"AWS_ENDPOINT_URL", url, "AWS_ACCESS_KEY_ID", key, "AWS_SECRET_ACCESS_KEY", secret, "AWS_REGION", "us-east-1"}, pairs...)
	set, err := settings(env(t, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	r := quick()
	r.Patient.Tries, r.Brief.Tries = 20, 20
	b, err := Open(Location{buckettest.Bucket, "out/"}, set, r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMoto(t *testing.T) {
	for _, cut := range []int64{0, 3} {
		b := motoBucket(t, moto(t, cut))
		if err := b.Probe(t.Context()); err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		data := random(40<<20 + 11)
		for name, want := range map[string][]byte{"model.safetensors": data, "sub/config.json": []byte("{}"), "empty": {}} {
			u, err := upload(t, b, name, want)
			if err == nil {
				err = u.Commit()
			}
			if err != nil {
				t.Fatalf("cut %d: %s: %v", cut, name, err)
			}
			o, err := b.Open(t.Context(), name)
			if err != nil {
				t.Fatalf("cut %d: %v", cut, err)
			}
			o.Sequential()
			got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("cut %d: %s: other bytes: %v", cut, name, err)
			}
			if err := o.Check(); err != nil {
				t.Errorf("cut %d: %v", cut, err)
			}
			_ = o.Close()
		}
		list, err := b.List(t.Context())
		if err != nil || len(list) != 3 {
			t.Errorf("cut %d: %v %v", cut, err, list)
		}
		// What is there stays.
		for _, n := range []int{5, 20 << 20} {
			u, err := upload(t, b, "model.safetensors", random(n))
			if err == nil {
				err = u.Commit()
			}
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("cut %d: %v", cut, err)
			}
		}
		// Uploads of a run that was killed are found; a file that changes is noticed.
		if _, err := b.Create(context.WithoutCancel(t.Context()), "left.safetensors", 30<<20); err != nil {
			t.Fatal(err)
		}
		if n, err := b.AbortLeft(t.Context(), func(name string) bool { return name == "left.safetensors" }); err != nil || n < 1 {
			t.Errorf("cut %d: %d uploads were left: %v", cut, n, err)
		}
		o, err := b.Open(t.Context(), "sub/config.json")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Remove(t.Context(), "sub/config.json"), b.WriteFile(t.Context(), "sub/config.json", []byte("[]"))); err != nil {
			t.Fatal(err)
		}
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("cut %d: Check: %v", cut, err)
		}
		if _, err := o.ReadAt(make([]byte, 1), 0); err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("cut %d: %v", cut, err)
		}
		_ = o.Close()
	}
}

func TestMotoRace(t *testing.T) {
	url := moto(t, 0)
	var won atomic.Int64
	var g errgroup.Group
	// Moto looks whether there is an object and stores one later, not at once as stores
	// must: what is sent at once is ended one after the other. TestFirstWins has the race.
	var end sync.Mutex
	b := motoBucket(t, url)
	for i := range 5 {
		data := random(12 << 20)
		data[0] = byte(i)
		g.Go(func() error {
			u, err := upload(t, motoBucket(t, url), "one", data)
			if err != nil {
				return err
			}
			end.Lock()
			defer end.Unlock()
			err = u.Commit()
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil || won.Load() != 1 {
		t.Errorf("%v; %d won", err, won.Load())
	}
	if n, err := b.AbortLeft(t.Context(), func(string) bool { return true }); err != nil || n != 0 {
		t.Errorf("%d uploads are left: %v", n, err)
	}
	// A web identity, taken by moto's own STS.
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("header.payload.signature"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := motoBucket(t, url, "AWS_ACCESS_KEY_ID", "", "AWS_WEB_IDENTITY_TOKEN_FILE", token, "AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/quern", "AWS_ENDPOINT_URL_STS", url)
	list, err := w.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Errorf("web identity: %v %s", err, fmt.Sprint(list))
	}
}
