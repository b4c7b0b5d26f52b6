package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/synth"
	"quern/internal/invalid"
	"quern/store"
	"quern/store/bucket"
	"quern/store/bucket/buckettest"
	"quern/store/remote"
	"quern/task"
)

// conversion is a quantization of several files, and what it makes in a folder.
type conversion struct {
	ck   *hf.Checkpoint
	plan *plan.Plan
	want map[string]string
}

func newConversion(t *testing.T) *conversion {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in")
	v := synth.Tiny()
	v.Layers, v.Dense, v.Experts, v.ShardBytes = 1, 0, 2, 120<<10
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &conversion{}
	var err error
	if c.ck, err = hf.Open(dir); err != nil {
		t.Fatal(err)
	}
	if c.plan, err = convert.PlanQuantize(c.ck, convert.QuantizeOptions{ShardSize: 200 << 10}); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := convert.Run(t.Context(), c.ck, c.plan, out, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	c.want = map[string]string{}
	for _, e := range list {
		raw, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		c.want[e.Name()] = string(raw)
	}
	return c
}

// run makes it, or a task of it, in a sink.
func (c *conversion) run(ctx context.Context, out store.Sink, change func(*convert.RunOptions)) error {
	var r convert.RunOptions
	if change != nil {
		change(&r)
	}
	o := convert.EngineOptions(c.ck, out.String(), r)
	o.Out = out
	_, err := engine.Run(ctx, c.plan, o)
	return err
}

// sink opens s3://models/some/out of a server.
func sink(t *testing.T, url string) store.Sink {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for k, v := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
		"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
	} {
		t.Setenv(k, v)
	}
	r := remote.NewReader(0)
	r.Patient = remote.Patience{Tries: 10, First: time.Millisecond, Most: 2 * time.Millisecond}
	r.Brief = r.Patient
	s, err := bucket.Kind(r).Sink("s3://" + buckettest.Bucket + "/some/out")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// holds compares what lies in the prefix with what the folder has.
func holds(t *testing.T, what string, s *buckettest.Server, want map[string]string) {
	t.Helper()
	for _, k := range s.Keys() {
		name := strings.TrimPrefix(k, "some/out/")
		if x, ok := want[name]; !ok || x != string(s.Object(k)) {
			t.Errorf("%s: %s is not of the output (%d bytes)", what, name, len(s.Object(k)))
		}
	}
	if n := len(s.Keys()); n != len(want) {
		t.Errorf("%s: %d objects, want %q", what, n, slices.Sorted(maps.Keys(want)))
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%s: %d uploads are left", what, n)
	}
}

// A bucket gets what a folder gets; again, over it, and with other options.
func TestSink(t *testing.T) {
	c := newConversion(t)
	s := (&buckettest.Server{Key: "AKIDEXAMPLE"}).Start(t)
	out := sink(t, s.URL)
	if err := c.run(t.Context(), out, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, "new", s, c.want)
	if err := c.run(t.Context(), out, nil); !errors.Is(err, engine.ErrComplete) {
		t.Error(err)
	}
	if err := c.run(t.Context(), out, func(o *convert.RunOptions) { o.Overwrite = true }); err != nil {
		t.Error(err)
	}
	holds(t, "over it", s, c.want)
	other := *c
	var err error
	if other.plan, err = convert.PlanQuantize(c.ck, convert.QuantizeOptions{UE8M0: true}); err != nil {
		t.Fatal(err)
	}
	if err := other.run(t.Context(), out, nil); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "scale-fmt") {
		t.Error(err)
	}
	// What is not quern's is not mixed with, and where nothing can be made once, nothing is.
	s.Put("some/out2", nil)
	s = (&buckettest.Server{Key: "AKIDEXAMPLE"}).Start(t)
	s.Put("some/out/mine.txt", []byte("x"))
	if err := c.run(t.Context(), sink(t, s.URL), nil); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "mine.txt") {
		t.Error(err)
	}
	s = (&buckettest.Server{Key: "AKIDEXAMPLE", Unconditional: true}).Start(t)
	if err := c.run(t.Context(), sink(t, s.URL), nil); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "If-None-Match") {
		t.Error(err)
	}
	if len(s.Keys()) != 0 {
		t.Error(s.Keys())
	}
}

