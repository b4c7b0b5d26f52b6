package shard_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/shard"
	"quern/shard/placement"
)

// plain copies c without regrouping it.
func plain(t *testing.T, c *hf.Checkpoint) string {
	t.Helper()
	p, err := convert.PlanCopy(c, "copy")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Pack(0); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "plain")
	run(t, c, p, dir)
	return dir
}

// Every tensor is as it was, and the files that a rank reads hold exactly what it
// needs: all that belongs to no expert, and the experts of its slots.
func TestLossless(t *testing.T) {
	for _, x := range []struct {
		model     string
		options   placement.Config
		shardSize int64
		counted   bool
	}{
		{"deepseek_v3", placement.Config{Ranks: 4}, 0, false},
		{"deepseek_v3", placement.Config{Ranks: 4, Nodes: 2}, 20_000, true},
		{"deepseek_v3", placement.Config{Ranks: 4, Nodes: 2, Redundant: 8}, 0, true},
		{"kimi_k2", placement.Config{Ranks: 2}, 1, true},
		{"qwen2_moe", placement.Config{Ranks: 1}, 0, true},
		{"mixtral", placement.Config{Ranks: 8, Redundant: 8, Algorithm: placement.EPLB}, 0, true},
		{"gpt_oss", placement.Config{Ranks: 4}, 0, true},
		{"longcat_flash", placement.Config{Ranks: 4, Redundant: 4}, 0, true},
	} {
		t.Run(x.model, func(t *testing.T) {
			c := open(t, goldens+x.model)
			o := shard.Options{Config: x.options, ShardSize: x.shardSize}
			if x.counted {
				layers, experts := moeLayers(c)
				o.Input = loads(t, layers, experts)
			}
			r, out := regrouped(t, c, o)
			if a, b := digests(t, plain(t, c)), digests(t, out.Dir); !maps.Equal(a, b) {
				t.Errorf("digests of %d and %d tensors differ", len(a), len(b))
			}
			index, err := os.ReadFile(filepath.Join(out.Dir, hf.IndexName))
			if len(out.Files) > 1 && err != nil {
				t.Error(err)
			}
			for _, f := range out.Files {
				if len(out.Files) > 1 && !bytes.Contains(index, []byte(`"`+f.Name+`"`)) {
					t.Errorf("%s is not in the index", f.Name)
				}
			}
			for rank := range x.options.Ranks {
				checkRank(t, out, r, rank)
			}
			checkOrder(t, out)
		})
	}
}

