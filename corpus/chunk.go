package corpus

import (
	"fmt"

	"quern/internal/invalid"
)

// Text is a text as token ids.
type Text struct {
	Name string
	IDs  []int
}

// Chunk is what a model sees at once: a piece of a text, and which of its rows are
// scored.
type Chunk struct {
	Text   int // index of the text
	Offset int // of the token in the text that IDs[Shift] is
	Shift  int // how many tokens IDs begins with that are not the text's
	IDs    []int
	// Rows From to To−1 are scored: row i predicts IDs[i+1].
	From, To int
}

// The ways to score.
const (
	ScoreAll        = "all"
	ScoreSecondHalf = "second-half"
)

// ChunkOptions say how texts are cut.
type ChunkOptions struct {
	Context int    // tokens of a chunk, Prefix included; at least 4, and 3 more than that
	Prefix  []int  // put in front of every chunk: BOS, or what else the tokenizer adds
	Score   string // ScoreAll: every token of every text once; ScoreSecondHalf: as llama-perplexity
	Tokens  int    // of all texts together at most; 0: all
}

// Chunks cuts texts. Each chunk begins anew, with the prefix, and nothing is in two
// chunks. With ScoreAll the last chunk of a text may be short; without a prefix the
// first token of a chunk is not scored. With ScoreSecondHalf only whole chunks count,
// their first tokens are replaced by the prefix, and their second half is scored. A text
// without tokens matches invalid.Input.
func Chunks(texts []Text, o ChunkOptions) ([]Chunk, error) {
	if o.Context < 4 {
		return nil, fmt.Errorf("a context of %d tokens is too short: at least 4", o.Context)
	}
	if n := len(o.Prefix); o.Context < n+3 {
		return nil, fmt.Errorf("a context of %d tokens is too short: the tokenizer puts %d in front, and 3 more are needed", o.Context, n)
	}
	var out []Chunk
	left := o.Tokens
	for i, t := range texts {
		ids := t.IDs
		if len(ids) == 0 {
			return nil, invalid.Errorf("%q: the text has no tokens", t.Name)
		}
		if o.Tokens > 0 {
			ids = ids[:min(len(ids), left)]
			left -= len(ids)
		}
		switch o.Score {
		case ScoreAll:
			out = append(out, all(i, ids, o)...)
		case ScoreSecondHalf:
			out = append(out, secondHalf(i, ids, o)...)
		default:
			return nil, fmt.Errorf("scoring %q is not known; use %s or %s", o.Score, ScoreAll, ScoreSecondHalf)
		}
	}
	scored := 0
	for _, c := range out {
		scored += c.To - c.From
	}
	if scored == 0 {
		return nil, invalid.Errorf("the texts are too short: no token of them would be scored with a context of %d", o.Context)
	}
	return out, nil
}

func all(text int, ids []int, o ChunkOptions) []Chunk {
	var out []Chunk
	for at := 0; at < len(ids); {
		c := Chunk{Text: text, Offset: at}
		c.IDs, c.Shift = append(c.IDs, o.Prefix...), len(o.Prefix)
		c.From = max(c.Shift-1, 0) // a prefix of several is not predicted
		n := min(o.Context-len(c.IDs), len(ids)-at)
		c.IDs = append(c.IDs, ids[at:at+n]...)
		c.To = len(c.IDs) - 1
		at += n
		out = append(out, c)
	}
	return out
}

func secondHalf(text int, ids []int, o ChunkOptions) []Chunk {
	var out []Chunk
	for at := 0; at+o.Context <= len(ids); at += o.Context {
		c := Chunk{Text: text, Offset: at, IDs: append([]int(nil), ids[at:at+o.Context]...), From: o.Context / 2, To: o.Context - 1}
		copy(c.IDs, o.Prefix)
		c.From = max(c.From, len(o.Prefix)-1)
		out = append(out, c)
	}
	return out
}

// Whole makes a chunk of each sequence, as it is: for token ids that are given.
func Whole(texts []Text) []Chunk {
	out := make([]Chunk, len(texts))
	for i, t := range texts {
		out[i] = Chunk{Text: i, IDs: t.IDs, To: max(len(t.IDs)-1, 0)}
	}
	return out
}

// Sequences are the ids of chunks.
func Sequences(chunks []Chunk) [][]int {
	out := make([][]int, len(chunks))
	for i, c := range chunks {
		out[i] = c.IDs
	}
	return out
}
