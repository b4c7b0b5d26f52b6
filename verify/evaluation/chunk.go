package evaluation

import (
	"fmt"

	"quern/formats"
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
	Shift  int // 1 if IDs begins with a token that is not the text's
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
	Context int    // tokens of a chunk, BOS included; at least 4
	BOS     int    // put in front of every chunk; −1: none
	Score   string // ScoreAll: every token of every text once; ScoreSecondHalf: as llama-perplexity
	Tokens  int    // of all texts together at most; 0: all
}

// Chunks cuts texts. Each chunk begins anew, with BOS if there is one, and nothing is
// in two chunks. With ScoreAll the last chunk of a text may be short; without BOS the
// first token of a chunk is not scored. With ScoreSecondHalf only whole chunks count,
// their first token is replaced by BOS, and their second half is scored. A text
// without tokens matches formats.ErrInvalid.
func Chunks(texts []Text, o ChunkOptions) ([]Chunk, error) {
	if o.Context < 4 {
		return nil, fmt.Errorf("a context of %d tokens is too short: at least 4", o.Context)
	}
	var out []Chunk
	left := o.Tokens
	for i, t := range texts {
		ids := t.IDs
		if len(ids) == 0 {
			return nil, formats.Invalidf("%q: the text has no tokens", t.Name)
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
		return nil, formats.Invalidf("the texts are too short: no token of them would be scored with a context of %d", o.Context)
	}
	return out, nil
}

func all(text int, ids []int, o ChunkOptions) []Chunk {
	var out []Chunk
	for at := 0; at < len(ids); {
		c := Chunk{Text: text, Offset: at}
		if o.BOS >= 0 {
			c.IDs, c.Shift = append(c.IDs, o.BOS), 1
		}
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
		if o.BOS >= 0 {
			c.IDs[0] = o.BOS
		}
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

// sequences are the ids of chunks.
func sequences(chunks []Chunk) [][]int {
	out := make([][]int, len(chunks))
	for i, c := range chunks {
		out[i] = c.IDs
	}
	return out
}
