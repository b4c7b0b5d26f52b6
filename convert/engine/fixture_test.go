package engine_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/formats/synth"
)

// tinyShard divides the tiny model's output into several files.
const tinyShard = 80 << 10

// tiny is a DeepSeek-V3-shaped checkpoint of 0.6 MB in several shards, with side
// files, also in a folder and empty ones. Tests only read it.
var tiny = sync.OnceValue(func() string {
	dir := filepath.Join(scratch, "tiny")
	v := synth.Tiny()
	v.Layers, v.Dense, v.Experts, v.ShardBytes = 1, 0, 2, 120<<10 // thousands of runs read it
	if err := v.Write(dir); err != nil {
		panic(err)
	}
	for name, text := range sides {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
	return dir
})

var sides = map[string]string{
	"tokenizer.json": `{"version": "1.0"}`, "generation_config.json": "{}", "LICENSE": "", "encoding/dsv.py": "print()\n",
}

// tinyClean is what an uninterrupted run makes of tiny.
var tinyClean = sync.OnceValue(func() map[string]string {
	out := filepath.Join(scratch, "clean")
	ck, p, err := open(tiny(), tinyShard)
	if err == nil {
		_, err = engine.Run(context.Background(), p, convert.EngineOptions(ck, out, convert.RunOptions{}))
	}
	if err != nil {
		panic(err)
	}
	files, err := readFolder(out)
	if err != nil {
		panic(err)
	}
	return files
})

// mustOpen plans the quantization of a checkpoint.
func mustOpen(t testing.TB, in string, shard int64) (*hf.Checkpoint, *plan.Plan) {
	t.Helper()
	ck, p, err := open(in, shard)
	if err != nil {
		t.Fatal(err)
	}
	return ck, p
}

// start runs a plan.
func start(ck *hf.Checkpoint, p *plan.Plan, out string, change func(*engine.Options)) (*engine.Result, error) {
	o := convert.EngineOptions(ck, out, convert.RunOptions{})
	o.Channels = measured(p)
	if change != nil {
		change(&o)
	}
	return engine.Run(context.Background(), p, o)
}

// convertTo runs a plan that has to succeed and returns the folder's files.
func convertTo(t testing.TB, ck *hf.Checkpoint, p *plan.Plan, out string, change func(*engine.Options)) map[string]string {
	t.Helper()
	if _, err := start(ck, p, out, change); err != nil {
		t.Fatal(err)
	}
	return folder(t, out)
}

// folder reads all files of a folder.
func folder(t testing.TB, dir string) map[string]string {
	t.Helper()
	files, err := readFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readFolder reads all files of a folder; one that is not there is empty.
func readFolder(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // just renamed, where a run is under way
		}
		files[filepath.ToSlash(rel)] = string(raw)
		return err
	})
	if _, gone := os.Stat(dir); errors.Is(gone, fs.ErrNotExist) {
		return files, nil
	}
	return files, err
}

// sameFiles compares two folders.
func sameFiles(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, x := range want {
		y, ok := got[name]
		switch {
		case !ok:
			t.Errorf("%s: %s is missing", what, name)
		case x != y:
			t.Errorf("%s: %s differs (%d bytes, want %d)", what, name, len(y), len(x))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is not of the output", what, name)
		}
	}
}

// onlyFinished checks that whatever has a final name is whole.
func onlyFinished(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, y := range got {
		if strings.HasSuffix(name, ".partial") {
			continue
		}
		if x, ok := want[name]; !ok || x != y {
			t.Errorf("%s: %s has its final name and is not the finished file (%d bytes, want %d)", what, name, len(y), len(x))
		}
	}
}

// tensor is a tensor of a checkpoint made for a test.
type tensor struct {
	name  string
	dtype safetensors.DType
	shape []int64
	data  []byte // of the tensor's size, or nil for random numbers
}

const generic = `{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 4, "torch_dtype": "bfloat16"}`

// checkpoint makes a folder of one file.
func checkpoint(t testing.TB, config string, list ...tensor) string {
	t.Helper()
	dir := temp(t)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	writeWeights(t, filepath.Join(dir, "model.safetensors"), list...)
	return dir
}

// writeWeights makes a safetensors file.
func writeWeights(t testing.TB, path string, list ...tensor) {
	t.Helper()
	var b bytes.Buffer
	tensors := make([]safetensors.Tensor, len(list))
	for i, x := range list {
		tensors[i] = safetensors.Tensor{Name: x.name, DType: x.dtype, Shape: x.shape}
	}
	err := safetensors.Write(&b, tensors, map[string]string{"format": "pt"}, func(i int, w io.Writer) error {
		data := list[i].data
		if data == nil {
			data = random(list[i].dtype, list[i].shape, uint64(i+1))
		}
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tensorsOf returns the bytes of every tensor of a safetensors file.
func tensorsOf(t testing.TB, raw string) map[string]string {
	t.Helper()
	h, err := safetensors.ReadHeader(strings.NewReader(raw), int64(len(raw)), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, x := range h.Tensors {
		out[x.Name] = raw[h.DataOffset+x.Begin : h.DataOffset+x.End]
	}
	return out
}

// outputs reads the tensors of an output folder and holds them against its
// manifest and index.
func outputs(t testing.TB, files map[string]string) map[string]string {
	t.Helper()
	m, err := manifest.Decode([]byte(files[manifest.Name]))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	where := map[string]string{}
	for name, raw := range files {
		if filepath.Ext(name) != ".safetensors" {
			continue
		}
		for n, data := range tensorsOf(t, raw) {
			all[n], where[n] = data, name
		}
	}
	if len(m.Tensors) != len(all) {
		t.Errorf("the manifest lists %d tensors, there are %d", len(m.Tensors), len(all))
	}
	for _, x := range m.Tensors {
		sum := blake3.Sum256([]byte(all[x.Name]))
		if hex.EncodeToString(sum[:]) != x.BLAKE3 {
			t.Errorf("the manifest's digest of %s is not that of its bytes", x.Name)
		}
		if where[x.Name] != x.File {
			t.Errorf("%s is in %s, the manifest says %s", x.Name, where[x.Name], x.File)
		}
	}
	if raw, ok := files["model.safetensors.index.json"]; ok {
		var index struct {
			Metadata struct {
				Total int `json:"total_size"`
			} `json:"metadata"`
			WeightMap map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal([]byte(raw), &index); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, data := range all {
			total += len(data)
		}
		if fmt.Sprint(index.WeightMap) != fmt.Sprint(where) || index.Metadata.Total != total {
			t.Errorf("the index does not say where the tensors are, or their size: %d of %d", index.Metadata.Total, total)
		}
	}
	return all
}

// steady fails the test if goroutines that it has started are still there.
func steady(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Fatalf("%d goroutines are left of %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			}
		}
	})
}

// shardsIn counts the shards that have their final name. Which of the last few
// have it when a run stops is chance.
func shardsIn(files map[string]string) (n int) {
	for name := range files {
		if strings.HasSuffix(name, ".safetensors") {
			n++
		}
	}
	return n
}

func names(files map[string]string) []string {
	list := make([]string, 0, len(files))
	for n := range files {
		list = append(list, n)
	}
	sort.Strings(list)
	return list
}

// source is the deterministic randomness of tests.
func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 77)) }
