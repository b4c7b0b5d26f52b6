package plan_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/store"
)

// Whatever part of a view is asked for, its bytes come from where the order says,
// and pieces that lie together are one.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		slabs, width := 1+r.IntN(6), 1+r.IntN(5)
		v := plan.View{DType: safetensors.BF16, Shape: []int64{int64(slabs), int64(width)}, Offset: int64(r.IntN(9))}
		if r.IntN(4) > 0 {
			v.Order = r.Perm(slabs)
		}
		slab := int64(2 * width)
		var want []int64
		for i := range slabs {
			e := i
			if v.Order != nil {
				e = v.Order[i]
			}
			for b := range slab {
				want = append(want, v.Offset+int64(e)*slab+b)
			}
		}
		at := r.IntN(len(want))
		n := r.IntN(len(want) - at + 1)
		want = want[at : at+n]
		var got []int64
		last := int64(-1)
		for off, m := range v.Runs(int64(at), int64(n)) {
			if m <= 0 && n > 0 || off == last {
				t.Fatalf("%d bytes at %d, behind %d", m, off, last)
			}
			for b := range m {
				got = append(got, off+b)
			}
			last = off + m
		}
		if len(got) != len(want) {
			t.Fatalf("%d bytes instead of %d", len(got), n)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("byte %d comes from %d instead of %d", i, got[i], want[i])
			}
		}
	}
}

// A part of a fused tensor that is read in another order is the expert that is read
// in its place.
func TestExpertPartsInOrder(t *testing.T) {
	x := plan.Tensor{
		Name: "model.layers.0.mlp.experts.down_proj", DType: safetensors.BF16, Shape: []int64{3, 2, 4},
		Source: plan.View{DType: safetensors.BF16, Shape: []int64{3, 2, 4}, Offset: 100, Order: []int{2, 0, 1}},
		Meta:   model.Tensor{Part: "down", Module: "model.layers.0.mlp.experts"},
	}
	parts, err := plan.ExpertParts(x)
	if err != nil || len(parts) != 3 {
		t.Fatal(parts, err)
	}
	for i, e := range x.Source.Order {
		if v := parts[i].Source; v.Offset != 100+int64(e)*16 || v.Order != nil {
			t.Errorf("part %d: %+v", i, v)
		}
	}
}

func TestPackFiles(t *testing.T) {
	p := pairs(2, 10, 10)
	if err := p.PackFiles([][]int{{1, 0}, {3, 2}}); err != nil {
		t.Fatal(err)
	}
	if s := p.Shards[1]; s.Name != "model-00002-of-00002.safetensors" || s.Tensors[0] != 3 || s.Offsets[1] != s.Offsets[0]+4 {
		t.Errorf("%+v", s)
	}
	for _, files := range [][][]int{{}, {{0, 1, 2}}, {{0, 1, 2, 3, 3}}} {
		if err := p.PackFiles(files); err == nil {
			t.Errorf("%v is packed", files)
		}
	}
	odd := pairs(2, 3, 3) // scales behind 9 bytes of codes
	if err := odd.PackFiles([][]int{{1, 0, 3, 2}}); err == nil {
		t.Error("a scale at an odd offset")
	}
}

func TestPermutation(t *testing.T) {
	dir := t.TempDir()
	c := &hf.Checkpoint{Path: dir, Dir: dir, Folder: store.Local(nil, dir)}
	if order, err := plan.Permutation(c); order != nil || err != nil {
		t.Error(order, err)
	}
	for _, x := range []struct {
		text string
		ok   bool
		n    int
	}{
		{`{"baked": false, "layers": [1], "phy2log": [[5, 5]]}`, true, 0},
		{`{"baked": true, "experts": 2, "layers": [1, 4], "phy2log": [[1, 0], [0, 1]]}`, true, 2},
		{`{"baked": true, "experts": 2, "layers": [1], "phy2log": [[1, 1]]}`, false, 0},
		{`{"baked": true, "experts": 2, "layers": [1], "phy2log": [[2, 0]]}`, false, 0},
		{`{"baked": true, "experts": 2, "layers": [1], "phy2log": [[-1, 0]]}`, false, 0},
		{`{"baked": true, "experts": 3, "layers": [1], "phy2log": [[1, 0]]}`, false, 0},
		{`{"baked": true, "experts": 2, "layers": [1, 1], "phy2log": [[1, 0], [0, 1]]}`, false, 0},
		{`{"baked": true, "experts": 2, "layers": [-1], "phy2log": [[1, 0]]}`, false, 0},
		{`{"baked": true, "experts": 2, "layers": [1, 2], "phy2log": [[1, 0]]}`, false, 0},
		{`{`, false, 0},
	} {
		if err := os.WriteFile(filepath.Join(dir, hf.PlacementName), []byte(x.text), 0o644); err != nil {
			t.Fatal(err)
		}
		order, err := plan.Permutation(c)
		if ok := err == nil; ok != x.ok || len(order) != x.n || !ok && !errors.Is(err, invalid.Input) {
			t.Errorf("%s: %v %v", x.text, order, err)
		}
	}
}
