package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/formats/synth"
	"quern/internal/invalid"
)

const config = `{"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1}`

// header returns a file whose tensors have the shape [2] of BF16, data included.
func header(t testing.TB, names ...string) string {
	t.Helper()
	var list []safetensors.Tensor
	for _, n := range names {
		list = append(list, safetensors.Tensor{Name: n, DType: safetensors.BF16, Shape: []int64{2}})
	}
	var b strings.Builder
	err := safetensors.Write(&b, list, nil, func(_ int, w io.Writer) error {
		_, err := w.Write([]byte{1, 2, 3, 4})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// indexOf returns an index of tensors by shard.
func indexOf(t testing.TB, m map[string]string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": m})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// folder writes files and returns the folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func sideNames(c *Checkpoint) []string {
	var names []string
	for _, s := range c.Side {
		names = append(names, s.Name)
	}
	return names
}

func TestOpenSharded(t *testing.T) {
	dir := folder(t, map[string]string{
		"config.json":                  config,
		"model-1.safetensors":          header(t, "b", "a"),
		"mtp.safetensors":              header(t, "c"),
		IndexName:                      indexOf(t, map[string]string{"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "mtp.safetensors"}),
		"consolidated.safetensors":     header(t, "x"),
		"pytorch_model.bin":            "x",
		"model.gguf":                   "x",
		"a.PTH":                        "x",
		"tokenizer.json":               "{}",
		"LICENSE":                      "free",
		"inference/model.py":           "pass",
		"inference/config.json":        "{}",
		"original/old.pt":              "x",
		".gitattributes":               "x",
		".cache/huggingface/a.lock":    "x",
		"figures/.hidden/x":            "x",
		ManifestName:                   "{}",
		"quern-state.partial":          "x",
		"pytorch_model.bin.index.json": "{}",
	})
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sideNames(c), []string{"LICENSE", "inference/config.json", "inference/model.py", "tokenizer.json"}; !slices.Equal(got, want) {
		t.Errorf("side files %q, want %q", got, want)
	}
	want := []string{"a.PTH", "consolidated.safetensors", "model.gguf", "original/old.pt", "pytorch_model.bin", "pytorch_model.bin.index.json", "quern-state.partial"}
	if !slices.Equal(c.Ignored, want) {
		t.Errorf("ignored %q, want %q", c.Ignored, want)
	}
	var order []string
	for r := range c.All() {
		order = append(order, r.File.Name+":"+r.Tensor.Name)
	}
	if got := strings.Join(order, " "); got != "model-1.safetensors:a model-1.safetensors:b mtp.safetensors:c" {
		t.Error(got)
	}
	if c.Len() != 3 || c.Bytes() != 12 || !c.Has("c") || c.Has("x") || len(c.Warnings) != 0 || c.IndexName != IndexName || c.Dir != dir || !c.HasConfig {
		t.Errorf("%+v", c)
	}
	if r, ok := c.Lookup("c"); !ok || r.File.Name != "mtp.safetensors" || r.Tensor.Name != "c" {
		t.Error("Lookup")
	}
	if c.Arch().Name() != "llama" || c.Config.HiddenSize != 4 || string(c.ConfigRaw) != config {
		t.Error("config")
	}
}

func TestOpenForms(t *testing.T) {
	t.Run("one file in a folder", func(t *testing.T) {
		c, err := Open(folder(t, map[string]string{"config.json": config, SingleName: header(t, "a"), "other.safetensors": header(t, "b")}))
		if err != nil || c.Len() != 1 || !slices.Equal(c.Ignored, []string{"other.safetensors"}) {
			t.Errorf("%+v, %v", c, err)
		}
	})
	t.Run("the only safetensors file", func(t *testing.T) {
		c, err := Open(folder(t, map[string]string{"config.json": config, "weights.safetensors": header(t, "a")}))
		if err != nil || c.Len() != 1 || c.Files[0].Name != "weights.safetensors" {
			t.Errorf("%+v, %v", c, err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		dir := folder(t, map[string]string{"config.json": config, "w.safetensors": header(t, "a"), "tokenizer.json": "{}"})
		c, err := Open(filepath.Join(dir, "w.safetensors"))
		if err != nil || c.Dir != "" || c.HasConfig || c.Config != nil || c.Arch().Known() || len(c.Side) != 0 {
			t.Errorf("%+v, %v", c, err)
		}
	})
	t.Run("total_size", func(t *testing.T) {
		x := `{"metadata":{"total_size":5,"x":[]},"weight_map":{"a":"model.safetensors"},"more":null}`
		c, err := Open(folder(t, map[string]string{"config.json": config, SingleName: header(t, "a"), IndexName: x}))
		if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "total_size is 5, the tensors have 4 bytes") {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestHubCache opens a snapshot as hub caches have them: a folder of links, itself
// reached by a link.
func TestHubCache(t *testing.T) {
	dir := folder(t, map[string]string{"blobs/1": config, "blobs/2": header(t, "a"), "blobs/3": "{}"})
	snap := filepath.Join(dir, "snapshots", "main")
	if err := os.MkdirAll(filepath.Join(snap, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(to, at string) {
		t.Helper()
		if err := os.Symlink(to, at); err != nil {
			t.Skip("no links here:", err)
		}
	}
	link("../../blobs/1", filepath.Join(snap, "config.json"))
	link("../../blobs/2", filepath.Join(snap, SingleName))
	link("../../../blobs/3", filepath.Join(snap, "sub", "tokenizer.json"))
	link("../../blobs", filepath.Join(snap, "folder"))
	link(snap, filepath.Join(dir, "link"))
	for _, path := range []string{snap, filepath.Join(dir, "link")} {
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.Len() != 1 || !slices.Equal(sideNames(c), []string{"sub/tokenizer.json"}) || c.Side[0].Size != 2 || !slices.Equal(c.Ignored, []string{"folder"}) {
			t.Errorf("%+v", c)
		}
		if f, err := c.Files[0].Open(t.Context()); err != nil {
			t.Error(err)
		} else {
			_ = f.Close()
		}
	}
	link("nowhere", filepath.Join(snap, "LICENSE"))
	if _, err := Open(snap); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), `"LICENSE" is a link that leads nowhere`) {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	good, lfs, html := header(t, "a", "b"), "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "\n<!DOCTYPE html><html></html>"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no config", map[string]string{SingleName: good}, "no config.json"},
		{"no weights", map[string]string{"config.json": config}, "no weights"},
		{"other format", map[string]string{"config.json": config, "pytorch_model.bin": ""}, "pytorch_model.bin is in a format that is not read"},
		{"several files", map[string]string{"config.json": config, "a.safetensors": good, "b.safetensors": good}, "2 .safetensors files (a.safetensors, …)"},
		{"config list", map[string]string{"config.json": "[]", SingleName: good}, `reading "config.json": the config is an array, not an object`},
		{"config text", map[string]string{"config.json": "{ not json", SingleName: good}, `reading "config.json": `},
		{"config empty", map[string]string{"config.json": "", SingleName: good}, `reading "config.json": the file is empty`},
		{"config lfs", map[string]string{"config.json": lfs, SingleName: good}, `reading "config.json": a Git LFS pointer`},
		{"config html", map[string]string{"config.json": html, SingleName: good}, "an HTML page"},
		{"config twice", map[string]string{"config.json": `{"a":1,"a":2}`, SingleName: good}, `reading "config.json": `},
		{"config number", map[string]string{"config.json": `{"num_hidden_layers": -1}`, SingleName: good}, `reading "config.json": "num_hidden_layers": -1 is not`},
		{"index lfs", map[string]string{"config.json": config, IndexName: lfs}, "a Git LFS pointer"},
		{"index text", map[string]string{"config.json": config, SingleName: good, IndexName: "{"}, IndexName},
		{"index list", map[string]string{"config.json": config, SingleName: good, IndexName: "[]"}, "an array instead of an object"},
		{"index without map", map[string]string{"config.json": config, SingleName: good, IndexName: "{}"}, `no "weight_map"`},
		{"index empty map", map[string]string{"config.json": config, SingleName: good, IndexName: `{"weight_map":{}}`}, `"weight_map" is empty`},
		{"index map list", map[string]string{"config.json": config, SingleName: good, IndexName: `{"weight_map":[]}`}, "an array instead of an object"},
		{"index number", map[string]string{"config.json": config, SingleName: good, IndexName: `{"weight_map":{"a":1}}`}, "a number instead of the name of a file"},
		{"index twice", map[string]string{"config.json": config, SingleName: good, IndexName: `{"weight_map":{"a":"model.safetensors","\u0061":"model.safetensors"}}`}, `"a" occurs twice`},
		{"index key twice", map[string]string{"config.json": config, SingleName: good, IndexName: `{"weight_map":{"a":"model.safetensors"},"weight_map":{}}`}, `"weight_map" occurs twice`},
		{"index trailing", map[string]string{"config.json": config, SingleName: good, IndexName: `{"weight_map":{"a":"model.safetensors"}} {}`}, IndexName},
		{"index ghost", map[string]string{"config.json": config, SingleName: good, IndexName: indexOf(t, map[string]string{"a": SingleName, "b": SingleName, "ghost": SingleName})}, `tensor "ghost" is not in "model.safetensors"`},
		{"index lacks", map[string]string{"config.json": config, SingleName: good, IndexName: indexOf(t, map[string]string{"a": SingleName})}, `reading "model.safetensors": tensor "b" is not in "model.safetensors.index.json"`},
		{"index other shard", map[string]string{"config.json": config, SingleName: good, "x.safetensors": header(t, "c"), IndexName: indexOf(t, map[string]string{"a": SingleName, "b": "x.safetensors", "c": "x.safetensors"})}, `tensor "b" is in "model.safetensors", not in "x.safetensors"`},
		{"shard missing", map[string]string{"config.json": config, SingleName: good, IndexName: indexOf(t, map[string]string{"a": SingleName, "b": "y.safetensors"})}, `it names "y.safetensors", which is not in the folder`},
		{"tensor in two shards", map[string]string{"config.json": config, SingleName: good, "x.safetensors": good, IndexName: indexOf(t, map[string]string{"a": SingleName, "b": "x.safetensors"})}, `tensor "a" is in "model.safetensors" too`},
		{"broken header", map[string]string{"config.json": config, SingleName: "12345"}, `reading "model.safetensors": `},
		{"first broken by name", map[string]string{"config.json": config, "a.safetensors": "1", "b.safetensors": "1", IndexName: indexOf(t, map[string]string{"x": "b.safetensors", "y": "a.safetensors"})}, `reading "a.safetensors": `},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(folder(t, c.files))
			if !errors.Is(err, invalid.Input) || !strings.Contains(fmt.Sprint(err), c.want) || strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
}

// TestIndexNames: an index may name files of its folder and nothing else.
func TestIndexNames(t *testing.T) {
	for _, name := range []string{
		"../model.safetensors", "/etc/passwd", "/a.safetensors", `..\a.safetensors`, `C:\a.safetensors`, "c:a.safetensors",
		"sub/a.safetensors", "config.json", "a.bin", "", ".", "..", ".safetensors", ".a.safetensors", "a\x00.safetensors",
		"a\n.safetensors", "..safetensors", "a..safetensors", "a.safetensors/", strings.Repeat("x", 9000),
	} {
		_, err := parseIndex([]byte(indexOf(t, map[string]string{"t": name})))
		if !errors.Is(err, invalid.Input) || len(err.Error()) > 600 {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"model-00001-of-000163.safetensors", "mtp.safetensors", "ü b.safetensors"} {
		if _, err := parseIndex([]byte(indexOf(t, map[string]string{"t": name}))); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestChanged: a file that is not what its header was read from is noticed.
func TestChanged(t *testing.T) {
	dir := folder(t, map[string]string{"config.json": config, SingleName: header(t, "a")})
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := c.Files[0]
	r, err := f.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := os.Chtimes(f.Path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "changed while it was read") {
		t.Error(err)
	}
	if _, err := f.Open(t.Context()); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open(t.Context()); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
}

// writeV3 writes DeepSeek-V3 with its 46,183 tensors into shards whose data are
// holes.
func writeV3(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := synth.Released().Write(dir); err != nil {
		t.Skip("no files with holes here:", err)
	}
	return dir
}

func TestOpenV3(t *testing.T) {
	c, err := Open(writeV3(t))
	if err != nil {
		t.Fatal(err)
	}
	want := model.Parameters{Total: 671_026_419_200, Active: 37_552_297_472, MTP: 13_463_426_304}
	if got := c.Parameters(); got != want || c.Len() != 46_183 || c.Bytes() != 1_368_979_721_216 {
		t.Errorf("%+v, %d tensors, %d bytes", got, c.Len(), c.Bytes())
	}
	if l := c.Arch().Missing(c.Has); l.Count != 0 {
		t.Errorf("missing %s", l)
	}
}

func BenchmarkOpenV3(b *testing.B) {
	dir := writeV3(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(dir); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzIndex: what is accepted names files of the folder only.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":4},"weight_map":{"a":"model.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../model.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":1,"a":2},"weight_map":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := parseIndex(data)
		if err != nil {
			if !errors.Is(err, invalid.Input) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q", err)
			}
			return
		}
		for _, name := range x.shardNames() {
			if filepath.Base(name) != name || !filepath.IsLocal(name) || filepath.Ext(name) != ".safetensors" {
				t.Fatalf("%q", name)
			}
		}
	})
}
