package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"quern/convert"
	"quern/convert/engine"
	"quern/formats/hf"
	"quern/internal/tinyseek"
	"quern/store"
)

// bucket is a sink that lies on no disk.
type bucket struct {
	mu     sync.Mutex
	files  map[string][]byte
	locked map[string]bool
	fail   string // the file whose parts cannot be committed
}

var errBucket = errors.New("the bucket refuses it")

// view is what lies in it now.
func (b *bucket) view() *elsewhere {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &elsewhere{files: maps.Clone(b.files)}
}

func (b *bucket) String() string { return "mem://out" }

func (b *bucket) List(ctx context.Context) ([]store.Entry, error) { return b.view().List(ctx) }

func (b *bucket) Open(ctx context.Context, name string) (store.Object, error) {
	return b.view().Open(ctx, name)
}

func (b *bucket) Make() (bool, error) { return false, nil }
func (b *bucket) Unmake()             {}

func (b *bucket) Names() ([]string, error) {
	return slices.Sorted(maps.Keys(b.view().files)), nil
}

func (b *bucket) Look(name string) (store.Entry, error) {
	data, ok := b.view().files[name]
	if !ok {
		return store.Entry{}, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
	}
	return store.Entry{Name: name, Size: int64(len(data))}, nil
}

func (b *bucket) Create(_ context.Context, name string) (store.Part, error) {
	return &upload{b: b, name: name}, nil
}

func (b *bucket) Left(string) int64                             { return 0 }
func (b *bucket) Sweep(string) error                            { return nil }
func (b *bucket) Sync() error                                   { return nil }
func (b *bucket) Free() (int64, error)                          { return -1, nil }
func (b *bucket) Relation(store.Folder) (store.Relation, error) { return store.Apart, nil }

func (b *bucket) Shared(string) store.Sink { return b }

func (b *bucket) Remove(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.files, name)
	return nil
}

func (b *bucket) Log(name string) (store.Log, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.locked[name] {
		return nil, store.ErrLocked
	}
	b.locked[name] = true
	return &journal{upload: upload{b: b, name: name, data: slices.Clone(b.files[name])}, size: int64(len(b.files[name]))}, nil
}

// upload is a file that is being written.
type upload struct {
	b    *bucket
	name string
	mu   sync.Mutex
	data []byte
}

func (u *upload) String() string           { return u.b.String() + "/" + u.name }
func (u *upload) Flush(_, _ int64) error   { return nil }
func (u *upload) Settle(_, _ int64) error  { return nil }
func (u *upload) Drop(_, _ int64)          {}
func (u *upload) Discard()                 {}
func (u *upload) Reserve(size int64) error { u.data = make([]byte, size); return nil }
func (u *upload) ReadAt(p []byte, at int64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return copy(p, u.data[at:]), nil
}

func (u *upload) WriteAt(p []byte, at int64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if more := at + int64(len(p)) - int64(len(u.data)); more > 0 {
		u.data = append(u.data, make([]byte, more)...)
	}
	return copy(u.data[at:], p), nil
}

func (u *upload) Commit() error {
	u.b.mu.Lock()
	defer u.b.mu.Unlock()
	if u.name == u.b.fail {
		return fmt.Errorf("writing %q: %w", u, errBucket)
	}
	u.b.files[u.name] = u.data
	return nil
}

// journal is a log of it.
type journal struct {
	upload
	size, end int64
}

func (j *journal) Size() int64  { return j.size }
func (j *journal) Keep(n int64) { j.end = n }
func (j *journal) End() int64   { return j.end }
func (j *journal) Sync() error  { return j.Commit() }

func (j *journal) Append(p []byte) error {
	n, err := j.WriteAt(p, j.end)
	j.end += int64(n)
	return err
}

func (j *journal) Cut() error {
	j.data = j.data[:j.end]
	return nil
}

func (j *journal) Close() error {
	j.b.mu.Lock()
	defer j.b.mu.Unlock()
	delete(j.b.locked, j.name)
	return nil
}

func (j *journal) Retire() error {
	if err := j.b.Remove(j.name); err != nil {
		return err
	}
	return j.Close()
}

// A conversion from one such store into another has the same bytes as one between
// folders; a run that was cut goes on from the files that it finished.
func TestIntoABucket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tinyseek")
	if err := tinyseek.Extract(dir); err != nil {
		t.Fatal(err)
	}
	near, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := quantize(t, near)
	far, err := hf.OpenIn(t.Context(), &elsewhere{files: embedded(t)}, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := convert.PlanQuantize(far, convert.QuantizeOptions{ShardSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	b := &bucket{files: map[string][]byte{}, locked: map[string]bool{}, fail: p.Shards[3].Name}
	run := func(overwrite bool) (*engine.Result, error) {
		o := convert.EngineOptions(far, b.String(), convert.RunOptions{Overwrite: overwrite})
		o.Out = b
		return engine.Run(t.Context(), p, o)
	}
	if _, err := run(false); !errors.Is(err, errBucket) {
		t.Fatal(err)
	}
	if len(b.locked) != 0 || b.files[p.Shards[0].Name] == nil || b.files[p.Shards[3].Name] != nil {
		t.Errorf("a cut run leaves %q, locked %v", slices.Sorted(maps.Keys(b.files)), b.locked)
	}
	b.fail = ""
	r, err := run(false)
	if err != nil || r.Resumed < 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := run(false); !errors.Is(err, engine.ErrComplete) {
		t.Errorf("once more: %v", err)
	}
	first := b.view().files
	if _, err := run(true); err != nil {
		t.Errorf("over it: %v", err)
	}
	if !maps.EqualFunc(first, b.view().files, slices.Equal) {
		t.Error("written over it has other bytes")
	}
	made, err := hf.OpenIn(t.Context(), b, "")
	if err != nil {
		t.Fatal(err)
	}
	other, err := hf.Open(want)
	if err != nil {
		t.Fatal(err)
	}
	for ref := range other.All() {
		x, ok := made.Lookup(ref.Tensor.Name)
		if !ok || !slices.Equal(tensor(t, x), tensor(t, ref)) {
			t.Errorf("%s: other bytes", ref.Tensor.Name)
		}
	}
}

// tensor reads the bytes of a tensor.
func tensor(t *testing.T, r hf.Ref) []byte {
	t.Helper()
	o, err := r.File.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	raw := make([]byte, r.Tensor.Bytes())
	if _, err := o.ReadAt(raw, r.File.Header.DataOffset+r.Tensor.Begin); err != nil {
		t.Fatal(err)
	}
	return raw
}
