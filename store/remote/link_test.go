package remote

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"
)

// link is a Source behind a link: each request takes a round trip, and all share the
// bytes that come in a second.
type link struct {
	size int64
	trip time.Duration
	rate float64

	mu   sync.Mutex
	free time.Time // when the link has sent what it was asked for
}

func (l *link) Check(context.Context) error { return nil }

func (l *link) Get(_ context.Context, _, n int64) (io.ReadCloser, error) {
	time.Sleep(l.trip)
	return io.NopCloser(&stream{l, n}), nil
}

// stream sends in pieces of 256 KiB, each when its turn on the link has come.
type stream struct {
	*link
	left int64
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.left, 256<<10))
	s.mu.Lock()
	if now := time.Now(); s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
	until := s.free
	s.mu.Unlock()
	time.Sleep(time.Until(until))
	s.left -= int64(n)
	return n, nil
}

// How much of a link is used: 50 ms and 200 MB/s, as between a region and its bucket.
func BenchmarkLink(b *testing.B) {
	for _, how := range []struct {
		name   string
		budget int64
		whole  bool
	}{{"ahead", DefaultBudget, true}, {"ahead-32MiB", 4 * block, true}, {"unannounced", DefaultBudget, false}} {
		b.Run(how.name, func(b *testing.B) {
			l := &link{size: 512 << 20, trip: 50 * time.Millisecond, rate: 200e6}
			p := make([]byte, block)
			start := time.Now()
			for b.Loop() {
				o := NewReader(how.budget).Open(b.Context(), File{Name: "f", Size: l.size}, l)
				if how.whole {
					o.Sequential()
				}
				for off := int64(0); off < l.size; off += block {
					if _, err := o.ReadAt(p, off); err != nil && err != io.EOF {
						b.Fatal(err)
					}
				}
				_ = o.Close()
			}
			b.ReportMetric(float64(l.size)*float64(b.N)/time.Since(start).Seconds()/l.rate*100, "%link")
		})
	}
}
