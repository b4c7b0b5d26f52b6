package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/formats/hf"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/internal/ui"
)

// A folder that holds something else is refused and stays as it is.
func TestForeignFolder(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	for _, files := range []map[string]string{
		{"notes.txt": "mine"},
		{"model-00001-of-00002.safetensors": "mine"},
		{"config.json": "{}"},
		{"sub/x": "mine"},
	} {
		out := filepath.Join(temp(t), "out")
		restore(t, out, files)
		_, err := start(ck, p, out, quick)
		name, _, _ := strings.Cut(names(files)[0], "/")
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), out) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v", files, err)
		}
		sameFiles(t, "refused", folder(t, out), files)
	}
}

// What file systems and people put into empty folders does no harm, nor do
// odd characters in the folder's name.
func TestAllButEmptyFolder(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	for _, name := range []string{"out", "out[1]", "a*b", "with space", `back\slash?`} {
		out := filepath.Join(temp(t), name)
		restore(t, out, map[string]string{".gitignore": "", "lost+found/x": ""})
		begun := killed(t, ck, p)
		restore(t, out, begun)
		finish(t, ck, p, out, name)
		got := folder(t, out)
		delete(got, ".gitignore")
		delete(got, "lost+found/x")
		sameFiles(t, name, got, tinyClean())
	}
}

func TestFolderIsAFile(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	file := filepath.Join(temp(t), "file")
	restore(t, filepath.Dir(file), map[string]string{"file": "mine"})
	for _, out := range []string{file, filepath.Join(file, "sub")} {
		for _, overwrite := range []bool{false, true} {
			_, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = overwrite })
			if err == nil || !strings.Contains(err.Error(), out) {
				t.Errorf("%s, overwrite %v: %v", out, overwrite, err)
			}
		}
	}
}

// The output folder must not be the input's, hold it or lie in it, by whatever
// path it is named.
func TestInputIsOutput(t *testing.T) {
	base := temp(t)
	in := filepath.Join(base, "models", "in")
	restore(t, in, folder(t, tiny()))
	link, inner := filepath.Join(base, "link"), filepath.Join(base, "inner")
	if err := os.Symlink(in, link); err != nil {
		t.Skip("no links here")
	}
	if err := os.MkdirAll(filepath.Join(in, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(in, "sub"), inner); err != nil {
		t.Fatal(err)
	}
	before := folder(t, base)
	for _, from := range []string{in, link} {
		ck, p := mustOpen(t, from, tinyShard)
		for _, out := range []string{
			in, link, inner, filepath.Join(in, "out"), filepath.Join(link, "a", "b"), filepath.Join(inner, "new"), filepath.Join(in, "..", "in"),
			filepath.Dir(in), base,
		} {
			for _, overwrite := range []bool{false, true} {
				_, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = overwrite })
				if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "input folder") {
					t.Errorf("%s to %s: %v", from, out, err)
				}
			}
		}
	}
	sameFiles(t, "refused", folder(t, base), before)
}

// Two folders side by side, one name the beginning of the other's, are apart.
func TestNeighbours(t *testing.T) {
	base := temp(t)
	in := filepath.Join(base, "model")
	restore(t, in, folder(t, tiny()))
	ck, p := mustOpen(t, in, tinyShard)
	sameFiles(t, "beside the input", convertTo(t, ck, p, in+"-fp8", quick), tinyClean())
}

