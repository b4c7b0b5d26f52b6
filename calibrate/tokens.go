package calibrate

import (
	"sort"

	"quern/calibrate/file"
	"quern/corpus"
	"quern/internal/invalid"
)

// tokens are what a model is run on.
type tokens struct {
	texts  []corpus.Text
	chunks []corpus.Chunk
	ids    [][]int // of the chunks: sequences
	// starts are the rows of all sequences that each begins with, and their number;
	// mtpStarts those of the layer of multi-token prediction, where a sequence has one
	// row less.
	starts, mtpStarts []int
	// number is, by text, its place in the list of those that have tokens, or −1;
	// offsets are the rows that these begin with, and their number.
	number  []int
	offsets []int64
}

func newTokens(texts []corpus.Text, chunks []corpus.Chunk) *tokens {
	c := &tokens{texts: texts, chunks: chunks, starts: []int{0}, mtpStarts: []int{0}, number: make([]int, len(texts)), offsets: []int64{0}}
	for i := range c.number {
		c.number[i] = -1
	}
	for i, k := range chunks {
		c.ids = append(c.ids, k.IDs)
		if c.number[k.Text] < 0 {
			c.number[k.Text] = len(c.offsets) - 1
			c.offsets = append(c.offsets, 0)
		}
		c.starts = append(c.starts, c.starts[i]+len(k.IDs))
		c.mtpStarts = append(c.mtpStarts, c.mtpStarts[i]+max(0, len(k.IDs)-1))
		c.offsets[len(c.offsets)-1] = int64(c.starts[i+1])
	}
	return c
}

// check refuses what a model with so many tokens cannot be run on.
func (c *tokens) check(vocab int) error {
	if len(c.ids) == 0 {
		return invalid.Errorf("there is no text to calibrate on")
	}
	for s, ids := range c.ids {
		if len(ids) == 0 {
			return invalid.Errorf("%q: sequence %d is empty", c.texts[c.chunks[s].Text].Name, s)
		}
		for i, id := range ids {
			if id < 0 || id >= vocab {
				name, at := c.where(s, i)
				return invalid.Errorf("%q: position %d: token id %d is not in the model's vocabulary of %d: are these ids of another tokenizer?", name, at, id, vocab)
			}
		}
	}
	return nil
}

// list describes the texts that have tokens.
func (c *tokens) list() []file.Text {
	out := make([]file.Text, len(c.offsets)-1)
	ids := make([][][]int, len(out))
	for _, k := range c.chunks {
		n := c.number[k.Text]
		t := &out[n]
		t.Name = c.texts[k.Text].Name
		t.Tokens += int64(len(k.IDs))
		t.Sequences++
		t.Longest = max(t.Longest, int64(len(k.IDs)))
		ids[n] = append(ids[n], k.IDs)
	}
	for i := range out {
		out[i].Digest = file.DigestIDs(ids[i])
	}
	return out
}

// each calls fn with the runs of rows, of n from first on, that belong to one text.
func (c *tokens) each(mtp bool, first, n int, fn func(text, at, n int)) {
	starts := c.starts
	if mtp {
		starts = c.mtpStarts
	}
	seq := sort.SearchInts(starts, first+1) - 1
	for at := 0; at < n; {
		for starts[seq+1] <= first+at {
			seq++
		}
		m := min(n-at, starts[seq+1]-first-at)
		fn(c.number[c.chunks[seq].Text], at, m)
		at += m
	}
}

// where says which text a position of a sequence is in, and where there; −1 is the
// token that the sequence begins with and that is not the text's.
func (c *tokens) where(sequence, position int) (name string, at int) {
	k := &c.chunks[sequence]
	if position < k.Shift {
		return c.texts[k.Text].Name, -1
	}
	return c.texts[k.Text].Name, k.Offset + position - k.Shift
}
