package outputs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	other "github.com/nlpodyssey/safetensors"

	"quern/internal/blockio"
	"quern/internal/blockio/faultfs"
)

// What is written comes back, for one sequence, a batch and different lengths.
func TestWriter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, lengths := range map[string][]int{"one": {7}, "batch": {4, 4}, "different": {5, 1, 3}, "single tokens": {1, 1}, "single token": {1}} {
		c := random(r, 9, lengths...)
		f := c.open(t)
		if !reflect.DeepEqual(f.IDs, c.spec.IDs) || f.Vocab != 9 || !f.HasMTP || !slices.Equal(f.Hidden, []int{0, 1, 2}) || !slices.Equal(f.Routers, []int{1, 2}) ||
			f.Ignored != nil || !reflect.DeepEqual(f.Metadata, c.spec.Metadata) {
			t.Errorf("%s: %+v", name, f)
		}
		routers := map[int][]int32{}
		for s, n := range lengths {
			logits, mtp := make([]float32, n*9), make([]float32, (n-1)*9)
			if err := errors.Join(f.Logits(logits, s, 0, n), f.MTPLogits(mtp, s, 0, n-1)); err != nil || !slices.Equal(logits, c.logits[s]) || !slices.Equal(mtp, c.mtp[s]) {
				t.Errorf("%s: sequence %d: %v", name, s, err)
			}
			for i, want := range c.hidden {
				got := make([]float32, n*6)
				if err := f.HiddenRows(i, got, s, 0, n); err != nil || !slices.Equal(got, want[s]) {
					t.Errorf("%s: sequence %d: hidden %d: %v", name, s, i, err)
				}
			}
			for l, list := range c.routers {
				routers[l] = append(routers[l], list[s]...)
			}
		}
		for l, want := range routers {
			if got, _, err := f.Router(l); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: router %d: %v, want %v, %v", name, l, got, want, err)
			}
		}
		// The shapes are those that other stacks have for the same text.
		raw, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := other.Deserialize(raw)
		if err != nil {
			t.Fatal(err)
		}
		for tensor, want := range map[string]map[string][]uint64{
			"input_ids":        {"one": {7}, "batch": {2, 4}, "different": {9}, "single tokens": {2, 1}, "single token": {1}},
			"logits":           {"one": {7, 9}, "batch": {2, 4, 9}, "different": {9, 9}, "single tokens": {2, 1, 9}, "single token": {1, 9}},
			"mtp_logits":       {"one": {6, 9}, "batch": {2, 3, 9}, "different": {6, 9}, "single tokens": {2, 0, 9}, "single token": {0, 9}},
			"router.2.indices": {"one": {6, 2}, "batch": {2, 3, 2}, "different": {6, 2}, "single tokens": {2, 0, 2}, "single token": {0, 2}},
		} {
			if view, ok := st.Tensor(tensor); !ok || !slices.Equal(view.Shape(), want[name]) {
				t.Errorf("%s: %s has shape %v, want %v", name, tensor, view.Shape(), want[name])
			}
		}
		if _, ok := st.Tensor("offsets"); ok != (name == "different") {
			t.Errorf("%s: offsets: %v", name, ok)
		}
	}
}