// Cut at any request, whether the store has still done it or not, the same command goes
// on, and the result is the same.
func TestSinkCut(t *testing.T) {
	c := newConversion(t)
	for _, done := range []bool{false, true} {
		for n := 1; ; n++ {
			var requests atomic.Int64
			var healed atomic.Bool
			s := &buckettest.Server{Key: "AKIDEXAMPLE"}
			cut := func(w http.ResponseWriter, after bool) bool {
				if !after {
					requests.Add(1)
				}
				k := int(requests.Load())
				if healed.Load() || k < n || k == n && done && !after {
					return false
				}
				buckettest.Fail(w, http.StatusForbidden, "AccessDenied")
				return true
			}
			s.Before(func(_ int, w http.ResponseWriter, _ *http.Request) bool { return cut(w, false) })
			s.After(func(_ int, w http.ResponseWriter, _ *http.Request) bool { return cut(w, true) })
			s.Start(t)
			out := sink(t, s.URL)
			err := c.run(t.Context(), out, nil)
			if err == nil {
				holds(t, "not cut", s, c.want)
				break
			}
			what := fmt.Sprintf("cut at %d, done %v", n, done)
			if s.Object("some/out/quern-manifest.json") != nil && len(s.Keys()) < len(c.want) {
				t.Fatalf("%s: a manifest without the rest", what)
			}
			healed.Store(true)
			if err := c.run(t.Context(), out, nil); err != nil && !errors.Is(err, engine.ErrComplete) {
				t.Fatalf("%s: %v", what, err)
			}
			for _, k := range s.Keys() { // a probe that could not be removed
				if strings.HasPrefix(k, "some/out/.quern-probe") {
					if err := out.Remove(strings.TrimPrefix(k, "some/out/")); err != nil {
						t.Fatal(err)
					}
				}
			}
			holds(t, what, s, c.want)
			s.Close()
		}
	}
}

