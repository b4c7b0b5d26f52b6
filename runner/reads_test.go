package runner_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"quern/runner/golden"

	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/runner"
	"quern/store"
)

// countingFS notes what is read of every file.
type countingFS struct {
	blockio.FS
	mu    sync.Mutex
	reads map[string][][2]int64
}

func (f *countingFS) Open(name string) (blockio.File, error) {
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &countingFile{file, f}, nil
}

type countingFile struct {
	blockio.File
	fs *countingFS
}

func (f *countingFile) ReadAt(p []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	f.fs.reads[f.Name()] = append(f.fs.reads[f.Name()], [2]int64{at, at + int64(len(p))})
	f.fs.mu.Unlock()
	return f.File.ReadAt(p, at)
}

// An evaluation reads no byte twice, and of experts only those that a token chose,
// whatever the number of tokens and the memory.
func TestReadsOnce(t *testing.T) {
	dirs, err := filepath.Glob("testdata/models/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(dirs, tiny(t)) {
		c, err := hf.Open(golden.Folder(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, memory := range []int64{0, 1} {
			fs := &countingFS{FS: blockio.OS, reads: map[string][][2]int64{}}
			m, err := runner.Open(c, store.Local(fs, c.Dir))
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(5, 6))
			texts := make([][]int, 5)
			for i := range texts {
				for range 1 + r.IntN(60) {
					texts[i] = append(texts[i], r.IntN(min(m.Vocab(), 40)))
				}
			}
			ev, err := m.Evaluate(context.Background(), texts, runner.Options{Memory: memory, TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			ev.Close()
			m.Close()
			total := int64(0)
			for name, reads := range fs.reads {
				slices.SortFunc(reads, func(a, b [2]int64) int { return int(a[0] - b[0]) })
				for i, x := range reads {
					total += x[1] - x[0]
					if i > 0 && x[0] < reads[i-1][1] {
						t.Errorf("%s: bytes %d to %d of %s are read again", filepath.Base(dir), x[0], min(x[1], reads[i-1][1]), name)
					}
				}
			}
			if total == 0 || total > c.Bytes() {
				t.Errorf("%s: %d bytes read of %d", filepath.Base(dir), total, c.Bytes())
			}
		}
	}
}

// A token that chooses k experts costs the reading of k experts.
func TestReadsOnlyChosenExperts(t *testing.T) {
	c, err := hf.Open("testdata/models/qwen3_moe")
	if err != nil {
		t.Fatal(err)
	}
	fs := &countingFS{FS: blockio.OS, reads: map[string][][2]int64{}}
	m, err := runner.Open(c, store.Local(fs, c.Dir))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	chosen := map[[2]int32]bool{}
	ev, err := m.Evaluate(context.Background(), [][]int{{7}}, runner.Options{Hooks: &runner.Hooks{
		Route: func(layer, _ int, ids []int32, _ []float32, _ int) {
			for _, id := range ids {
				chosen[[2]int32{int32(layer), id}] = true
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ev.Close()
	read := 0
	for ref, x := range c.Classified() {
		if x.Expert < 0 {
			continue
		}
		at := ref.File.Header.DataOffset + ref.Tensor.Begin
		hit := slices.ContainsFunc(fs.reads[ref.File.Path], func(r [2]int64) bool { return r[0] <= at && at < r[1] })
		if want := chosen[[2]int32{int32(x.Layer), int32(x.Expert)}]; hit != want {
			t.Errorf("%s is read: %v, chosen: %v", ref.Tensor.Name, hit, want)
		}
		if hit {
			read++
		}
	}
	if want := 3 * len(chosen); read != want || len(chosen) == 0 {
		t.Errorf("%d matrices of experts were read, want %d", read, want)
	}
}