// Tiles of the vocabulary, rows in any order, from several goroutines: the same file.
func TestWriterTiles(t *testing.T) {
	c := random(rand.New(rand.NewPCG(3, 4)), 50, 8, 3)
	dir := t.TempDir()
	c.write(t, filepath.Join(dir, "whole"))
	w, err := Create(filepath.Join(dir, "tiles"), c.spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	var wg sync.WaitGroup
	tiles := func(put func(seq, first, id, width int, values []float32) error, rows [][]float32) {
		for s := range rows {
			n := len(rows[s]) / 50
			for id := 0; id < 50; id += 16 {
				width := min(16, 50-id)
				for _, half := range [][2]int{{n / 2, n}, {0, n / 2}} {
					wg.Go(func() {
						var tile []float32
						for i := half[0]; i < half[1]; i++ {
							tile = append(tile, rows[s][i*50+id:i*50+id+width]...)
						}
						if err := put(s, half[0], id, width, tile); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
	}
	tiles(w.Logits, c.logits)
	tiles(w.MTPLogits, c.mtp)
	for s := range c.spec.IDs {
		for i, h := range c.hidden {
			wg.Go(func() {
				if err := errors.Join(w.Hidden(i, s, 1, h[s][6:]), w.Hidden(i, s, 0, h[s][:6])); err != nil {
					t.Error(err)
				}
			})
		}
		for l, r := range c.routers {
			wg.Go(func() {
				if err := w.Router(l, s, 0, r[s]); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(w.path); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("other bytes, %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for want, s := range map[string]Spec{
		"0 sequences":                 {Vocab: 3},
		"1 sequences, 0 logits a row": {IDs: [][]int{{0}}},
		"sequence 1 is empty":         {IDs: [][]int{{0}, {}}, Vocab: 3},
		"sequence 0, position 1: id 3 is not one of 0…2":       {IDs: [][]int{{0, 3}}, Vocab: 3},
		"sequence 0, position 0: id -1":                        {IDs: [][]int{{-1, 3}}, Vocab: 3},
		"hidden states {Layer:1 Width:0}":                      {IDs: [][]int{{0}}, Vocab: 3, Hidden: []HiddenSpec{{1, 0}}},
		"router {Layer:-1 K:1 MTP:false}":                      {IDs: [][]int{{0}}, Vocab: 3, Routers: []RouterSpec{{Layer: -1, K: 1}}},
		`tensor "hidden.1": the name occurs twice`:             {IDs: [][]int{{0}}, Vocab: 3, Hidden: []HiddenSpec{{1, 4}, {1, 4}}},
		`tensor "router.0.indices": the name occurs twice`:     {IDs: [][]int{{0}}, Vocab: 3, Routers: []RouterSpec{{Layer: 0, K: 1}, {Layer: 0, K: 1}}},
		`__metadata__: key "k": not valid UTF-8`:               {IDs: [][]int{{0}}, Vocab: 3, Metadata: map[string]string{"k": "\xff"}},
		`shape [1 4611686018427387904] of F32: size overflows`: {IDs: [][]int{{0}}, Vocab: 1 << 62},
	} {
		if _, err := Create(path, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	spec := Spec{IDs: [][]int{{0, 1, 2}, {1, 2}}, Vocab: 3, MTP: true, Hidden: []HiddenSpec{{0, 2}}}
	w, err := Create(path, spec)
	if err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"created without router.3.indices":                  w.Router(3, 0, 0, nil),
		"created without hidden.1":                          w.Hidden(1, 0, 0, nil),
		`"logits" has no rows 1…3 of sequence 0`:            w.Logits(0, 1, 0, 3, make([]float32, 9)),
		`"logits" has no rows -1…1 of sequence 0`:           w.Logits(0, -1, 0, 3, make([]float32, 9)),
		`"mtp_logits" has no rows 0…2 of sequence 0`:        w.MTPLogits(0, 0, 0, 3, make([]float32, 9)),
		"there is no sequence 2":                            w.Logits(2, 0, 0, 3, nil),
		"8 numbers for columns 0…2 of 3":                    w.Logits(0, 0, 0, 3, make([]float32, 8)),
		"4 numbers for columns 2…3 of 3":                    w.Logits(0, 0, 2, 2, make([]float32, 4)),
		"0 numbers for columns 0…-1 of 3":                   w.Logits(0, 0, 0, 0, nil),
		"3 numbers for columns 0…-2 of 3":                   w.Logits(0, 0, 0, -1, make([]float32, 3)),
		`tensor "hidden.0": 3 numbers for columns 0…1 of 2`: w.Hidden(0, 0, 0, make([]float32, 3)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), `tensor "hidden.0": 0 of 2 numbers of row 0 were written`) {
		t.Errorf("nothing was written: %v", err)
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 0 {
		t.Errorf("%v is left", list)
	}
	// Twice is once too often.
	w, err = Create(path, Spec{IDs: [][]int{{0}}, Vocab: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Logits(0, 0, 0, 3, make([]float32, 3)), w.Logits(0, 0, 1, 1, make([]float32, 1))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), `tensor "logits": 4 of 3 numbers of row 0`) {
		t.Errorf("written twice: %v", err)
	}
}

// Whatever call fails, the error says where, the old file stays and nothing else.
func TestWriterFailures(t *testing.T) {
	c := random(rand.New(rand.NewPCG(5, 5)), 9, 4, 2)
	all := func(fsys blockio.FS, path string) error {
		w, err := create(fsys, path, c.spec)
		if err != nil {
			return err
		}
		defer w.Abort()
		for s := range c.spec.IDs {
			err = errors.Join(err, w.Logits(s, 0, 0, 9, c.logits[s]), w.MTPLogits(s, 0, 0, 9, c.mtp[s]))
			for _, h := range c.spec.Hidden {
				err = errors.Join(err, w.Hidden(h.Layer, s, 0, c.hidden[h.Layer][s]))
			}
			for _, r := range c.spec.Routers {
				err = errors.Join(err, w.Router(r.Layer, s, 0, c.routers[r.Layer][s]))
			}
		}
		if err != nil {
			return err
		}
		return w.Close()
	}
	clean := &faultfs.FS{NoSync: true}
	path := filepath.Join(t.TempDir(), "f")
	if err := all(clean, path); err != nil {
		t.Fatal(err)
	}
	for _, bad := range clean.Calls() {
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		fsys := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
			if c.Kind == bad.Kind && c.Name == bad.Name && c.N == bad.N {
				return &faultfs.Fault{Err: syscall.ENOSPC}
			}
			return nil
		}}
		if err := all(fsys, path); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", bad.Kind, err)
		}
		if raw, _ := os.ReadFile(path); string(raw) != "old" && bad.Kind != faultfs.SyncDir {
			t.Errorf("%s: the old file is gone", bad.Kind)
		}
		if _, err := os.Stat(path + blockio.Partial); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the partial file is left", bad.Kind)
		}
		if n := fsys.OpenFiles(); n != 0 {
			t.Errorf("%s: %d files are open", bad.Kind, n)
		}
	}
}
