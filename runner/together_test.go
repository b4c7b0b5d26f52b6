package runner_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quern/formats/hf"
	"quern/internal/blockio"
	"quern/runner"
	"quern/store"
)

// meetingFS lets no read of an expert end before another one has begun, or it is clear
// that none will.
type meetingFS struct {
	blockio.FS
	experts  map[string][][2]int64 // where they lie, by file
	inFlight atomic.Int64
	most     atomic.Int64
	met      chan struct{}
	once     sync.Once
}

func (f *meetingFS) meet() { f.once.Do(func() { close(f.met) }) }

func (f *meetingFS) Open(name string) (blockio.File, error) {
	file, err := f.FS.Open(name)
	return &meetingFile{file, f}, err
}

type meetingFile struct {
	blockio.File
	fs *meetingFS
}

func (f *meetingFile) ReadAt(p []byte, at int64) (int, error) {
	if slices.ContainsFunc(f.fs.experts[f.Name()], func(r [2]int64) bool { return r[0] <= at && at < r[1] }) {
		if n := f.fs.inFlight.Add(1); n > 1 {
			f.fs.most.Store(n)
			f.fs.meet()
		}
		defer f.fs.inFlight.Add(-1)
		<-f.fs.met
	}
	return f.File.ReadAt(p, at)
}

// The experts of a pass are read together: those that a token of a generation chose,
// and those that come next in an evaluation.
func TestExpertsAreReadTogether(t *testing.T) {
	c, err := hf.Open("testdata/models/qwen3_moe")
	if err != nil {
		t.Fatal(err)
	}
	experts := map[string][][2]int64{}
	for ref, x := range c.Classified() {
		if x.Expert >= 0 {
			at := ref.File.Header.DataOffset + ref.Tensor.Begin
			experts[ref.File.Path] = append(experts[ref.File.Path], [2]int64{at, ref.File.Header.DataOffset + ref.Tensor.End})
		}
	}
	for what, run := range map[string]func(m *runner.Model) error{
		"generation": func(m *runner.Model) error {
			// As little as the experts of a token take beside what every token needs.
			o := runner.GenerateOptions{MaxTokens: 2, GeneratorOptions: runner.GeneratorOptions{Memory: c.Bytes() / 2}}
			_, err := m.Generate(context.Background(), []int{5}, o, func(int) error { return nil })
			return err
		},
		"evaluation": func(m *runner.Model) error {
			ev, err := m.Evaluate(context.Background(), [][]int{{1, 2, 3, 4, 5, 6, 7, 8}}, runner.Options{})
			if err == nil {
				ev.Close()
			}
			return err
		},
	} {
		fs := &meetingFS{FS: blockio.OS, experts: experts, met: make(chan struct{})}
		late := time.AfterFunc(20*time.Second, fs.meet)
		m, err := runner.Open(c, store.Local(fs, c.Dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := run(m); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if fs.most.Load() < 2 {
			t.Errorf("%s: one expert is read after the other", what)
		}
		late.Stop()
		m.Close()
	}
}
