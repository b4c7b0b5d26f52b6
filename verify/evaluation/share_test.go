package evaluation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"quern/convert"
	"quern/corpus"
	"quern/fp8"
	"quern/internal/blockio/faultfs"
	"quern/internal/invalid"
	"quern/runner"
	"quern/task"
	"quern/verify/metrics"
	"quern/verify/record"
)

// untimed are figures without the speed, which no two runs share.
func untimed(t testing.TB, x any) string {
	t.Helper()
	switch x := x.(type) {
	case *Comparison:
		if x != nil {
			x.TokensPerSecond = [2]metrics.Figure{}
		}
	case *Single:
		x.TokensPerSecond = 0
	}
	raw, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// pair is a model with multi-token prediction and routers, its FP8 form, and chunks.
type pair struct {
	base, quant *runner.Model
	texts       []corpus.Text
	chunks      []corpus.Chunk
}

func newPair(t testing.TB, family string, o convert.QuantizeOptions) *pair {
	t.Helper()
	dir := goldens + family
	p := &pair{base: open(t, dir), quant: open(t, quantized(t, dir, o))}
	p.texts = []corpus.Text{{Name: "a", IDs: random(1, 90, p.base.Vocab())}, {Name: "b", IDs: random(2, 41, p.base.Vocab())}}
	var err error
	if p.chunks, err = corpus.Chunks(p.texts, corpus.ChunkOptions{Context: 24, Prefix: []int{1}, Score: corpus.ScoreAll}); err != nil {
		t.Fatal(err)
	}
	return p
}

// Tasks of whatever number, in any order and one of them twice, give the figures of one
// run to the last digit, for two models and for one.
func TestShares(t *testing.T) {
	for _, family := range []string{"deepseek_v3", "qwen3"} {
		p := newPair(t, family, convert.QuantizeOptions{})
		c, _, err := Compare(t.Context(), p.base, p.quant, p.texts, p.chunks, Options{Worst: 5, Deployment: true})
		if err != nil {
			t.Fatal(err)
		}
		if c.Deployment == nil {
			t.Fatal("its inputs are rounded by engines")
		}
		s, err := Run(t.Context(), p.quant, p.texts, p.chunks, Options{Deployment: true})
		if err != nil {
			t.Fatal(err)
		}
		sizes := make([]int64, len(p.chunks))
		for i := range p.chunks {
			sizes[i] = int64(len(p.chunks[i].IDs))
		}
		for _, n := range []int{1, 3, len(p.chunks), 10} {
			for _, base := range []*runner.Model{p.base, nil} {
				books := make([]*record.Book, n)
				for _, i := range append(rand.Perm(n), n/2) {
					books[i] = record.New()
					first, last := task.Task{I: i + 1, N: n}.Of(sizes)
					if err := Share(t.Context(), base, p.quant, p.chunks, first, last, Options{Workers: 1 + i%3, Memory: int64(1 + i%2), TempDir: t.TempDir(), Records: books[i], Deployment: true}); err != nil {
						t.Fatal(err)
					}
				}
				w, err := Merged(books, p.quant, p.chunks, base != nil)
				if err != nil || w.Static != nil {
					t.Fatal(err, w.Static)
				}
				var want, got string
				if base == nil {
					of := w.Single(p.texts, p.chunks)
					want, got = untimed(t, s)+untimed(t, s.Deployment), untimed(t, of)+untimed(t, of.Deployment)
				} else {
					of, _ := w.Comparison(p.texts, p.chunks, 5)
					want, got = untimed(t, c)+untimed(t, c.Deployment), untimed(t, of)+untimed(t, of.Deployment)
				}
				if _, err := Merged(books, p.quant, p.chunks, base == nil); !errors.Is(err, invalid.Input) {
					t.Error(err)
				}
				if _, err := Merged(books[1:], p.quant, p.chunks, base != nil); !errors.Is(err, invalid.Input) && n <= len(p.chunks) && n > 1 {
					t.Error(err)
				}
				if want != got {
					t.Errorf("%s in %d:\n%s\n%s", family, n, want, got)
				}
			}
		}
	}
}

// An evaluation that is killed at whatever call of the folder that it keeps its state in
// goes on with the same figures to the last digit.
func TestKilled(t *testing.T) {
	p := newPair(t, "deepseek_v3", convert.QuantizeOptions{})
	// Choices of experts lie in memory or, with a memory of 1, in a file.
	run := func(ctx context.Context, b *record.Book, memory int64, resumed func(string, int, int)) (string, error) {
		c, _, err := Compare(ctx, p.base, p.quant, p.texts, p.chunks, Options{Worst: 5, Memory: memory, TempDir: t.TempDir(), Deployment: true, Records: b, Resumed: resumed})
		return untimed(t, c), err
	}
	want, err := run(t.Context(), nil, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := record.Identity{{Name: "what", Value: "a test"}}
	whole := &faultfs.FS{NoSync: true}
	dir := filepath.Join(t.TempDir(), "whole")
	b, _, err := record.Open(whole, dir, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := run(t.Context(), b, 1, nil); err != nil || got != want {
		t.Fatal(err)
	}
	if _, err := b.Close(true); err != nil {
		t.Fatal(err)
	}
	calls := len(whole.Calls())
	goneOn := 0
	for k := 1; k < calls; k += 1 + calls/40 {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(k))
		for round := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			var n atomic.Int64
			dead := &faultfs.FS{NoSync: true, Hook: func(c faultfs.Call) *faultfs.Fault {
				if n.Add(1) < int64(k) || round == 2 {
					return nil
				}
				cancel() // nothing is written from here on, and the last write is torn
				return &faultfs.Fault{Err: errors.New("killed")}
			}}
			b, changed, err := record.Open(dead, dir, id, 0)
			if err != nil && round < 2 {
				cancel()
				continue // before anything was read
			}
			if err != nil || changed != "" {
				t.Fatal(err, changed)
			}
			got, err := run(ctx, b, int64(k+round)%2, func(string, int, int) { goneOn++ })
			if err == nil && got != want {
				t.Fatalf("cut at call %d, round %d:\n%s\n%s", k, round, want, got)
			}
			if err != nil && (round == 2 || !errors.Is(err, context.Canceled)) {
				t.Fatal(err)
			}
			if round == 2 {
				_, err = b.Close(true)
				if left, _ := filepath.Glob(dir); err != nil || left != nil {
					t.Fatal(err, left)
				}
			} else {
				_, _ = b.Close(false)
			}
			cancel()
		}
	}
	if goneOn < calls/20 {
		t.Errorf("of %d calls only %d runs went on at a layer", calls, goneOn)
	}
	t.Logf("%d calls, %d runs went on at a layer", calls, goneOn)
}

// A run that goes on with its second way runs a baseline that is quantized itself as the
// first one did: its inputs are not rounded because those of the checkpoint now are.
func TestSecondWay(t *testing.T) {
	p := newPair(t, "qwen3", convert.QuantizeOptions{})
	p.base = open(t, quantized(t, goldens+"qwen3", convert.QuantizeOptions{Search: fp8.SearchMSE}))
	whole := record.New()
	if err := Share(t.Context(), p.base, p.quant, p.chunks, 0, len(p.chunks), Options{Records: whole, Deployment: true}); err != nil {
		t.Fatal(err)
	}
	cut := record.New()
	raw, _ := whole.Get(plainly.name)
	cut.Put(plainly.name, raw)
	if err := Share(t.Context(), p.base, p.quant, p.chunks, 0, len(p.chunks), Options{Records: cut, Deployment: true}); err != nil {
		t.Fatal(err)
	}
	want, got := kept(whole, deployed.name), kept(cut, deployed.name)
	if want == nil || got == nil || !slices.Equal(want.Tokens, got.Tokens) {
		t.Error("other figures than those of one run")
	}
}

// The second way has the memory that findings of the first and all records leave.
func TestWaysHold(t *testing.T) {
	p := newPair(t, "qwen3", convert.QuantizeOptions{})
	book := record.New()
	var free []int64
	_, err := waysOf(p.quant, Options{Memory: 1 << 20, Deployment: true, Records: book}, func(o Options, w way) (*Findings, error) {
		free = append(free, o.free())
		book.Put(w.name, make([]byte, 1000))
		return &Findings{Tokens: make([]metrics.Token, 100)}, nil
	})
	if want := []int64{1 << 20, 1<<20 - 1000 - 100*foundBytes}; err != nil || !slices.Equal(free, want) {
		t.Errorf("%d %v, want %d", free, err, want)
	}
}
