package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"quern/internal/invalid"
)

// server is a Source in memory that misbehaves as told.
type server struct {
	data []byte
	get  func(try int, off, n int64) (io.ReadCloser, error) // nil: all is well

	mu       sync.Mutex
	requests [][2]int64
	now, top int   // requests in flight
	bytes    int64 // in flight
	most     int64
	check    error
}

func (s *server) Get(_ context.Context, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.requests = append(s.requests, [2]int64{off, n})
	try := len(s.requests)
	s.now++
	s.top = max(s.top, s.now)
	s.bytes += n
	s.most = max(s.most, s.bytes)
	s.mu.Unlock()
	if s.get != nil {
		if body, err := s.get(try, off, n); body != nil || err != nil {
			s.end(n)
			return body, err
		}
	}
	return &body{bytes.NewReader(s.data[off : off+n]), func() { s.end(n) }}, nil
}

func (s *server) end(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	s.bytes -= n
}

func (s *server) Check(context.Context) error { return s.check }

type body struct {
	io.Reader
	close func()
}

func (b *body) Close() error { b.close(); return nil }

// content is a file of random bytes.
func content(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(p)
	return p
}

func sha256Of(p []byte) Digest {
	h := sha256.Sum256(p)
	return Digest("sha256:" + hex.EncodeToString(h[:]))
}

// quick is a reader that does not wait. All that it kept must be given back at the end.
func quick(t *testing.T, budget int64) *Reader {
	r := NewReader(budget)
	r.Patient = Patience{Tries: 4, First: time.Microsecond, Most: time.Millisecond}
	r.Brief = r.Patient
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.used != 0 || r.idle.Len() != 0 {
			t.Errorf("%d bytes of the budget and %d spans are left behind", r.used, r.idle.Len())
		}
	})
	return r
}

