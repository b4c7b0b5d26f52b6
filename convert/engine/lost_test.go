package engine_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"quern/convert/engine"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// A write that the system loses on its way to the disk is told once, to whichever
// call asks first: where that is the write-back that runs along, the Sync behind it
// says that all is well. Such a shard never gets its name.
func TestLostWrites(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	for _, kind := range []faultfs.Kind{faultfs.Flush, faultfs.Settle} {
		for _, shard := range []int{0, 3, len(p.Shards) - 1} {
			restore := engine.DropAlways()
			out := filepath.Join(temp(t), "out")
			name := p.Shards[shard].Name
			var lost atomic.Bool
			fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
				if c.Kind == kind && filepath.Base(c.Name) == name+".partial" && !lost.Swap(true) {
					return &faultfs.Fault{Err: syscall.EIO}
				}
				return nil
			}}
			_, err := start(ck, p, out, on(fsys))
			restore()
			what := string(kind) + " of " + name
			if !lost.Load() {
				t.Fatalf("%s: no such call", what)
			}
			if !errors.Is(err, syscall.EIO) || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", what, err)
			}
			files := folder(t, out)
			onlyFinished(t, what, files, tinyClean())
			if files[name] != "" || files[name+".partial"] != "" {
				t.Errorf("%s: the shard is there", what)
			}
			if n := fsys.OpenFiles(); n != 0 {
				t.Errorf("%s: %d files are open", what, n)
			}
			finish(t, ck, p, out, what)
			sameFiles(t, what+", completed", folder(t, out), tinyClean())
		}
	}
}
