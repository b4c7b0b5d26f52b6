package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// What quern has not written is neither removed nor written over, whatever it is
// called, and the refusal does not say that --overwrite would do it.
func TestOthersFilesStay(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	with := func(files map[string]string, changes ...string) map[string]string {
		m := map[string]string{}
		for n, raw := range files {
			m[n] = raw
		}
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	source := folder(t, tiny())
	shard := p.Shards[1].Name
	tuned := []byte(want[shard])
	for i := range tuned[p.Shards[1].Offsets[0]:] {
		tuned[int(p.Shards[1].Offsets[0])+i] ^= 1
	}
	other := with(want)
	delete(other, "quern-manifest.json")
	for what, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"a checkpoint (IN and OUT swapped)":  {source, "swapped"},
		"an output without its manifest":     {other, "swapped"},
		"one file that would be written":     {map[string]string{"config.json": "{}"}, "config.json"},
		"a side file that would be written":  {map[string]string{"encoding/dsv.py": "mine"}, "encoding/dsv.py"},
		"a shard trained since":              {with(want, shard, string(tuned)), shard},
		"a shard replaced since":             {with(want, shard, source["model-00001-of-000008.safetensors"]), shard},
		"a shard that is no safetensors now": {with(want, shard, "mine"), shard},
		"a manifest that is none":            {with(source, "quern-manifest.json", "{}"), "quern-manifest.json"},
	} {
		for _, overwrite := range []bool{false, true} {
			out := filepath.Join(temp(t), "out")
			restore(t, out, c.files)
			_, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = overwrite })
			if errors.Is(err, engine.ErrComplete) && !overwrite {
				continue // with the manifest in place, only a look at the data could tell
			}
			if !errors.Is(err, invalid.Input) || overwrite && !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "--overwrite") && !strings.Contains(err.Error(), "not the file that was written") {
				t.Errorf("%s, overwrite %v: %v", what, overwrite, err)
			}
			sameFiles(t, what, folder(t, out), c.files)
		}
	}
}

// Links in the output folder are neither followed to what is removed nor to what is
// written.
func TestLinksAreNotFollowed(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	over := func(o *engine.Options) { quick(o); o.Overwrite = true }

	// The folder of a side file is a link to somebody else's.
	base := temp(t)
	out, theirs := filepath.Join(base, "out"), filepath.Join(base, "theirs")
	restore(t, out, tinyClean())
	restore(t, theirs, map[string]string{"dsv.py": "mine"})
	if err := os.RemoveAll(filepath.Join(out, "encoding")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(theirs, filepath.Join(out, "encoding")); err != nil {
		t.Skip("no links here")
	}
	if _, err := start(ck, p, out, over); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "encoding") {
		t.Error(err)
	}
	if got := folder(t, theirs); got["dsv.py"] != "mine" || len(got) != 1 {
		t.Errorf("theirs: %v", got)
	}

	// A file of the output is a link: the link goes, what it leads to stays.
	base = temp(t)
	out, precious := filepath.Join(base, "out"), filepath.Join(base, "precious")
	restore(t, out, tinyClean())
	restore(t, base, map[string]string{"precious": "mine"})
	for _, name := range []string{"tokenizer.json", p.Shards[0].Name + ".partial", "config.json.partial"} {
		_ = os.Remove(filepath.Join(out, name))
		if err := os.Symlink(precious, filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := start(ck, p, out, over); err != nil {
		t.Error(err)
	}
	sameFiles(t, "links", folder(t, out), tinyClean())
	if raw, err := os.ReadFile(precious); err != nil || string(raw) != "mine" {
		t.Errorf("precious: %q, %v", raw, err)
	}

	// The state's name is a link: it is not opened.
	base = temp(t)
	out, precious = filepath.Join(base, "out"), filepath.Join(base, "precious")
	restore(t, base, map[string]string{"precious": "mine"})
	restore(t, out, nil)
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, filepath.Join(out, engine.StateName)); err != nil {
		t.Fatal(err)
	}
	if _, err := start(ck, p, out, over); err == nil {
		t.Error("the state's file is a link: no error")
	}
	if raw, err := os.ReadFile(precious); err != nil || string(raw) != "mine" {
		t.Errorf("precious: %q, %v", raw, err)
	}
}

// An overwriting run that is cut at any call leaves nothing that the next one does
// not know as quern's.
func TestOverwriteIsCut(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	older, err := convert.PlanQuantize(ck, convert.QuantizeOptions{ShardSize: tinyShard / 2, UE8M0: true})
	if err != nil {
		t.Fatal(err)
	}
	for what, begun := range map[string]map[string]string{
		"an output": convertTo(t, ck, older, filepath.Join(temp(t), "out"), quick), "an unfinished run": killed(t, ck, older), "itself": want,
	} {
		cut := func(n int64) (out string, calls int64) {
			dir, err := os.MkdirTemp(scratch, "cut")
			if err != nil {
				t.Error(err)
			}
			out = filepath.Join(dir, "out")
			restore(t, out, begun)
			var count atomic.Int64
			fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
				if k := count.Add(1); n > 0 && k >= n && c.Kind != faultfs.Close {
					return &faultfs.Fault{Err: syscall.EIO}
				}
				return nil
			}}
			_, _ = start(ck, p, out, func(o *engine.Options) { on(fsys)(o); o.Overwrite = true })
			return out, count.Load()
		}
		out, calls := cut(0)
		sameFiles(t, what+" overwritten", folder(t, out), want)
		os.RemoveAll(filepath.Dir(out))
		var at []int64
		for n := int64(1); n < calls; n++ {
			at = append(at, n)
		}
		points := append(at[:min(len(at), 70)], sample(at[min(len(at), 70):], 60)...)
		if raced || testing.Short() {
			points = sample(points, 20)
		}
		parallel(points, func(n int64) {
			out, _ := cut(n)
			defer os.RemoveAll(filepath.Dir(out))
			if _, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = true }); err != nil {
				t.Errorf("%s, cut at call %d: %v", what, n, err)
			}
			sameFiles(t, what+", cut and overwritten again", folder(t, out), want)
		})
	}
}