// --overwrite replaces what quern has written, finished or not, and nothing
// else.
func TestOverwrite(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	others, err := convert.PlanQuantize(ck, convert.QuantizeOptions{ShardSize: tinyShard / 2, UE8M0: true})
	if err != nil {
		t.Fatal(err)
	}
	// An earlier output of another model, with more shards and other side files.
	dir := temp(t)
	in := filepath.Join(dir, "in")
	restore(t, in, folder(t, tiny()))
	restore(t, in, map[string]string{"chat_template.jinja": "old", "encoding/old.py": "old"})
	ckOld, pOld := mustOpen(t, in, tinyShard/2)
	old := convertTo(t, ckOld, pOld, filepath.Join(dir, "old"), quick)
	if len(pOld.Shards) <= len(p.Shards) {
		t.Fatal("the test wants more shards")
	}
	foreign := map[string]string{"notes.txt": "mine", "other.safetensors": "mine", "download.bin.partial": "mine", "sub/config.json": "mine"}
	for what, files := range map[string]map[string]string{
		"nothing": nil, "the same": want, "an unfinished run": killed(t, ck, p), "another output": old, "an unfinished other run": killed(t, ckOld, pOld),
	} {
		out := filepath.Join(temp(t), "out")
		restore(t, out, files)
		restore(t, out, foreign)
		got := convertTo(t, ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = true })
		for n, raw := range foreign {
			if got[n] != raw {
				t.Errorf("over %s: %s was not quern's to touch", what, n)
			}
			delete(got, n)
		}
		sameFiles(t, "over "+what, got, want)
	}
	// It works without a folder, and another plan's turn follows.
	out := filepath.Join(temp(t), "new")
	convertTo(t, ck, others, out, func(o *engine.Options) { quick(o); o.Overwrite = true })
	sameFiles(t, "at last", convertTo(t, ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = true }), want)
}

// --overwrite is not for ever: the same command, interrupted, goes on. It starts
// anew where the unfinished run is not its own, or the input was written to.
func TestOverwriteGoesOn(t *testing.T) {
	in := filepath.Join(temp(t), "in")
	restore(t, in, folder(t, tiny()))
	ck, p := mustOpen(t, in, tinyShard)
	over := func(o *engine.Options) { quick(o); o.Overwrite = true }
	stop := func(out string, overwrite bool) {
		t.Helper()
		_, err := start(ck, p, out, func(o *engine.Options) {
			o.Overwrite = overwrite
			on(&faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
				if c.Kind == faultfs.Create && filepath.Base(c.Name) == p.Shards[5].Name+".partial" {
					return &faultfs.Fault{Err: syscall.EIO}
				}
				return nil
			}})(o)
		})
		if !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
	finished := func(what, out string, kept bool) {
		t.Helper()
		r, err := start(ck, p, out, over)
		if err != nil || r.Resumed > 0 != kept {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		sameFiles(t, what, folder(t, out), tinyClean())
	}
	out := filepath.Join(temp(t), "out")
	restore(t, out, tinyClean())
	stop(out, true)
	stop(out, true)
	finished("the same again", out, true)
	finished("a finished folder", out, false)

	out = filepath.Join(temp(t), "out")
	stop(out, false)
	finished("begun without it", out, false)

	out = filepath.Join(temp(t), "out")
	stop(out, true)
	if r, err := start(ck, p, out, quick); err != nil || r.Resumed == 0 {
		t.Errorf("gone on without it: %+v, %v", r, err)
	}
	sameFiles(t, "gone on without it", folder(t, out), tinyClean())

	out = filepath.Join(temp(t), "out")
	stop(out, true)
	if err := chtimes(ck.Files[0].Path, 5); err != nil {
		t.Fatal(err)
	}
	ck, p = mustOpen(t, in, tinyShard)
	finished("another input", out, false)
}

// A manifest may come from anywhere: what it calls side files must lie in its
// folder for --overwrite to remove them.
func TestOverwriteStaysInTheFolder(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	base := temp(t)
	out := filepath.Join(base, "out")
	restore(t, base, map[string]string{"precious": "mine", "out/" + manifest.Name: fmt.Sprintf(
		`{"tool": "x", "tensors": [], "input": {"side": [{"name": "../precious"}, {"name": %q}, {"name": "sub/../../precious"}]}}`, filepath.Join(base, "precious"))})
	convertTo(t, ck, p, out, func(o *engine.Options) { quick(o); o.Overwrite = true })
	if folder(t, base)["precious"] != "mine" {
		t.Error("a file outside of the folder is gone")
	}
}

