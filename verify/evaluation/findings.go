package evaluation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"slices"

	"quern/corpus"
	"quern/internal/invalid"
	"quern/runner"
	"quern/verify/metrics"
	"quern/verify/record"
)

// Findings are what models make of some of the chunks, token by token: all that figures
// are made of. Those of all chunks, whoever found them, give the figures of one run.
type Findings struct {
	First, Last int // chunks from First up to Last, without Last

	Tokens  []metrics.Token    // of two models, in the order of the scored rows
	Alone   []metrics.OneToken // or of one
	MTP     bool               // there is multi-token prediction, of two models in both
	Guesses [2]Guesses         // of baseline and checkpoint; of one model the second
	Routing *metrics.Routing
	Load    map[int][]int64 // by layer, of one model
	Inputs  []InputScale

	Rows    int        // that were run
	Seconds [2]float64 // of baseline and checkpoint
}

// Guesses are the tokens that an MTP layer drafts, what the main model says one position
// later, and the number of the chunk that they stand in.
type Guesses struct{ Draft, Main, Chunk []int }

// rate is how often drafts are taken.
func (g *Guesses) rate() metrics.AcceptanceRate {
	return metrics.Acceptance(g.Draft, g.Main, g.Chunk)
}

func (g *Guesses) take(other *Guesses) {
	g.Draft, g.Main, g.Chunk = append(g.Draft, other.Draft...), append(g.Main, other.Main...), append(g.Chunk, other.Chunk...)
}

// from moves the numbers of chunks, which are those of all chunks.
func (f *Findings) from(first int) {
	f.First, f.Last = f.First+first, f.Last+first
	for i := range f.Tokens {
		f.Tokens[i].Chunk += first
	}
	for i := range f.Alone {
		f.Alone[i].Chunk += first
	}
	for k := range f.Guesses {
		for i := range f.Guesses[k].Chunk {
			f.Guesses[k].Chunk[i] += first
		}
	}
}

// failedName is the record of what kept a task from running its models.
const failedName = "evaluation-failed"

// keep writes findings into a book.
func keep(b *record.Book, name string, f *Findings) error {
	if b == nil {
		return nil
	}
	var w bytes.Buffer
	if err := gob.NewEncoder(&w).Encode(f); err != nil {
		return err
	}
	b.Put(name, w.Bytes())
	return nil
}

// kept are the findings of a name, nil if a book has none.
func kept(b *record.Book, name string) *Findings {
	raw, ok := b.Get(name)
	if !ok {
		return nil
	}
	f := &Findings{}
	if gob.NewDecoder(bytes.NewReader(raw)).Decode(f) != nil {
		return nil
	}
	return f
}

// Failed keeps an error that blames the input, for the merge, which knows whether the
// weights have told already.
func Failed(b *record.Book, err error) { b.Put(failedName, []byte(err.Error())) }

// of reports whether findings are about each scored token of all chunks.
func (f *Findings) of(chunks []corpus.Chunk, beside bool) bool {
	alone, both := 0, 0
	for _, c := range chunks {
		alone += c.To - c.From
	}
	if beside {
		alone, both = 0, alone
	}
	return f.Last == len(chunks) && len(f.Alone) == alone && len(f.Tokens) == both
}

// join puts the findings of a name together, in the order of the chunks.
func join(books []*record.Book, name string) (*Findings, error) {
	var all []*Findings
	for _, b := range books {
		if _, ok := b.Get(name); !ok {
			continue // of a task without chunks
		}
		f := kept(b, name)
		if f == nil {
			return nil, invalid.Errorf("the parts are of another version of quern")
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *Findings) int { return cmp.Compare(a.First, b.First) })
	out := &Findings{Routing: &metrics.Routing{}}
	sums := loads{}
	for _, f := range all {
		if f.First != out.Last {
			return nil, errApart
		}
		out.Last = f.Last
		out.Tokens, out.Alone = append(out.Tokens, f.Tokens...), append(out.Alone, f.Alone...)
		out.MTP = f.MTP
		for k := range out.Guesses {
			out.Guesses[k].take(&f.Guesses[k])
		}
		if f.Routing != nil {
			if err := out.Routing.Take(f.Routing.Choices()); err != nil {
				return nil, err
			}
		}
		sums.take(f.Load)
		if out.Inputs == nil {
			out.Inputs = slices.Clone(f.Inputs)
		}
		for i := range min(len(out.Inputs), len(f.Inputs)) {
			out.Inputs[i].AMax = max(out.Inputs[i].AMax, f.Inputs[i].AMax)
		}
		out.Rows += f.Rows
		for k := range out.Seconds {
			out.Seconds[k] += f.Seconds[k]
		}
	}
	out.Load = sums
	return out, nil
}

var errApart = invalid.Errorf("the parts do not have each chunk of the texts once")

// speed is tokens in a second.
func (f *Findings) speed(k int) metrics.Figure {
	return metrics.Figure(float64(f.Rows) / f.Seconds[k])
}

// Comparison makes figures of the findings of all chunks.
func (f *Findings) Comparison(texts []corpus.Text, chunks []corpus.Chunk, worst int) *Comparison {
	r := &Comparison{Inputs: f.Inputs, TokensPerSecond: [2]metrics.Figure{f.speed(0), f.speed(1)}}
	if f.Routing != nil && len(f.Routing.Choices()) > 0 {
		rep := f.Routing.Report()
		r.Routing = &rep
	}
	if f.MTP {
		g := &f.Guesses
		base, quant := g[0].rate(), g[1].rate()
		_, uncertainty := metrics.Drop([2][]int{g[0].Draft, g[1].Draft}, [2][]int{g[0].Main, g[1].Main}, g[0].Chunk)
		r.MTP = &MTP{
			Tokens: base.Tokens, AcceptanceBase: base.Rate, UncertaintyBase: base.Uncertainty,
			AcceptanceQuant: quant.Rate, UncertaintyQuant: quant.Uncertainty, UncertaintyDrop: uncertainty,
		}
	}
	r.summarize(texts, chunks, f.Tokens, worst)
	return r
}

// Single makes figures of the findings of all chunks with one model.
func (f *Findings) Single(texts []corpus.Text, chunks []corpus.Chunk) *Single {
	r := &Single{TokensPerSecond: f.speed(1), Load: loads(f.Load).list()}
	if f.MTP {
		rate := f.Guesses[1].rate()
		r.MTP = &rate
	}
	r.Metrics = metrics.SummarizeOne(f.Alone)
	ofText := byText(f.Alone, chunks, len(texts))
	for i, t := range texts {
		r.Texts = append(r.Texts, SingleText{Name: t.Name, Tokens: len(t.IDs), Metrics: metrics.SummarizeOne(ofText[i])})
	}
	return r
}

// Share runs one model (base nil) or two over chunks first to last−1 and keeps the
// findings in o.Records, for Merged.
func Share(ctx context.Context, base, quant *runner.Model, chunks []corpus.Chunk, first, last int, o Options) error {
	if first == last {
		return nil
	}
	mine := chunks[first:last]
	if base == nil {
		_, err := alone(ctx, quant, mine, first, o)
		return err
	}
	if err := comparable(base, quant); err != nil {
		return err
	}
	x := &Held{model: base, chunks: mine, first: first}
	defer x.Close()
	_, err := x.ways(ctx, quant, o)
	return err
}
