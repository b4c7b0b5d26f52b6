package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/formats/hf"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
)

// What a killed run may leave, and what else may happen to it before the same
// command runs again. In all cases the output is that of an uninterrupted run;
// resumed is the least number of shards that must not be made again.
func TestResume(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	begun := killed(t, ck, p) // the first three shards are finished and recorded
	state := begun[engine.StateName]
	lines := strings.SplitAfter(state, "\n")
	first, second := p.Shards[0].Name, p.Shards[1].Name
	for _, c := range []struct {
		name    string
		change  func(files map[string]string)
		resumed int
	}{
		{"as it was left", func(map[string]string) {}, 3},
		{"torn last line", func(f map[string]string) {
			f[engine.StateName] = strings.Join(lines[:3], "") + lines[3][:len(lines[3])/2]
		}, 2},
		{"last line without its end", func(f map[string]string) { f[engine.StateName] = strings.TrimSuffix(strings.Join(lines[:4], ""), "\n") }, 2},
		{"last line of zeros", func(f map[string]string) {
			f[engine.StateName] = strings.Join(lines[:3], "") + strings.Repeat("\x00", 300)
		}, 2},
		{"a line of garbage", func(f map[string]string) {
			f[engine.StateName] = lines[0] + lines[1] + "garbage\n" + lines[2]
		}, 1},
		{"a shard removed", func(f map[string]string) { delete(f, first) }, 2},
		{"a shard cut", func(f map[string]string) { f[first] = f[first][:len(f[first])-1] }, 2},
		{"a shard emptied", func(f map[string]string) { f[first] = "" }, 2},
		{"a shard grown", func(f map[string]string) { f[first] += "x" }, 2},
		{"another file in a shard's place", func(f map[string]string) { f[first] = strings.Repeat("x", len(f[first])) }, 2},
		{"a finished shard's partial file", func(f map[string]string) { f[second+".partial"] = "half" }, 3},
		{"a long partial file", func(f map[string]string) {
			f[p.Shards[3].Name+".partial"] = strings.Repeat("y", int(2*p.Shards[3].Size))
		}, 3},
		{"partial files of all kinds", func(f map[string]string) {
			for _, n := range []string{"config.json", manifest.Name, "model.safetensors.index.json", "encoding/dsv.py", "LICENSE"} {
				f[n+".partial"] = "half"
			}
		}, 3},
		{"everything but the manifest", func(f map[string]string) {
			for n, raw := range want {
				if n != manifest.Name {
					f[n] = raw
				}
			}
		}, 3},
		{"everything and the state", func(f map[string]string) {
			for n, raw := range want {
				f[n] = raw
			}
		}, 3},
		{"only the state's empty file", func(f map[string]string) {
			clear(f)
			f[engine.StateName] = ""
		}, 0},
		{"only half of the state's first line", func(f map[string]string) {
			clear(f)
			f[engine.StateName] = lines[0][:40]
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for n, raw := range begun {
				files[n] = raw
			}
			c.change(files)
			out := filepath.Join(temp(t), "out")
			restore(t, out, files)
			r, err := start(ck, p, out, quick)
			if err != nil {
				t.Fatal(err)
			}
			if r.Resumed < c.resumed || c.resumed == 0 && r.Resumed != 0 {
				t.Errorf("%d shards were kept, want %d", r.Resumed, c.resumed)
			}
			sameFiles(t, "completed", folder(t, out), want)
			if _, err := start(ck, p, out, quick); !errors.Is(err, engine.ErrComplete) {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// Only what is missing is read and written again.
func TestResumeRepeatsNoFinishedShard(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	out := filepath.Join(temp(t), "out")
	restore(t, out, killed(t, ck, p))
	fsys := &faultfs.FS{NoSync: true}
	if _, err := start(ck, p, out, on(fsys)); err != nil {
		t.Fatal(err)
	}
	for _, c := range fsys.Calls() {
		if c.Kind == faultfs.Create {
			for _, s := range p.Shards[:3] {
				if strings.HasPrefix(filepath.Base(c.Name), s.Name) {
					t.Errorf("%s is made again", s.Name)
				}
			}
		}
	}
}

// Another command on an unfinished or a finished folder is refused, and told
// what the difference is; the folder stays as it is.
func TestAnotherRunsFolder(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	begun := killed(t, ck, p)
	other, err := convert.PlanQuantize(ck, convert.QuantizeOptions{ShardSize: tinyShard, UE8M0: true})
	if err != nil {
		t.Fatal(err)
	}
	sizes, err := convert.PlanQuantize(ck, convert.QuantizeOptions{ShardSize: 2 * tinyShard})
	if err != nil {
		t.Fatal(err)
	}
	torn := map[string]string{}
	for n, raw := range begun {
		torn[n] = raw
	}
	torn[engine.StateName] += "{half a line"
	for what, files := range map[string]map[string]string{"unfinished": begun, "torn": torn, "finished": tinyClean()} {
		for _, c := range []struct {
			name string
			run  func(out string) error
			says string
		}{
			{"scale format", func(out string) error { _, err := start(ck, other, out, quick); return err }, `--scale-fmt was "float", is "ue8m0"`},
			{"shard size", func(out string) error { _, err := start(ck, sizes, out, quick); return err }, fmt.Sprintf(`--shard-size was "%d", is "%d"`, tinyShard, 2*tinyShard)},
		} {
			out := filepath.Join(temp(t), "out")
			restore(t, out, files)
			err := c.run(out)
			if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), out) {
				t.Errorf("%s, %s: %v", what, c.name, err)
			}
			sameFiles(t, what+", "+c.name, folder(t, out), files)
			finish(t, ck, p, out, "the first command")
			sameFiles(t, "finished by its own command", folder(t, out), tinyClean())
		}
	}
}

// The same options on other weights are another run.
func TestAnotherInput(t *testing.T) {
	shape := []int64{4, 4}
	one := checkpoint(t, generic, tensor{name: "model.layers.0.mlp.up_proj.weight", dtype: 14, shape: shape})
	two := checkpoint(t, generic, tensor{name: "model.layers.1.mlp.up_proj.weight", dtype: 14, shape: shape})
	ck, p := mustOpen(t, one, 0)
	out := filepath.Join(temp(t), "out")
	want := convertTo(t, ck, p, out, quick)
	ck2, p2 := mustOpen(t, two, 0)
	if _, err := start(ck2, p2, out, quick); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), `"model.safetensors" is another one`) {
		t.Errorf("%v", err)
	}
	sameFiles(t, "refused", folder(t, out), want)
}

// A finished folder says so and is not touched; one that lacks something says
// what.
func TestFinishedFolder(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	want := tinyClean()
	out := filepath.Join(temp(t), "out")
	restore(t, out, want)
	fsys := &faultfs.FS{}
	if r, err := start(ck, p, out, on(fsys)); err != engine.ErrComplete || r != nil {
		t.Errorf("%v, %v", r, err)
	}
	for _, c := range fsys.Calls() {
		switch c.Kind {
		case faultfs.Create, faultfs.Append, faultfs.Write, faultfs.Rename, faultfs.Remove, faultfs.Mkdir:
			t.Errorf("%s of %s", c.Kind, c.Name)
		}
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	sameFiles(t, "complete", folder(t, out), want)
	for name := range want {
		if name == manifest.Name {
			continue // without it the folder is not ours
		}
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := start(ck, p, out, quick); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		restore(t, out, map[string]string{name: want[name]})
	}
	path := filepath.Join(out, p.Shards[2].Name)
	if err := os.Truncate(path, p.Shards[2].Size-1); err != nil {
		t.Fatal(err)
	}
	if _, err := start(ck, p, out, quick); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), p.Shards[2].Name) {
		t.Errorf("with a shard cut: %v", err)
	}
	// config.json is the user's to edit.
	restore(t, out, map[string]string{p.Shards[2].Name: want[p.Shards[2].Name], "config.json": "{}"})
	if _, err := start(ck, p, out, quick); err != engine.ErrComplete {
		t.Errorf("with another config: %v", err)
	}
}

