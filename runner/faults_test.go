package runner_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/runner"
	"quern/store"
)

var errDisk = errors.New("the disk is gone")

// failingFS fails from one reading on.
type failingFS struct {
	blockio.FS
	left atomic.Int64
}

func (f *failingFS) Open(name string) (blockio.File, error) {
	file, err := f.FS.Open(name)
	return &failingFile{file, f}, err
}

type failingFile struct {
	blockio.File
	fs *failingFS
}

func (f *failingFile) ReadAt(p []byte, at int64) (int, error) {
	if f.fs.left.Add(-1) < 0 {
		return 0, errDisk
	}
	return f.File.ReadAt(p, at)
}

// A reading that fails ends evaluation and generation with its error, whichever it is:
// nothing hangs, and nothing is computed without the weights.
func TestReadingFails(t *testing.T) {
	shared, err := hf.Open("testdata/models/deepseek_v3")
	if err != nil {
		t.Fatal(err)
	}
	gated, err := hf.Open("testdata/models/qwen2_moe")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*hf.Checkpoint{shared, gated} {
		for what, run := range map[string]func(m *runner.Model) error{
			"evaluation": func(m *runner.Model) error {
				ev, err := m.Evaluate(context.Background(), [][]int{{1, 2, 3}, {4}}, runner.Options{})
				ev.Close()
				return err
			},
			"little memory": func(m *runner.Model) error {
				ev, err := m.Evaluate(context.Background(), [][]int{{1, 2, 3}, {4}}, runner.Options{Memory: 1, TempDir: t.TempDir(), AllExperts: true})
				ev.Close()
				return err
			},
			"generation": func(m *runner.Model) error {
				o := runner.GenerateOptions{MaxTokens: 4}
				if m.HasMTP() {
					o.Draft = 2
				}
				_, err := m.Generate(context.Background(), []int{1, 2, 3}, o, func(int) error { return nil })
				return err
			},
			"generation from files": func(m *runner.Model) error {
				_, err := m.Generate(context.Background(), []int{1, 2, 3}, runner.GenerateOptions{MaxTokens: 3, GeneratorOptions: runner.GeneratorOptions{Memory: 1}}, func(int) error { return nil })
				return err
			},
			"head": func(m *runner.Model) error {
				_, _, err := m.Head(runner.Options{}).Tile(0, 8, nil)
				return err
			},
		} {
			t.Run(fmt.Sprint(filepath.Base(c.Path), " ", what), func(t *testing.T) {
				// All readings at first, then so that each stride of them fails.
				fs := &failingFS{FS: blockio.OS}
				try := func(left int64) error {
					fs.left.Store(left)
					m, err := runner.Open(c, store.Local(fs, c.Dir))
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					return run(m)
				}
				const many = 1 << 40
				if err := try(many); err != nil {
					t.Fatal(err)
				}
				all := many - fs.left.Load()
				for left := int64(0); left < all; left += 1 + all/60 {
					if err := try(left); !errors.Is(err, errDisk) {
						t.Errorf("reading %d of %d fails: %v", left, all, err)
					}
				}
			})
		}
	}
}

// A folder for activations that is not there is an error.
func TestNoRoomForActivations(t *testing.T) {
	m := open(t, "testdata/models/deepseek_v3")
	for _, dir := range []string{filepath.Join(t.TempDir(), "none")} {
		if _, err := m.Evaluate(context.Background(), [][]int{{1, 2}}, runner.Options{Memory: 1, TempDir: dir}); err == nil {
			t.Error("activations lie nowhere")
		}
	}
}
