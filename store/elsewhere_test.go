package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zeebo/blake3"

	"quern/calibrate/file"
	"quern/convert"
	"quern/convert/engine"
	"quern/formats/hf"
	"quern/formats/tokenizer"
	"quern/internal/invalid"
	"quern/internal/tinyseek"
	"quern/runner"
	"quern/store"
	"quern/verify"
)

// elsewhere is a folder that lies on no disk: what a store is to the rest of quern.
type elsewhere struct {
	files map[string][]byte
	read  atomic.Int64 // bytes
}

func (e *elsewhere) String() string { return "mem://tinyseek" }

func (e *elsewhere) stamp(name string) store.Stamp {
	return store.Stamp(fmt.Sprintf("%x", blake3.Sum256(e.files[name])))
}

func (e *elsewhere) List(context.Context) ([]store.Entry, error) {
	var list []store.Entry
	for _, name := range slices.Sorted(maps.Keys(e.files)) {
		list = append(list, store.Entry{Name: name, Size: int64(len(e.files[name]))})
	}
	return list, nil
}

func (e *elsewhere) Open(_ context.Context, name string) (store.Object, error) {
	data, ok := e.files[name]
	if !ok {
		return nil, fmt.Errorf("opening \"%s/%s\": %w", e, name, fs.ErrNotExist)
	}
	return &thing{e: e, name: name, data: data, stamp: e.stamp(name)}, nil
}

// thing is an open file of it.
type thing struct {
	e     *elsewhere
	name  string
	data  []byte
	stamp store.Stamp
}

func (x *thing) String() string     { return x.e.String() + "/" + x.name }
func (x *thing) Size() int64        { return int64(len(x.data)) }
func (x *thing) Stamp() store.Stamp { return x.stamp }
func (x *thing) Close() error       { return nil }
func (x *thing) Sequential()        {}
func (x *thing) Drop(_, _ int64)    {}

func (x *thing) ReadAt(p []byte, at int64) (int, error) {
	n, err := bytes.NewReader(x.data).ReadAt(p, at)
	x.e.read.Add(int64(n))
	return n, err
}

func (x *thing) Check() error {
	if x.e.stamp(x.name) != x.stamp {
		return invalid.Errorf("%s: %w", x, store.ErrChanged)
	}
	return nil
}

// embedded is the model that the program carries, as files.
func embedded(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(tinyseek.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(tinyseek.Files(), name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// quantize converts a checkpoint and returns the folder.
func quantize(t *testing.T, c *hf.Checkpoint) string {
	t.Helper()
	p, err := convert.PlanQuantize(c, convert.QuantizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := convert.Run(t.Context(), c, p, dir, convert.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := convert.Run(t.Context(), c, p, dir, convert.RunOptions{}); !errors.Is(err, engine.ErrComplete) {
		t.Errorf("once more: %v", err)
	}
	return dir
}

// A checkpoint of a store that is no folder of this machine is opened from its headers,
// planned, converted, verified and run, with the same bytes and numbers as one of the
// disk.
func TestElsewhere(t *testing.T) {
	e := &elsewhere{files: embedded(t)}
	far, err := hf.OpenIn(t.Context(), e, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	near, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if far.Path != e.String() || far.Files[0].Path != e.String()+"/"+far.Files[0].Name || far.Len() != near.Len() {
		t.Errorf("%s, %s: %d tensors", far.Path, far.Files[0].Path, far.Len())
	}
	if n := e.read.Load(); n > far.Bytes()/4 {
		t.Errorf("%d bytes were read to open %d", n, far.Bytes())
	}
	a, err1 := file.Identify(far)
	b, err2 := file.Identify(near)
	if a != b || err1 != nil || err2 != nil {
		t.Errorf("%s and %s: %v, %v", a, b, err1, err2)
	}
	made, want := quantize(t, far), quantize(t, near)
	same(t, made, want)
	quantized, err := hf.Open(made)
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Compare(t.Context(), far, quantized, verify.Options{})
	if err != nil || !r.Passed {
		t.Errorf("%+v, %v", r, err)
	}
	if got, want := states(t, far), states(t, near); !slices.Equal(got, want) || len(got) == 0 {
		t.Error("other states")
	}
	// A single file of it, and its tokenizer.
	one, err := hf.OpenIn(t.Context(), e, far.Files[0].Name)
	if err != nil || one.Dir != "" || one.Path != far.Files[0].Path || len(one.Files) != 1 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := tokenizer.OpenIn(t.Context(), e, ""); err != nil {
		t.Error(err)
	}
	// What it holds now is another thing than what was opened.
	name := far.Files[1].Name
	e.files[name] = append(slices.Clone(e.files[name][:len(e.files[name])-1]), 0x55)
	p, err := convert.PlanQuantize(far, convert.QuantizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = convert.Run(t.Context(), far, p, filepath.Join(t.TempDir(), "out"), convert.RunOptions{})
	if !errors.Is(err, invalid.Input) || !strings.Contains(fmt.Sprint(err), e.String()+"/"+name) {
		t.Errorf("changed: %v", err)
	}
	if _, err := verify.Integrity(t.Context(), far, verify.Options{}); !errors.Is(err, invalid.Input) || !strings.Contains(fmt.Sprint(err), name) {
		t.Errorf("changed: %v", err)
	}
}

// same compares the files of two folders.
func same(t *testing.T, a, b string) {
	t.Helper()
	x, y := os.DirFS(a), os.DirFS(b)
	n := 0
	err := fs.WalkDir(y, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		p, err1 := fs.ReadFile(x, name)
		q, err2 := fs.ReadFile(y, name)
		if !bytes.Equal(p, q) {
			t.Errorf("%s differs", name)
		}
		return errors.Join(err1, err2)
	})
	if err != nil || n < 5 {
		t.Error(n, err)
	}
}

// states are the final hidden states of a short text.
func states(t *testing.T, c *hf.Checkpoint) []float32 {
	t.Helper()
	m, err := runner.Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if ids, err := m.StopTokens(); err != nil || len(ids) == 0 {
		t.Error(ids, err)
	}
	ev, err := m.Evaluate(t.Context(), [][]int{{1, 2, 3, 4}}, runner.Options{NoMTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ev.Close()
	x, err := ev.Hidden.View(0, 4, make([]float32, 4*m.Hidden()))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(x)
}