// The manifest is damaged: neither overwritten nor taken for anything.
func TestBrokenManifest(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	for _, raw := range []string{"", "{", "{}", `{"tool": "x"}`, "[]"} {
		out := filepath.Join(temp(t), "out")
		restore(t, out, map[string]string{manifest.Name: raw})
		if _, err := start(ck, p, out, quick); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), out) {
			t.Errorf("%q: %v", raw, err)
		}
		sameFiles(t, raw, folder(t, out), map[string]string{manifest.Name: raw})
	}
}

// What fails for good while a shard is being made costs that shard only.
func TestErrorKeepsWhatIsFinished(t *testing.T) {
	steady(t)
	ck, p := mustOpen(t, tiny(), tinyShard)
	last := p.Shards[len(p.Shards)-1].Name
	out := filepath.Join(temp(t), "out")
	fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
		if c.Kind == faultfs.Create && filepath.Base(c.Name) == last+".partial" {
			return &faultfs.Fault{Err: syscall.EIO}
		}
		return nil
	}}
	if _, err := start(ck, p, out, on(fsys)); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	files := folder(t, out)
	if files[engine.StateName] == "" || shardsIn(files) == 0 {
		t.Errorf("what was finished is gone: %v", names(files))
	}
	for n := range files {
		if strings.HasSuffix(n, ".partial") && n != engine.StateName {
			t.Errorf("%s takes space and serves nobody", n)
		}
	}
	r, err := start(ck, p, out, quick)
	if err != nil || r.Resumed < 1 {
		t.Errorf("%+v, %v", r, err)
	}
	sameFiles(t, "completed", folder(t, out), tinyClean())
}

// The result's manifest is the file's.
func TestResult(t *testing.T) {
	ck, p := mustOpen(t, tiny(), tinyShard)
	out := filepath.Join(temp(t), "out")
	restore(t, out, killed(t, ck, p))
	var begun, done int64
	r, err := start(ck, p, out, func(o *engine.Options) {
		quick(o)
		o.Workers = 1
		o.Begun = func(n, _ int64) { begun, done = n, n }
		o.Progress = func(n, total int64) {
			if n <= done || n > total {
				t.Errorf("%d of %d bytes after %d", n, total, done)
			}
			done = n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Manifest.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := folder(t, out)[manifest.Name]; !bytes.Equal(raw, []byte(want)) {
		t.Error("the result's manifest is not the file's")
	}
	if begun == 0 || r.Read != done-begun {
		t.Errorf("%d bytes were read, progress went from %d to %d", r.Read, begun, done)
	}
	outputs(t, folder(t, out))
	if _, err := hf.Open(out); err != nil {
		t.Errorf("the output is no checkpoint: %v", err)
	}
}
