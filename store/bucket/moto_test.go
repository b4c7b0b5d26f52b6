package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

// moto starts moto (pip install "moto[server,s3]"), which others hold S3 clients against,
// and a wire to it that cuts each cut-th connection after some kilobytes; 0 is none.
func moto(t *testing.T, cut int64) (url string) {
	t.Helper()
	if os.Getenv("QUERN_MOTO") == "" {
		t.Skip("a minute against another's store: QUERN_MOTO=1 with moto_server installed runs it")
	}
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Fatal("moto_server is not installed: ", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := l.Addr().String()
	_ = l.Close()
	host, port, _ := net.SplitHostPort(server)
	cmd := exec.Command(program, "-H", host, "-p", port)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }) // its own client reads them
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if resp, err := http.Get("http://" + server + "/moto-api/"); err == nil {
			_ = resp.Body.Close()
			break
		} else if time.Since(start) > time.Minute {
			t.Fatal("moto does not start:", err)
		}
	}
	if cut == 0 {
		return "http://" + server
	}
	return "http://" + wire(t, server, cut)
}

// wire is a connection to a server that is cut now and then.
func wire(t *testing.T, server string, cut int64) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var n atomic.Int64
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			limit := int64(1) << 40
			if k := n.Add(1); k%cut == 0 {
				limit = 100_000 * (k % 7)
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, io.LimitReader(from, limit))
				_ = in.Close()
				_ = out.Close()
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return l.Addr().String()
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
	b, err := Open(Location{"models", "out/"}, set, r)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.core.MakeBucket(t.Context(), "models", minio.MakeBucketOptions{})
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
