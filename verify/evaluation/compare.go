package evaluation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"quern/corpus"
	"quern/internal/invalid"
	"quern/runner"
	"quern/verify/metrics"
)

// Compare runs both models over chunks of texts. Where activations are rounded and quant
// brings static scales for them that engines do not take, static is the same with those,
// else nil; the baseline runs once. Errors that blame a checkpoint or a text match invalid.Input.
func Compare(ctx context.Context, base, quant *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, o Options) (c, static *Comparison, err error) {
	if err := comparable(base, quant); err != nil {
		return nil, nil, err
	}
	x := Hold(base, texts, chunks)
	defer x.Close()
	return x.Compare(ctx, quant, o)
}

// Held is what the baseline makes of the texts, for any number of candidates. It runs
// when the first candidate asks.
type Held struct {
	model   *runner.Model
	texts   []corpus.Text
	chunks  []corpus.Chunk
	first   int // the number of the first chunk
	states  *runner.Evaluation
	seconds float64
	choices *routes
}

// Hold readies the baseline to run over chunks of texts. It has to be closed.
func Hold(base *runner.Model, texts []corpus.Text, chunks []corpus.Chunk) *Held {
	return &Held{model: base, texts: texts, chunks: chunks}
}

// run runs the baseline, unless it has run.
func (x *Held) run(ctx context.Context, o Options) error {
	if x.states != nil {
		return nil
	}
	choices, err := newRoutes(x.model, x.chunks, o.free()/16, o.TempDir)
	if err != nil {
		return err
	}
	o = o.holding(choices.bytes, x.chunks)
	states, seconds, err := timed(ctx, x.model, x.chunks, &o, "running the baseline", "baseline", choices.record(), choices)
	if err != nil {
		choices.close()
		return fmt.Errorf("baseline: %w", err)
	}
	if choices.err != nil {
		states.Close()
		choices.close()
		return choices.err
	}
	x.states, x.seconds, x.choices = states, seconds, choices
	return nil
}

// Close lets go of the hidden states and choices.
func (x *Held) Close() {
	x.states.Close()
	x.choices.close()
}

// Compare runs quant over the same chunks, as the function of this name does.
func (x *Held) Compare(ctx context.Context, quant *runner.Model, o Options) (c, static *Comparison, err error) {
	if err := comparable(x.model, quant); err != nil {
		return nil, nil, err
	}
	w, err := x.ways(ctx, quant, o)
	if err != nil {
		return nil, nil, err
	}
	c, static = w.Comparison(x.texts, x.chunks, o.Worst)
	return c, static, nil
}

// ways runs quant in each way that asked asks for.
func (x *Held) ways(ctx context.Context, quant *runner.Model, asked Options) (*Ways, error) {
	return waysOf(quant, asked, func(o Options, w way) (*Findings, error) { return x.against(ctx, quant, asked, o, w) })
}

// against runs quant once, unless that was done before. The baseline is run as was asked
// for, whichever way of quant is the first that needs it: a run that goes on may begin
// with the second.
func (x *Held) against(ctx context.Context, quant *runner.Model, asked, o Options, w way) (*Findings, error) {
	name := o.Name + w.name
	if f := kept(o.Records, name); f != nil {
		return f, nil
	}
	if err := x.run(ctx, asked); err != nil {
		return nil, err
	}
	base, a, chunks := x.model, x.states, x.chunks
	o = o.holding(x.choices.bytes+a.Bytes(), chunks)
	routing := routings{experts: experts(base), base: x.choices, order: o.Renumbered}
	hooks := routing.compare()
	inputs, err := newInputs(quant)
	if err != nil {
		return nil, err
	}
	gathered := struct {
		Routing *metrics.Routing
		AMax    map[string]float32
	}{Routing: &routing.r}
	if inputs != nil {
		hooks.Input, gathered.AMax = inputs.take, inputs.amax
	}
	b, seconds, err := timed(ctx, quant, chunks, &o, w.what, name, hooks, gobTrail{&gathered})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if routing.err != nil {
		return nil, routing.err
	}
	f := &Findings{Last: len(chunks), Routing: &routing.r, Inputs: inputs.list(), Rows: a.Starts[len(chunks)], Seconds: [2]float64{x.seconds, seconds}}

	o = o.holding(b.Bytes(), nil)
	h := newHeads(ctx, o, base.Vocab())
	of := o // of the baseline's head
	of.Fast = asked.Fast
	rows := scored(chunks, a.Starts)
	main := [2]*states{{rows: a.Hidden, head: base.Head(of.runner("", nil))}, {rows: b.Hidden, head: quant.Head(o.runner("", nil))}}
	var tops [2][]top
	if f.Tokens, tops, err = h.compare(main, rows, chunks, a.Starts); err != nil {
		return nil, err
	}
	if f.MTP = a.MTP != nil && b.MTP != nil; f.MTP {
		for i, m := range []*runner.Model{base, quant} {
			ev := []*runner.Evaluation{a, b}[i]
			d, err := h.drafts(m, ev)
			if err != nil {
				return nil, err
			}
			f.Guesses[i] = guessesOf(ev, d, tops[i])
		}
	}
	f.from(x.first)
	return f, keep(o.Records, name, f)
}