// While a run is under way a second is refused, --overwrite or not, and does no
// harm; afterwards the folder is complete.
func TestTwoRunsAtOnce(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	out := filepath.Join(temp(t), "out")
	inside, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Rename {
			once.Do(func() { close(inside) })
			<-leave
		}
		return nil
	}}
	first := make(chan error)
	go func() {
		_, err := start(ck, p, out, on(fsys))
		first <- err
	}()
	<-inside
	other, err := convert.PlanQuantize(ck, convert.QuantizeOptions{UE8M0: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, overwrite := range []bool{false, true} {
		change := func(o *engine.Options) { quick(o); o.Overwrite = overwrite }
		_, err := start(ck, p, out, change)
		if err == nil || !strings.Contains(err.Error(), "another quern is writing it") || errors.Is(err, invalid.Input) {
			t.Errorf("the same, overwrite %v: %v", overwrite, err)
		}
		if _, err := start(ck, other, out, change); err == nil {
			t.Errorf("another, overwrite %v: no error", overwrite)
		}
	}
	if c, said := command(out); c.Run() == nil || !strings.Contains(said.String(), "another quern is writing it") {
		t.Errorf("another process: %s", said)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	sameFiles(t, "the first", folder(t, out), tinyClean())
}

// A second run looks at the folder while the first is under way, and gets the
// lock when the first has just finished. It must not begin anew: the folder is
// complete, or another run's.
func TestRunAfterTheLock(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	other, err := convert.PlanQuantize(ck, convert.QuantizeOptions{UE8M0: true})
	if err != nil {
		t.Fatal(err)
	}
	begun, want := killed(t, ck, p), tinyClean()
	late := func(out string) func(*engine.Options) {
		var once sync.Once
		return on(&faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == faultfs.Append { // the folder has been looked at
				once.Do(func() { convertTo(t, ck, p, out, quick) })
			}
			return nil
		}})
	}
	out := filepath.Join(temp(t), "out")
	restore(t, out, begun)
	if _, err := start(ck, p, out, late(out)); err != engine.ErrComplete {
		t.Errorf("the same: %v", err)
	}
	sameFiles(t, "the same", folder(t, out), want)
	out = filepath.Join(temp(t), "out")
	restore(t, out, begun)
	if _, err := start(ck, other, out, late(out)); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "--scale-fmt") {
		t.Errorf("another: %v", err)
	}
	sameFiles(t, "another", folder(t, out), want)
}

// Too little disk is noticed before the first byte: nothing is written, nothing
// is created, nothing is removed.
func TestTooLittleDisk(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	begun := killed(t, ck, p)
	var size int64
	for _, s := range p.Shards {
		size += s.Size
	}
	for _, c := range []struct {
		what      string
		files     map[string]string
		space     int64
		overwrite bool
	}{
		{"no folder", nil, size, false},
		{"no space at all", nil, 0, false},
		{"an unfinished run", begun, p.Shards[4].Size, false},
		{"overwriting an unfinished run", begun, size / 4, true},
		{"overwriting an output", map[string]string{manifest.Name: want[manifest.Name], "config.json": "{}", "model.safetensors": "old"}, size / 2, true},
	} {
		out := filepath.Join(temp(t), "out")
		restore(t, out, c.files)
		fsys := &faultfs.FS{Space: func() int64 { return c.space }}
		_, err := start(ck, p, out, func(o *engine.Options) { on(fsys)(o); o.Overwrite = c.overwrite })
		if err == nil || errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), out) || !strings.Contains(err.Error(), ui.Bytes(c.space)+" are free") {
			t.Errorf("%s: %v", c.what, err)
		}
		for _, x := range fsys.Calls() {
			switch x.Kind {
			case faultfs.Write, faultfs.Create, faultfs.Reserve, faultfs.Truncate, faultfs.Rename:
				t.Errorf("%s: %s of %s", c.what, x.Kind, x.Name)
			}
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", c.what, n)
		}
		sameFiles(t, c.what, folder(t, out), c.files)
		if _, err := os.Stat(out); c.files == nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the folder is left: %v", c.what, err)
		}
	}
}

