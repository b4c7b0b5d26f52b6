package engine_test

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quern/convert/engine"
	"quern/internal/blockio/faultfs"
)

// Several reads are in flight at once, of tensors that each fit a slab: one that waits
// sees the next begin.
func TestReadsAreInFlightTogether(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	var inFlight, together atomic.Int64
	var once sync.Once
	met := make(chan struct{})
	meet := func() { once.Do(func() { close(met) }) }
	late := time.AfterFunc(20*time.Second, meet) // nobody came
	defer late.Stop()
	fs := &faultfs.FS{NoSync: true}
	fs.Hook = func(c faultfs.Call) *faultfs.Fault {
		if c.Kind != faultfs.Read || !strings.HasPrefix(c.Name, ck.Dir) || c.N == 1 { // the first one is the header
			return nil
		}
		if n := inFlight.Add(1); n > 1 {
			together.Store(n)
			meet()
		}
		<-met
		inFlight.Add(-1)
		return nil
	}
	got := convertTo(t, ck, p, filepath.Join(temp(t), "out"), func(o *engine.Options) {
		through(o, fs)
		engine.ReadAhead(o) // workers read what is cached, one chunk each
	})
	if together.Load() < 2 {
		t.Error("one read after the other")
	}
	sameFiles(t, "several reads at once", got, tinyClean())
}
