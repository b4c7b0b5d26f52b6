package corpus

import (
	"errors"
	"slices"
	"testing"

	"quern/internal/invalid"
)

func count(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i + 10
	}
	return ids
}

// Every token is scored exactly once when there is a prefix; without one the first of
// each chunk is not.
func TestChunksScoreAll(t *testing.T) {
	for _, prefix := range [][]int{nil, {3}, {3, 5}} {
		for _, n := range []int{1, 2, 6, 7, 8, 13, 14, 15, 100} {
			texts := []Text{{"a", count(n)}, {"b", count(5)}}
			chunks, err := Chunks(texts, ChunkOptions{Context: 7, Prefix: prefix, Score: ScoreAll})
			if err != nil {
				t.Fatal(err)
			}
			var seen [2][]int
			for _, c := range chunks {
				if len(c.IDs) > 7 || c.From != max(len(prefix)-1, 0) || c.To != len(c.IDs)-1 {
					t.Errorf("chunk %+v", c)
				}
				if c.Shift != len(prefix) || !slices.Equal(c.IDs[:c.Shift], prefix) {
					t.Errorf("chunk begins with %d", c.IDs[:c.Shift])
				}
				if !slices.Equal(c.IDs[c.Shift:], texts[c.Text].IDs[c.Offset:][:len(c.IDs)-c.Shift]) {
					t.Errorf("chunk %+v is not the text at its offset", c)
				}
				first := c.From
				if prefix == nil {
					first = -1 // not scored, but seen
				}
				for r := first; r < c.To; r++ {
					seen[c.Text] = append(seen[c.Text], c.IDs[r+1])
				}
			}
			for i, s := range seen {
				if !slices.Equal(s, texts[i].IDs) {
					t.Errorf("prefix %d, %d tokens: text %d is seen as %v", prefix, n, i, s)
				}
			}
		}
	}
}

// llama-perplexity scores n_ctx/2 … n_ctx−2 of whole chunks.
func TestChunksSecondHalf(t *testing.T) {
	chunks, err := Chunks([]Text{{"a", count(30)}}, ChunkOptions{Context: 8, Prefix: []int{3}, Score: ScoreSecondHalf})
	if err != nil || len(chunks) != 3 {
		t.Fatal(chunks, err)
	}
	for i, c := range chunks {
		want := count(30)[8*i:][:8]
		want[0] = 3
		if !slices.Equal(c.IDs, want) || c.From != 4 || c.To != 7 || c.Shift != 0 || c.Offset != 8*i {
			t.Errorf("%+v", c)
		}
	}
}

func TestChunksLimit(t *testing.T) {
	chunks, err := Chunks([]Text{{"a", count(10)}, {"b", count(10)}, {"c", count(10)}}, ChunkOptions{Context: 6, Prefix: []int{3}, Score: ScoreAll, Tokens: 13})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range chunks {
		n += c.To - c.From
		if c.Text == 2 {
			t.Error("a text beyond the limit")
		}
	}
	if n != 13 {
		t.Errorf("%d tokens", n)
	}
}

func TestChunksRefuse(t *testing.T) {
	for _, texts := range [][]Text{{{"empty", nil}}, {{"a", count(9)}, {"b", nil}}} {
		if _, err := Chunks(texts, ChunkOptions{Context: 8, Score: ScoreAll}); !errors.Is(err, invalid.Input) {
			t.Error(err)
		}
	}
	if _, err := Chunks([]Text{{"short", count(7)}}, ChunkOptions{Context: 8, Prefix: []int{1}, Score: ScoreSecondHalf}); !errors.Is(err, invalid.Input) {
		t.Error(err)
	}
	for _, o := range []ChunkOptions{{Context: 3, Score: ScoreAll}, {Context: 8, Score: "most"}} {
		if _, err := Chunks([]Text{{"a", count(9)}}, o); err == nil || errors.Is(err, invalid.Input) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
