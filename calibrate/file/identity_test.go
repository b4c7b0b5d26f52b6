package file_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/calibrate/file"
	"quern/convert"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
)

func identify(t *testing.T, dir string) string {
	t.Helper()
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	id, err := file.Identify(c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "m")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	want := identify(t, dir)
	if !strings.HasPrefix(want, "deepseek_v3-4x256-") {
		t.Error(want)
	}
	// What quern makes of a model is that model, also in other files.
	c, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	fp8 := filepath.Join(t.TempDir(), "fp8")
	p, err := convert.PlanQuantize(c, convert.QuantizeOptions{ShardSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := convert.Run(context.Background(), c, p, fp8, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := identify(t, fp8); got != want {
		t.Errorf("quantized: %s instead of %s", got, want)
	}
	// A model of the same shape with other values is another one, and so is one with
	// another config.
	for name, change := range map[string]func(c *hf.Checkpoint, dir string){
		"a norm":      func(c *hf.Checkpoint, _ string) { poke(t, c, model.Norm, 5) },
		"an embedded": func(c *hf.Checkpoint, _ string) { poke(t, c, model.Embedding, 3) },
		"the config": func(_ *hf.Checkpoint, dir string) {
			edit(t, dir, `"routed_scaling_factor": 2.5`, `"routed_scaling_factor": 2.6`)
		},
		"nested": func(_ *hf.Checkpoint, dir string) { edit(t, dir, `"factor": 4.0`, `"factor": 4.5`) },
	} {
		other := filepath.Join(t.TempDir(), "m")
		if err := tinyseek.Extract(other); err != nil {
			t.Fatal(err)
		}
		c, err := hf.Open(other)
		if err != nil {
			t.Fatal(err)
		}
		change(c, other)
		if got := identify(t, other); got == want {
			t.Errorf("%s is another one, and the identity the same", name)
		}
	}
	// Spaces, order and who wrote it are not the model.
	edit(t, dir, `"torch_dtype": "bfloat16",`, `"dtype": "float32", "transformers_version": "9",`)
	if got := identify(t, dir); got != want {
		t.Errorf("%s instead of %s", got, want)
	}
	one, err := hf.Open(filepath.Join(dir, "model-00004-of-000004.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Identify(one); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
}

// poke changes the first value of a tensor with a role.
func poke(t *testing.T, c *hf.Checkpoint, role model.Role, number int) {
	t.Helper()
	for r, x := range c.Classified() {
		if x.Role != role {
			continue
		}
		if role == model.Norm && number > 0 {
			number--
			continue
		}
		f, err := os.OpenFile(r.File.Path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		raw := make([]byte, 2)
		at := r.File.Header.DataOffset + r.Tensor.Begin
		if _, err := f.ReadAt(raw, at); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint16(raw, binary.LittleEndian.Uint16(raw)^1)
		if _, err := f.WriteAt(raw, at); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no such tensor")
}

func edit(t *testing.T, dir, old, new string) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), old, new, 1)
	if text == string(raw) {
		t.Fatalf("%q is not in the config", old)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