// Tasks share a prefix, twice each and at once; a merge makes it whole.
func TestSinkTasks(t *testing.T) {
	c := newConversion(t)
	s := (&buckettest.Server{Key: "AKIDEXAMPLE"}).Start(t)
	out := sink(t, s.URL)
	errs := make(chan error, 6)
	for i := range 6 {
		go func() {
			errs <- c.run(t.Context(), out, func(o *convert.RunOptions) { o.Task = task.Task{I: i/2 + 1, N: 3} })
		}()
	}
	for range 6 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	st, err := engine.LookStatus(t.Context(), out, time.Now())
	if err != nil || st.Count[engine.Done] != 3 {
		t.Fatal(st, err)
	}
	// An upload that a killed task has left.
	if _, err := http.Post(s.URL+"/"+buckettest.Bucket+"/some/out/"+c.plan.Shards[0].Name+"?uploads", "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Merge(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	holds(t, "merged", s, c.want)
	if _, err := engine.Merge(t.Context(), out); !errors.Is(err, engine.ErrComplete) {
		t.Error(err)
	}
	if err := c.run(t.Context(), out, func(o *convert.RunOptions) { o.Task = task.Task{I: 2, N: 3} }); !errors.Is(err, engine.ErrComplete) {
		t.Error(err)
	}
}

// A log is what was appended to it, whatever it lies in, and says when another writes it.
func TestSinkLog(t *testing.T) {
	s := (&buckettest.Server{Key: "AKIDEXAMPLE"}).Start(t)
	out := sink(t, s.URL)
	add := func(l store.Log, text string) error {
		if err := l.Append([]byte(text)); err != nil {
			return err
		}
		return l.Sync()
	}
	open := func() store.Log {
		t.Helper()
		l, err := out.Log("x.partial")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	content := func() string {
		t.Helper()
		raw, err := store.ReadFile(t.Context(), out, "x.partial", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	l := open()
	for _, x := range []string{"a\n", "b\n", "c\n", "d\n"} {
		if err := add(l, x); err != nil {
			t.Fatal(err)
		}
	}
	if got := content(); got != "a\nb\nc\nd\n" || len(s.Keys()) != 2 {
		t.Errorf("%q in %q", got, s.Keys())
	}
	again := open()
	if again.Size() != 8 {
		t.Error(again.Size())
	}
	again.Keep(8)
	if err := add(again, "e\n"); err != nil {
		t.Fatal(err)
	}
	if err := add(l, "f\n"); !errors.Is(err, store.ErrLocked) {
		t.Error(err)
	}
	if got := content(); got != "a\nb\nc\nd\ne\n" {
		t.Errorf("%q", got)
	}
	// As a run with --overwrite does: a new head, then what does not count goes.
	over := open()
	if err := errors.Join(add(over, "A\n"), over.Cut(), add(over, "B\n"), add(over, "C\n")); err != nil {
		t.Fatal(err)
	}
	if got := content(); got != "A\nB\nC\n" {
		t.Errorf("%q", got)
	}
	if e, err := out.Look("x.partial"); err != nil || !e.Mode.IsDir() {
		t.Error(e, err)
	}
	if err := over.Retire(); err != nil || len(s.Keys()) != 0 {
		t.Error(err, s.Keys())
	}
}

// Large files go in parts, are read back before, and are compared with what is there.
func TestSinkParts(t *testing.T) {
	s := (&buckettest.Server{Key: "AKIDEXAMPLE"}).Start(t)
	out := sink(t, s.URL)
	data := make([]byte, 20<<20+5)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(data)
	write := func(to store.Sink, data []byte) error {
		t.Helper()
		p, err := to.Create(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Reserve(int64(len(data))); err != nil {
			t.Fatal(err)
		}
		for at := len(data) / 3 * 2; at >= 0; at -= len(data) / 3 { // from back to front
			if _, err := p.WriteAt(data[at:], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		back := make([]byte, 1000)
		if _, err := p.ReadAt(back, 12<<20); err != nil || !bytes.Equal(back, data[12<<20:12<<20+1000]) {
			t.Error(err, "read back")
		}
		return p.Commit()
	}
	one := out.Shared("one")
	for _, to := range []store.Sink{out, one, out} {
		if err := write(to, data); err != nil || !bytes.Equal(s.Object("some/out/x"), data) || s.Uploads() != 0 {
			t.Fatal(err, s.Uploads())
		}
	}
	other := bytes.Clone(data)
	other[len(other)-1] ^= 1
	if err := write(one, other); !errors.Is(err, store.ErrDiffers) || !bytes.Equal(s.Object("some/out/x"), data) {
		t.Fatal(err)
	}
	if err := write(out, other); err != nil || !bytes.Equal(s.Object("some/out/x"), other) {
		t.Fatal(err)
	}
	// A merge that gives up the upload of a task that is still at it, when another process
	// has made the same.
	p, err := one.Create(t.Context(), "y")
	if err == nil {
		_, err = p.WriteAt(data, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	s.Before(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") == "3" {
			once.Do(func() {
				s.Put("some/out/y", data)
				if err := out.Shared("merge").Sweep("y"); err != nil {
					t.Error(err)
				}
			})
		}
		return false
	})
	if err := p.Commit(); err != nil || s.Uploads() != 0 {
		t.Error(err, s.Uploads())
	}
}

// Moto takes the same, also over a wire that is cut.
func TestSinkMoto(t *testing.T) {
	c := newConversion(t)
	for _, cut := range []int64{0, 3} {
		url := bucket.Moto(t, cut)
		out := sink(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		err := c.run(ctx, out, func(o *convert.RunOptions) {
			o.Progress = func(done, total int64) {
				if done > total/2 {
					cancel()
				}
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cut %d: %v", cut, err)
		}
		for i := 1; i <= 3 && cut == 0; i++ { // a run without --task has begun
			if err := c.run(t.Context(), out, func(o *convert.RunOptions) { o.Task = task.Task{I: i, N: 3} }); !errors.Is(err, invalid.Input) {
				t.Fatal(err)
			}
		}
		if err := c.run(t.Context(), out, nil); err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		for name, want := range c.want {
			got, err := store.ReadFile(t.Context(), out, name, 1<<30)
			if err != nil || string(got) != want {
				t.Errorf("cut %d: %s: %v", cut, name, err)
			}
		}
		list, err := out.List(t.Context())
		if err != nil || len(list) != len(c.want) {
			t.Errorf("cut %d: %v %v", cut, err, list)
		}
	}
}
