package shard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"quern/runner/golden"

	"quern/convert"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/shard"
	"quern/shard/placement"
)

// goldens are small models of known architectures, of which the runner's tests have
// the outputs.
const goldens = "../runner/testdata/models/"

func open(t testing.TB, dir string) *hf.Checkpoint {
	t.Helper()
	c, err := hf.Open(golden.Folder(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loads are skewed random counts of the layers of a shape, as a load file gives them.
func loads(t testing.TB, layers []int, experts int) *placement.Input {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(experts), 7))
	file := map[string]any{"layers": layers}
	var rows [][]int
	for range layers {
		row := make([]int, experts)
		for e := range row {
			row[e] = 1 + int(1000*r.ExpFloat64())
		}
		rows = append(rows, row)
	}
	file["load"] = rows
	raw, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "load.json")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	counts, err := placement.OpenCounts(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { counts.Close() })
	in, err := placement.NewInput(counts, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// moeLayers are the layers of c with routed experts, and how many those are.
func moeLayers(c *hf.Checkpoint) (layers []int, experts int) {
	seen := map[int]bool{}
	for _, m := range c.Classified() {
		if m.Role == model.RoutedExpert && !seen[m.Layer] {
			seen[m.Layer] = true
		}
	}
	for l := range 1000 {
		if seen[l] {
			layers = append(layers, l)
		}
	}
	return layers, c.Config.NumExperts
}

// regrouped plans and makes a regrouped copy of c.
func regrouped(t testing.TB, c *hf.Checkpoint, o shard.Options) (*shard.Result, *hf.Checkpoint) {
	t.Helper()
	p, r := planned(t, c, o)
	dir := filepath.Join(t.TempDir(), "out")
	run(t, c, p, dir)
	return r, open(t, dir)
}

func planned(t testing.TB, c *hf.Checkpoint, o shard.Options) (*plan.Plan, *shard.Result) {
	t.Helper()
	p, err := convert.PlanCopy(c, "shard")
	if err != nil {
		t.Fatal(err)
	}
	r, err := shard.Regroup(context.Background(), p, c.Arch(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

func run(t testing.TB, c *hf.Checkpoint, p *plan.Plan, dir string) *manifest.Manifest {
	t.Helper()
	res, err := convert.Run(context.Background(), c, p, dir, convert.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return res.Manifest
}

// digests are the BLAKE3 of all tensors of a made checkpoint.
func digests(t testing.TB, dir string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, manifest.Name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, x := range m.Tensors {
		out[x.Name] = x.BLAKE3
	}
	return out
}

// writeCheckpoint makes a folder with a config and one file of tensors that count
// their bytes.
func writeCheckpoint(t testing.TB, dir, config string, list []safetensors.Tensor) {
	t.Helper()
	var b bytes.Buffer
	err := safetensors.Write(&b, list, nil, func(i int, w io.Writer) error {
		n, err := safetensors.SizeOf(list[i].DType, list[i].Shape)
		if err != nil {
			return err
		}
		raw := make([]byte, n)
		for k := range raw {
			raw[k] = byte(k + i)
		}
		_, err = w.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"config.json": []byte(config), "model.safetensors": b.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