// What a killed run has left, and what --overwrite removes, counts as free.
func TestSpaceThatComesBack(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	var size int64
	for _, raw := range want {
		size += int64(len(raw))
	}
	const others = 300 << 10 // what is reckoned for index, manifest and the like
	for _, c := range []struct {
		what      string
		files     map[string]string
		space     int64
		overwrite bool
	}{
		{"a new folder", nil, size + others, false},
		{"an output overwritten", want, others, true},
		{"the last shard's partial file", nil, size + others - p.Shards[0].Size, false},
		{"a disk that says nothing", nil, -1, false},
	} {
		out := filepath.Join(temp(t), "out")
		files := c.files
		if strings.Contains(c.what, "partial") {
			files = map[string]string{engine.StateName: "", p.Shards[0].Name + ".partial": strings.Repeat("x", int(p.Shards[0].Size))}
			// As the first run of this plan leaves it.
			files[engine.StateName], _, _ = strings.Cut(killed(t, ck, p)[engine.StateName], "\n")
			files[engine.StateName] += "\n"
		}
		restore(t, out, files)
		fsys := &faultfs.FS{NoSync: true, Space: func() int64 { return c.space }}
		if _, err := start(ck, p, out, func(o *engine.Options) { on(fsys)(o); o.Overwrite = c.overwrite }); err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		sameFiles(t, c.what, folder(t, out), want)
	}
}

// A context that has ended before anything began changes nothing for long.
func TestCancelledBefore(t *testing.T) {
	steady(t)
	ck, err := hf.Open(tiny())
	if err != nil {
		t.Fatal(err)
	}
	p, err := convert.PlanQuantize(ck, convert.QuantizeOptions{ShardSize: tinyShard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out := filepath.Join(temp(t), "out")
	if _, err := convert.Run(ctx, ck, p, out, convert.RunOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	sameFiles(t, "afterwards", convertTo(t, ck, p, out, quick), tinyClean())
}

// Memory that cannot hold the smallest slabs is refused with what is needed,
// before anything is created; what is said to be needed does.
func TestTooLittleMemory(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	out := filepath.Join(temp(t), "out")
	_, err := start(ck, p, out, func(o *engine.Options) { quick(o); o.Memory = 1 << 20 })
	var need int64
	if err == nil {
		t.Fatal("no error")
	}
	if _, err := fmt.Sscanf(err.Error()[strings.Index(err.Error(), "at least"):], "at least %dMiB", &need); err != nil {
		t.Fatal(err)
	}
	need <<= 20
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	for _, workers := range []int{1, 64} {
		out := filepath.Join(temp(t), "out")
		sameFiles(t, "with the least memory", convertTo(t, ck, p, out, func(o *engine.Options) { quick(o); o.Memory, o.Workers = need, workers }), tinyClean())
	}
	if n, err := engine.Need(p, engine.Options{}); err != nil || n > engine.DefaultMemory || n < 1<<20 {
		t.Errorf("need %d, %v", n, err)
	}
	if _, err := engine.Need(p, engine.Options{Memory: 1 << 20}); err == nil {
		t.Error("Need: no error")
	}
}

func TestFree(t *testing.T) {
	dir := temp(t)
	here, err := engine.Free(dir)
	if err != nil || here <= 0 {
		t.Fatalf("%d, %v", here, err)
	}
	if n, err := engine.Free(filepath.Join(dir, "not", "yet")); err != nil || n <= 0 {
		t.Errorf("where nothing is yet: %d, %v", n, err)
	}
	if n, err := engine.Free("not/yet"); err != nil || n <= 0 {
		t.Errorf("relative: %d, %v", n, err)
	}
}

func TestSpeed(t *testing.T) {
	_, p := mustOpen(t, tiny(), tinyShard)
	if s := engine.Speed(p, engine.Options{}); s < 1e6 || s > 1e12 {
		t.Errorf("%g bytes a second", s)
	}
}