// checkRank opens the files of a rank, and no others.
func checkRank(t *testing.T, out *hf.Checkpoint, r *shard.Result, rank int) {
	t.Helper()
	got := map[string]bool{}
	size := int64(0)
	for _, name := range slices.Concat(r.CommonFiles, r.Ranks[rank].Files) {
		f, err := os.Open(filepath.Join(out.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
		h, err := safetensors.ReadHeader(f, st.Size(), safetensors.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range h.Tensors {
			got[x.Name] = true
		}
	}
	if size != r.Ranks[rank].Bytes {
		t.Errorf("rank %d: %d bytes, said to be %d", rank, size, r.Ranks[rank].Bytes)
	}
	want := map[string]bool{}
	for ref, m := range out.Classified() {
		if m.Expert >= 0 && m.Expert < out.Config.NumExperts { // others have no weights that are used
			l := &r.Placement.Layers[slices.IndexFunc(r.Placement.Layers, func(l placement.Layer) bool { return l.Number == m.Layer })]
			if mine := r.Placement.OfRank(l, rank); !r.Baked && !slices.Contains(mine, m.Expert) {
				continue
			} else if per := len(mine); r.Baked && m.Expert/per != rank {
				continue
			}
		}
		want[ref.Tensor.Name] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("rank %d reads %d tensors, and needs %d", rank, len(got), len(want))
	}
}

// checkOrder: the tensors of an expert are adjacent, and all are aligned.
func checkOrder(t *testing.T, out *hf.Checkpoint) {
	t.Helper()
	type expert struct{ layer, number int }
	at := map[expert]string{}
	var last expert
	file := ""
	for ref, m := range out.Classified() {
		if ref.Tensor.Begin%ref.Tensor.DType.Alignment() != 0 {
			t.Errorf("%s lies at %d", ref.Tensor.Name, ref.Tensor.Begin)
		}
		now := expert{m.Layer, m.Expert}
		if m.Expert < 0 {
			now = expert{-1, -1}
		}
		if now != last || file != ref.File.Name {
			if at[now] != "" && m.Expert >= 0 {
				t.Errorf("%s does not lie beside the rest of its expert in %s", ref.Tensor.Name, at[now])
			}
			last, file = now, ref.File.Name
		}
		at[now] = ref.File.Name
	}
}

// Where an expert has an odd number of bytes the scales of the next one would not be
// aligned: the file is ordered by alignment.
func TestOddSizes(t *testing.T) {
	dir := t.TempDir()
	var list []safetensors.Tensor
	add := func(name string, d safetensors.DType, shape ...int64) {
		list = append(list, safetensors.Tensor{Name: name, DType: d, Shape: shape})
	}
	for _, e := range []string{"0", "1"} {
		p := "model.layers.0.mlp.experts." + e + ".up_proj."
		add(p+"weight", safetensors.F8E4M3, 3, 3)
		add(p+"weight_scale_inv", safetensors.F32, 1, 1)
	}
	add("model.norm.weight", safetensors.BF16, 3)
	writeCheckpoint(t, dir, `{"model_type": "qwen3_moe", "num_experts": 2, "num_hidden_layers": 1}`, list)
	r, out := regrouped(t, open(t, dir), shard.Options{Config: placement.Config{Ranks: 1}})
	checkRank(t, out, r, 0)
	var names []string
	for ref := range out.All() {
		if ref.Tensor.Begin%ref.Tensor.DType.Alignment() != 0 {
			t.Errorf("%s lies at %d", ref.Tensor.Name, ref.Tensor.Begin)
		}
		names = append(names, ref.Tensor.Name[strings.LastIndexByte(ref.Tensor.Name, '.')+1:])
	}
	if got, want := strings.Join(names, " "), "weight weight_scale_inv weight_scale_inv weight weight"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

// Interrupted at any point, the same call goes on, and the folder is the same.
func TestResume(t *testing.T) {
	c := open(t, goldens+"deepseek_v3")
	layers, experts := moeLayers(c)
	o := shard.Options{Config: placement.Config{Ranks: 4}, Bake: true, ShardSize: 30_000, Input: loads(t, layers, experts)}
	p, _ := planned(t, c, o)
	want := filepath.Join(t.TempDir(), "want")
	run(t, c, p, want)
	for _, part := range []int64{10, 4, 2} {
		dir := filepath.Join(t.TempDir(), "got")
		ctx, stop := context.WithCancel(context.Background())
		_, err := convert.Run(ctx, c, p, dir, convert.RunOptions{Workers: 1, Progress: func(done, total int64) {
			if done > total/part {
				stop()
			}
		}})
		stop()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		run(t, c, p, dir)
		compareFolders(t, want, dir)
	}
}

func compareFolders(t *testing.T, a, b string) {
	t.Helper()
	list := func(dir string) map[string]string {
		out := map[string]string{}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[f.Name()] = string(raw)
		}
		return out
	}
	x, y := list(a), list(b)
	if _, ok := x[placement.JSONName]; !ok || !maps.Equal(x, y) {
		t.Errorf("%d and %d files, which are not the same", len(x), len(y))
	}
}

// A finished folder that lacks a map is not complete.
func TestComplete(t *testing.T) {
	c := open(t, goldens+"mixtral")
	p, _ := planned(t, c, shard.Options{Config: placement.Config{Ranks: 2}})
	dir := filepath.Join(t.TempDir(), "out")
	run(t, c, p, dir)
	again := func() error {
		_, err := convert.Run(context.Background(), c, p, dir, convert.RunOptions{})
		return err
	}
	if err := again(); err == nil || err.Error() != "already complete" {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, placement.JSONName)); err != nil {
		t.Fatal(err)
	}
	if err := again(); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), placement.JSONName) {
		t.Fatal(err)
	}
	// The copy of a regrouped checkpoint has new files and so a map of its own.
	run2 := filepath.Join(t.TempDir(), "two")
	if _, err := convert.Run(context.Background(), c, p, run2, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	r, out := regrouped(t, open(t, run2), shard.Options{Config: placement.Config{Ranks: 4}})
	if len(r.Ranks) != 4 || len(out.Files) != 5 {
		t.Errorf("%d ranks, %d files", len(r.Ranks), len(out.Files))
	}
	checkRank(t, out, r, 3)
}

// Layers that engines' recorders leave out are placed in index order.
func TestMTPUncounted(t *testing.T) {
	c := open(t, goldens+"deepseek_v3")
	layers, experts := moeLayers(c)
	_, r := planned(t, c, shard.Options{Config: placement.Config{Ranks: 4}, Input: loads(t, layers[:len(layers)-1], experts)})
	l := r.Placement.Layers[len(layers)-1]
	if l.Number != layers[len(layers)-1] || l.By != placement.Contiguous || r.Placement.Layers[0].By != placement.Quern {
		t.Errorf("layer %d by %s, layer %d by %s", l.Number, l.By, r.Placement.Layers[0].Number, r.Placement.Layers[0].By)
	}
}
