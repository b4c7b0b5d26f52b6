package engine_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/internal/blockio/faultfs"
)

// Where open files can be neither removed nor renamed, a run ends well, goes on, is
// overwritten and gives up as elsewhere.
func TestOpenFilesStay(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	windows := func(o *engine.Options) { on(&faultfs.FS{NoSync: true, Windows: true})(o) }
	out := filepath.Join(temp(t), "out")
	sameFiles(t, "a run", convertTo(t, ck, p, out, windows), tinyClean())
	if _, err := start(ck, p, out, windows); !errors.Is(err, engine.ErrComplete) {
		t.Errorf("once more: %v", err)
	}
	sameFiles(t, "once more", folder(t, out), tinyClean())
	over := func(o *engine.Options) { windows(o); o.Overwrite = true }
	sameFiles(t, "overwritten", convertTo(t, ck, p, out, over), tinyClean())

	out = filepath.Join(temp(t), "out")
	restore(t, out, killed(t, ck, p))
	sameFiles(t, "gone on", convertTo(t, ck, p, out, windows), tinyClean())

	// A claim that is given up leaves nothing, not even the state's file.
	out = filepath.Join(temp(t), "out")
	o := convert.EngineOptions(ck, out, convert.RunOptions{})
	_, err := start(ck, p, out, func(o *engine.Options) {
		on(&faultfs.FS{NoSync: true, Windows: true, Space: func() int64 { return 1 }})(o)
	})
	if err == nil {
		t.Error("no disk: no error")
	}
	if _, err := os.Stat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no disk: the folder is left: %v", err)
	}

	// A shard that fails is discarded.
	out = filepath.Join(temp(t), "out")
	_, err = start(ck, p, out, func(o *engine.Options) {
		on(&faultfs.FS{NoSync: true, Windows: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == faultfs.Sync && filepath.Base(c.Name) == p.Shards[1].Name+".partial" {
				return &faultfs.Fault{Err: syscall.EIO}
			}
			return nil
		}})(o)
	})
	if !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if left := folder(t, out); left[p.Shards[1].Name+".partial"] != "" {
		t.Error("a partial file is left")
	}
	sameFiles(t, "after a failure", convertTo(t, ck, p, out, windows), tinyClean())
}
