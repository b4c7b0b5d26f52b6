package runner_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"quern/runner"
)

// The logits that a draft is chosen from are those of the whole head, bit for bit, for as
// many tokens as asked for, which are those of the text and the lowest ids.
func TestShortlist(t *testing.T) {
	m := open(t, tiny(t))
	vocab, text := m.Vocab(), prompts(t, tiny(t), 2)
	const size = 64
	for _, ids := range text {
		var rows [2][][]float32
		for i, head := range []int{vocab, size} {
			g, err := m.NewGenerator(context.Background(), runner.GeneratorOptions{DraftHead: head})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Prefill(ids[:20]); err != nil {
				t.Fatal(err)
			}
			for g.Len()+1 < len(ids) {
				n := g.Len()
				if _, err := g.Draft(ids[:n+1], 2, func(logits []float32) int {
					rows[i] = append(rows[i], slices.Clone(logits))
					return 5
				}); err != nil {
					t.Fatal(err)
				}
				if _, err := g.Step(ids[n : n+1]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, row := range rows[1] {
			there := 0
			for id, x := range row {
				switch {
				case !math.IsInf(float64(x), -1):
					there++
					if x != rows[0][i][id] {
						t.Fatalf("draft %d: the logit of token %d is %v instead of %v", i, id, x, rows[0][i][id])
					}
				case id < size/2:
					t.Fatalf("draft %d: token %d is not on the list", i, id)
				}
			}
			if there != size {
				t.Fatalf("draft %d: %d tokens on the list", i, there)
			}
			// The last distinct tokens of the text that are not there for good.
			seen := map[int]bool{}
			for at := 20 + i/2; at >= 0 && len(seen) < size/2; at-- {
				if id := ids[at]; id >= size/2 {
					if math.IsInf(float64(row[id]), -1) {
						t.Fatalf("draft %d: token %d of the text is not on the list", i, id)
					}
					seen[id] = true
				}
			}
		}
	}
}

// Deeper models with layers that add nothing say and draft what the model does that they
// were made of, and cost more.
func TestDeepenedSaysTheSame(t *testing.T) {
	shallow, deeper := open(t, tiny(t)), open(t, deep(t, 5))
	if n := deeper.Config().NumHiddenLayers; n != shallow.Config().NumHiddenLayers+5 {
		t.Fatalf("%d layers", n)
	}
	for _, prompt := range prompts(t, tiny(t), 3) {
		var evs [2]*runner.Evaluation
		for i, m := range []*runner.Model{shallow, deeper} {
			var err error
			if evs[i], err = m.Evaluate(context.Background(), [][]int{prompt}, runner.Options{}); err != nil {
				t.Fatal(err)
			}
			defer evs[i].Close()
		}
		for _, rows := range [][2]*runner.Rows{{evs[0].Hidden, evs[1].Hidden}, {evs[0].MTP, evs[1].MTP}} {
			var states [2][]float32
			for i, r := range rows {
				var err error
				if states[i], err = r.View(0, len(prompt)-1, make([]float32, (len(prompt)-1)*r.Width())); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(states[0], states[1]) {
				t.Error("states differ")
			}
		}
		o := runner.GenerateOptions{MaxTokens: 50, Draft: 1}
		a, sa := generate(t, shallow, prompt, o)
		b, sb := generate(t, deeper, prompt, o)
		if !slices.Equal(a, b) || !slices.Equal(sa.Accepted, sb.Accepted) {
			t.Errorf("%v, %v kept, instead of %v, %v", b, sb.Accepted, a, sa.Accepted)
		}
		if sb.BytesUsed < sa.BytesUsed*3/2 {
			t.Errorf("%d bytes of weights used, %d of the shallow model", sb.BytesUsed, sa.BytesUsed)
		}
	}
}

// Drafts grow while a pass yields more tokens for its time, and end where it yields fewer
// than plain passes would.
func TestDraftingPays(t *testing.T) {
	linear := func(a, b float64) func(int) float64 { return func(k int) float64 { return a + b*float64(k) } }
	for _, x := range []struct {
		name         string
		pass, tokens func(k int) float64
		want         []int
	}{
		{"never", linear(1.4, 0.6), linear(1, 0.8), []int{1, 0}},
		{"one", linear(1, 0.4), func(k int) float64 { return min(1+0.8*float64(k), 2) }, []int{1, 2, 1, 1, 1, 1}},
		{"three", linear(1.1, 0.1), func(k int) float64 { return min(1+0.8*float64(k), 3.4) }, []int{1, 2, 3, 4, 3, 3}},
		{"all", linear(1.1, 0.05), linear(1, 0.9), []int{1, 2, 3, 4, 5, 6, 7, 7, 7, 7}},
	} {
		if got := runner.Lengths(len(x.want)-1, x.pass, x.tokens); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v instead of %v", x.name, got, x.want)
		}
	}
	// A text that changes: what paid no longer does.
	calls := 0
	got := runner.Lengths(6, linear(1.1, 0.1), func(k int) float64 {
		if calls++; calls > 4 {
			return 1.1
		}
		return min(1+0.8*float64(k), 2.6)
	})
	if want := []int{1, 2, 3, 2, 2, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("%v instead of %v", got, want)
	}
}

// What is told of a text that was drafted: costs of all three kinds of passes, and bytes of
// weights as they are.
func TestCostIsMeasured(t *testing.T) {
	m := open(t, tiny(t))
	_, st := generate(t, m, prompts(t, tiny(t), 1)[0], runner.GenerateOptions{MaxTokens: 100, Draft: 1})
	if !st.Cost.Known() || st.SpeedUp() <= 0 {
		t.Fatalf("%+v", st.Cost)
	}
	// A token's weights: attention and router of four layers, the dense block, the shared
	// and four experts of three, the head; norms are F32 in memory.
	attention := 2 * (256*96 + 96*8*48 + 256*80 + 64*8*64 + 256*256)
	plain := 4*attention + 2*3*256*448 + 3*(2*3*256*64*5+4*16*256) + 2*256*2048
	if got := st.Cost.Plain.Bytes; math.Abs(got/float64(plain)-1) > 0.02 {
		t.Errorf("a plain pass uses %.0f bytes of weights, not about %d", got, plain)
	}
	pass, draft := st.Cost.Of(runner.Bytes)
	if pass < 1 || pass > 1.4 || draft < 0.2 || draft > 0.4 {
		t.Errorf("a pass with a draft uses %.2f, a draft %.2f of a plain pass's weights", pass, draft)
	}
	if _, st := generate(t, m, []int{1}, runner.GenerateOptions{MaxTokens: 30, Draft: 1, Temperature: 1}); st.Cost.Known() || st.SpeedUp() != 0 {
		t.Errorf("sampled text: %+v", st.Cost)
	}
}