func open(t *testing.T, r *Reader, s *server, d Digest) *Object {
	t.Helper()
	o := r.Open(t.Context(), File{Name: "store://x/file", Size: int64(len(s.data)), Stamp: "1", Digest: d}, s)
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// front reads an object in order, in pieces of n bytes.
func front(o *Object, n int) ([]byte, error) {
	var all []byte
	p := make([]byte, n)
	for {
		k, err := o.ReadAt(p, int64(len(all)))
		all = append(all, p[:k]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestHeadersTakeOneRequest(t *testing.T) {
	s := &server{data: content(40 << 20)}
	o := open(t, quick(t, 0), s, "")
	var p [8]byte
	if _, err := o.ReadAt(p[:], 0); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 90<<10)
	if _, err := o.ReadAt(header, 8); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(header, s.data[8:8+90<<10]) || !bytes.Equal(p[:], s.data[:8]) {
		t.Error("other bytes")
	}
	if len(s.requests) != 1 || s.requests[0] != [2]int64{0, least} {
		t.Errorf("requests %v, one is enough", s.requests)
	}
	// A header beyond what came with the first bytes: only the rest is fetched.
	header = make([]byte, 300<<10)
	if _, err := o.ReadAt(header, 8); err != nil {
		t.Fatal(err)
	}
	if len(s.requests) != 2 || s.requests[1][0] != least {
		t.Errorf("requests %v", s.requests)
	}
}

// An index of some megabytes is often read by io.ReadAll, which begins with 512 bytes.
func TestGrowingReads(t *testing.T) {
	s := &server{data: content(9 << 20)}
	o := open(t, quick(t, 0), s, sha256Of(s.data))
	got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil || !bytes.Equal(got, s.data) {
		t.Fatal("other bytes", err)
	}
	if len(s.requests) > 10 {
		t.Errorf("%d requests for 9 MiB", len(s.requests))
	}
}

func TestFrontToBack(t *testing.T) {
	s := &server{data: content(100<<20 + 12345)}
	for _, piece := range []int{100_000, 3 << 20, 8 << 20, 30 << 20} {
		s := &server{data: s.data}
		o := open(t, quick(t, 0), s, sha256Of(s.data))
		o.Sequential()
		got, err := front(o, piece)
		if err != nil || !bytes.Equal(got, s.data) {
			t.Fatalf("pieces of %d: other bytes: %v", piece, err)
		}
		if n := len(s.requests); n > 18 { // eight grow to a whole range, over 36 MiB
			t.Errorf("pieces of %d: %d requests for 17 ranges", piece, n)
		}
		if o.sum.next != o.file.Size {
			t.Errorf("pieces of %d: %d of %d bytes were compared with the digest", piece, o.sum.next, o.file.Size)
		}
	}
}

// slow answers after a round trip.
func slow(d time.Duration) func(int, int64, int64) (io.ReadCloser, error) {
	return func(int, int64, int64) (io.ReadCloser, error) { time.Sleep(d); return nil, nil }
}

func TestRangesInFlight(t *testing.T) {
	s := &server{data: content(96 << 20), get: slow(20 * time.Millisecond)}
	o := open(t, quick(t, 4*block), s, "")
	o.Sequential()
	if got, err := front(o, block); err != nil || !bytes.Equal(got, s.data) {
		t.Fatal("other bytes", err)
	}
	if s.top < 2 || s.most > 4*block { // all has come, nothing is in flight
		t.Errorf("%d ranges of %d bytes at once with a budget of %d", s.top, s.most, 4*block)
	}
	// A read of much at once, unannounced, is divided.
	s = &server{data: s.data, get: s.get}
	o = open(t, quick(t, 4*block), s, "")
	p := make([]byte, 64<<20)
	if _, err := o.ReadAt(p, 1<<20); err != nil || !bytes.Equal(p, s.data[1<<20:65<<20]) {
		t.Fatal("other bytes", err)
	}
	if s.top < 2 {
		t.Errorf("%d ranges at once", s.top)
	}
}

func TestManyReadersOneObject(t *testing.T) {
	s := &server{data: content(50 << 20), get: slow(time.Millisecond)}
	for _, budget := range []int64{least, 2 * block, 0} {
		o := open(t, quick(t, budget), s, sha256Of(s.data))
		o.Sequential()
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range 40 {
					off := r.Int64N(int64(len(s.data)))
					p := make([]byte, 1+r.IntN(2<<20))
					n, err := o.ReadAt(p, off)
					if err != nil && !errors.Is(err, io.EOF) {
						return err
					}
					if !bytes.Equal(p[:n], s.data[off:off+int64(n)]) {
						return errors.New("other bytes")
					}
					if r.IntN(4) == 0 {
						o.Drop(off, int64(n)+block)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Errorf("budget %d: %v", budget, err)
		}
	}
}

func TestBudgetIsShared(t *testing.T) {
	r := quick(t, 3*least)
	var all []*Object
	s := &server{data: content(1 << 20)}
	for range 10 {
		o := open(t, r, s, "")
		all = append(all, o)
		if _, err := o.ReadAt(make([]byte, 8), 0); err != nil {
			t.Fatal(err)
		}
		if r.used > 3*least {
			t.Fatalf("%d bytes are kept of %d", r.used, r.total)
		}
	}
	if _, err := all[0].ReadAt(make([]byte, 8), 8); err != nil {
		t.Fatal(err)
	}
}

func TestTriesAgain(t *testing.T) {
	flaky := errors.New("503")
	cut := func(s *server, off, n int64) io.ReadCloser {
		return &body{io.MultiReader(bytes.NewReader(s.data[off:off+n]), &broken{}), func() {}}
	}
	for name, get := range map[string]func(s *server) func(int, int64, int64) (io.ReadCloser, error){
		"every other answer is an error": func(*server) func(int, int64, int64) (io.ReadCloser, error) {
			var asked sync.Map // by offset: ranges in flight must not take each other's good answers
			return func(_ int, off, _ int64) (io.ReadCloser, error) {
				if _, again := asked.LoadOrStore(off, true); !again {
					return nil, TryAgain(flaky, time.Millisecond)
				}
				asked.Delete(off)
				return nil, nil
			}
		},
		"bodies end after half": func(s *server) func(int, int64, int64) (io.ReadCloser, error) {
			return func(_ int, off, n int64) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(s.data[off : off+(n+1)/2])), nil
			}
		},
		"connections break after a third": func(s *server) func(int, int64, int64) (io.ReadCloser, error) {
			return func(_ int, off, n int64) (io.ReadCloser, error) {
				if n < 1<<20 {
					return nil, nil
				}
				return cut(s, off, n/3), nil
			}
		},
	} {
		s := &server{data: content(30 << 20)}
		s.get = get(s)
		o := open(t, quick(t, 0), s, sha256Of(s.data))
		if name != "every other answer is an error" {
			o.reader.Patient.Tries = 20 // the last 64 KiB bring less than what counts
		}
		o.Sequential()
		got, err := front(o, 5<<20)
		if err != nil || !bytes.Equal(got, s.data) {
			t.Errorf("%s: other bytes: %v", name, err)
		}
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

func TestGivesUp(t *testing.T) {
	down := errors.New("503 Service Unavailable")
	s := &server{data: content(1 << 20), get: func(int, int64, int64) (io.ReadCloser, error) { return nil, TryAgain(down, 0) }}
	o := open(t, quick(t, 0), s, "")
	_, err := o.ReadAt(make([]byte, 10), 0)
	if !errors.Is(err, down) || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), `reading "store://x/file"`) || !strings.Contains(err.Error(), "4 tries") {
		t.Errorf("%v", err)
	}
	s.get = func(int, int64, int64) (io.ReadCloser, error) { return nil, TryAgain(down, time.Hour) }
	if _, err = o.ReadAt(make([]byte, 10), 0); !errors.Is(err, down) || !strings.Contains(err.Error(), "1h0m0s") {
		t.Errorf("%v", err)
	}
	s.get = nil // what was a fault of the moment is over
	if _, err = o.ReadAt(make([]byte, 10), 0); err != nil {
		t.Error(err)
	}
}

func TestStall(t *testing.T) {
	s := &server{data: content(1 << 20)}
	r := quick(t, 0)
	r.Idle = 20 * time.Millisecond
	o := r.Open(t.Context(), File{Name: "f", Size: 1 << 20}, &hanging{server: s})
	defer func() { _ = o.Close() }()
	if _, err := o.ReadAt(make([]byte, 10), 0); err != nil {
		t.Error(err)
	}
}

// hanging sends nothing the first time.
type hanging struct {
	*server
	once sync.Once
}

func (h *hanging) Get(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	first := false
	h.once.Do(func() { first = true })
	if first {
		<-ctx.Done()
		return nil, TryAgain(ctx.Err(), 0)
	}
	return h.server.Get(ctx, off, n)
}

func TestChangedFileStays(t *testing.T) {
	s := &server{data: content(1 << 20), get: func(int, int64, int64) (io.ReadCloser, error) {
		return nil, invalid.Errorf("it has changed")
	}}
	o := open(t, quick(t, 0), s, "")
	for range 2 {
		if _, err := o.ReadAt(make([]byte, 10), 0); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "changed") {
			t.Errorf("%v", err)
		}
		s.get = nil
	}
	if err := o.Check(); !errors.Is(err, invalid.Input) {
		t.Errorf("Check: %v", err)
	}
	o = open(t, quick(t, 0), s, "")
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	s.check = fs.ErrNotExist
	if err := o.Check(); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("Check: %v", err)
	}
}

