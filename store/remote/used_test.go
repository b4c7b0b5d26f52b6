package remote

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A checkpoint of several files that is read from front to back uses a link of 200 MB/s
// with a round trip of 50 ms: in time of the simulation, so that the load of this machine
// has no part in it. Within little memory too.
func TestLinkIsUsed(t *testing.T) {
	for _, c := range []struct {
		name   string
		budget int64
		files  int
		size   int64
		least  float64
	}{
		{"large shards", DefaultBudget, 2, 1e9, 95},
		{"shards of 256 MiB", DefaultBudget, 3, 256 << 20, 90},
		{"32 MiB of memory", 32 << 20, 1, 1e9, 90},
		{"16 MiB of memory", 16 << 20, 1, 1e9, 90},
		{"256 MiB of memory", 256 << 20, 1, 1e9, 95},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &link{size: c.size, trip: 50 * time.Millisecond, rate: 200e6}
				r := NewReader(c.budget)
				p := make([]byte, block)
				start := time.Now()
				for range c.files {
					o := r.Open(t.Context(), File{Name: "f", Size: l.size}, l)
					o.Sequential()
					for off := int64(0); off < l.size; off += block {
						if _, err := o.ReadAt(p, off); err != nil && err != io.EOF {
							t.Fatal(err)
						}
					}
					_ = o.Close()
				}
				used := float64(l.size) * float64(c.files) / time.Since(start).Seconds() / l.rate * 100
				t.Logf("%.1f %% of the link", used)
				if used < c.least {
					t.Errorf("%.1f %% of the link, at least %g are wanted", used, c.least)
				}
			})
		})
	}
}
