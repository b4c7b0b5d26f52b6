package engine_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/synth"
)

// A view whose slabs are read in another order gives the permuted tensor, however it
// is cut; files beside the shards are written, and --overwrite removes them.
func TestOrder(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	v := synth.Small()
	v.Layers, v.Experts = 1, 0
	if err := v.Write(in); err != nil {
		t.Fatal(err)
	}
	order := func(n int64) []int {
		list := make([]int, n)
		for i := range list {
			list[i] = int((int64(i)*7 + 3) % n)
		}
		return list
	}
	read := func(c *hf.Checkpoint, name string) []byte {
		t.Helper()
		ref, ok := c.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		raw, err := os.ReadFile(ref.File.Path)
		if err != nil {
			t.Fatal(err)
		}
		return raw[ref.File.Header.DataOffset+ref.Tensor.Begin:][:ref.Tensor.End-ref.Tensor.Begin]
	}
	const name = "model.embed_tokens.weight" // 8000 rows of 1024
	ck, p := planOf(t, in, 0, func(x plan.Tensor, _ *plan.Tensor) []plan.Tensor {
		if x.Name == name {
			x.Source.Order = order(x.Shape[0])
		}
		return []plan.Tensor{x}
	})
	p.Beside = []plan.File{{Name: "map.json", Data: "{}\n"}}
	dir := filepath.Join(t.TempDir(), "out")
	o := convert.EngineOptions(ck, dir, convert.RunOptions{Memory: 80 << 20})
	if _, err := engine.Run(context.Background(), p, o); err != nil {
		t.Fatal(err)
	}
	out, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, got := read(ck, name), read(out, name)
	rows := order(int64(v.Vocab))
	width := len(want) / len(rows)
	for i, e := range rows {
		if !bytes.Equal(got[i*width:][:width], want[e*width:][:width]) {
			t.Fatalf("row %d is not row %d", i, e)
		}
	}
	beside := filepath.Join(dir, "map.json")
	if raw, err := os.ReadFile(beside); err != nil || string(raw) != "{}\n" {
		t.Error(string(raw), err)
	}
	if _, err := engine.Run(context.Background(), p, o); err != engine.ErrComplete {
		t.Error(err)
	}
	p.Beside = nil
	o.Overwrite = true
	if _, err := engine.Run(context.Background(), p, o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(beside); !os.IsNotExist(err) {
		t.Error("--overwrite leaves map.json behind:", err)
	}
}