// scored are the rows of an evaluation that are scored, in order.
func scored(chunks []corpus.Chunk, starts []int) []int {
	var rows []int
	for i, c := range chunks {
		for r := c.From; r < c.To; r++ {
			rows = append(rows, starts[i]+r)
		}
	}
	return rows
}

// summarize makes figures of tokens, which are in the order of the scored rows.
func (r *Comparison) summarize(texts []corpus.Text, chunks []corpus.Chunk, tokens []metrics.Token, worst int) {
	positions, ofText := make([]int, 0, len(tokens)), byText(tokens, chunks, len(texts))
	places := make([]place, 0, len(tokens))
	context := 0
	for i := range chunks {
		c := &chunks[i]
		for row := c.From; row < c.To; row++ {
			positions = append(positions, row)
			places = append(places, place{c, row})
		}
		context = max(context, len(c.IDs))
	}
	r.Metrics = metrics.Summarize(tokens)
	r.Positions = metrics.ByPosition(tokens, positions, context)
	r.Histogram = metrics.Histogram(tokens)
	for i, t := range texts {
		r.Texts = append(r.Texts, TextSummary{Name: t.Name, Tokens: len(t.IDs), Metrics: metrics.Summarize(ofText[i])})
	}
	order := make([]int, len(tokens))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := tokens[a].KLD, tokens[b].KLD; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	for _, i := range order[:min(worst, len(order))] {
		r.Worst = append(r.Worst, places[i].worst(&tokens[i]))
	}
}

// byText are the tokens of each text: those of chunks that follow each other where they
// lie.
func byText[T any](tokens []T, chunks []corpus.Chunk, texts int) [][]T {
	out := make([][]T, texts)
	at, begin := 0, 0
	for i, c := range chunks {
		n := c.To - c.From
		if i == 0 || c.Text != chunks[i-1].Text {
			begin = at
		}
		if have := out[c.Text]; len(have) == at-begin {
			out[c.Text] = tokens[begin : at+n : at+n]
		} else {
			out[c.Text] = append(have, tokens[at:at+n]...)
		}
		at += n
	}
	return out
}

// place is where a scored row lies.
type place struct {
	c   *corpus.Chunk
	row int
}

// contextShown is how many tokens before a bad one are told.
const contextShown = 24

func (p place) worst(t *metrics.Token) WorstToken {
	next := p.row + 1
	return WorstToken{
		Text: p.c.Text, Position: p.c.Offset + next - p.c.Shift, Target: t.Target,
		Before: slices.Clone(p.c.IDs[max(p.c.Shift, next-contextShown):max(next, p.c.Shift)]),
		KLD:    metrics.Figure(t.KLD), PBase: metrics.Figure(t.PBase), PQuant: metrics.Figure(t.PQuant), TopBase: t.TopBase, TopQuant: t.TopQuant,
	}
}

// blame makes an error of a logit that is no number.
func blame(err error, chunks []corpus.Chunk, starts []int, row int) error {
	var bad *metrics.NonFinite
	if !errors.As(err, &bad) {
		return err
	}
	i := len(chunks) - 1
	for starts[i] > row {
		i--
	}
	who := "the checkpoint"
	if bad.Base {
		who = "the baseline"
	}
	return invalid.Errorf("the output head of %s gives the logit %v for token %d, text %d, position %d", who, bad.Value, bad.ID, chunks[i].Text, chunks[i].Offset+row-starts[i]-chunks[i].Shift)
}