func TestDigest(t *testing.T) {
	s := &server{data: content(20 << 20)}
	want := sha256Of(s.data)
	s.data[19<<20] ^= 1
	o := open(t, quick(t, 0), s, want)
	o.Sequential()
	got, err := front(o, 1<<20)
	if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "digest") {
		t.Errorf("%v after %d bytes", err, len(got))
	}
	if o.Check() == nil {
		t.Error("Check does not know")
	}
	small := &server{data: []byte("hello\n")}
	o = open(t, quick(t, 0), small, "git:ce013625030ba8dba906f756967f9e9ca394464a") // git hash-object
	if _, err := front(o, 100); err != nil {
		t.Error(err)
	}
	o = open(t, quick(t, 0), small, "git:de013625030ba8dba906f756967f9e9ca394464a")
	if _, err := front(o, 100); !errors.Is(err, invalid.Input) {
		t.Errorf("%v", err)
	}
	// A data read that begins behind the header is compared too.
	s = &server{data: content(3 << 20)}
	o = open(t, quick(t, 0), s, sha256Of(s.data))
	o.Sequential()
	if _, err := o.ReadAt(make([]byte, 3<<20-1000), 1000); err != nil || o.sum.next != 3<<20 {
		t.Errorf("%v, %d bytes compared", err, o.sum.next)
	}
}

func TestEnds(t *testing.T) {
	s := &server{data: content(1 << 20)}
	ctx, cancel := context.WithCancel(t.Context())
	r := quick(t, 0)
	o := r.Open(ctx, File{Name: "f", Size: 1 << 20}, s)
	if n, err := o.ReadAt(make([]byte, 10), 1<<20-3); n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("%d %v", n, err)
	}
	if n, err := o.ReadAt(make([]byte, 10), 1<<20); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d %v", n, err)
	}
	if _, err := o.ReadAt(make([]byte, 10), -1); err == nil {
		t.Error("a negative offset is read")
	}
	cancel()
	if _, err := o.ReadAt(make([]byte, 10), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	_ = o.Close()
	o = r.Open(t.Context(), File{Name: "f", Size: 1 << 20}, s)
	_ = o.Close()
	if _, err := o.ReadAt(make([]byte, 10), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%v", err)
	}
}
