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
// brings static scales for them, static is the same with those, else nil; the baseline
// runs once. Errors that blame a checkpoint or a text match invalid.Input.
func Compare(ctx context.Context, base, quant *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, o Options) (c, static *Comparison, err error) {
	if err := comparable(base, quant); err != nil {
		return nil, nil, err
	}
	x, err := Hold(ctx, base, texts, chunks, o)
	if err != nil {
		return nil, nil, err
	}
	defer x.Close()
	return x.Compare(ctx, quant, o)
}

// Held is what the baseline makes of the texts, for any number of candidates.
type Held struct {
	model   *runner.Model
	texts   []corpus.Text
	chunks  []corpus.Chunk
	states  *runner.Evaluation
	speed   metrics.Figure
	choices routes
}

// Hold runs the baseline over chunks of texts. It has to be closed.
func Hold(ctx context.Context, base *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, o Options) (*Held, error) {
	x := &Held{model: base, texts: texts, chunks: chunks, choices: routes{}}
	var err error
	if x.states, x.speed, err = timed(ctx, base, chunks, o.runner("running the baseline", x.choices.record())); err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	return x, nil
}

// Close lets go of the hidden states.
func (x *Held) Close() { x.states.Close() }

// Compare runs quant over the same chunks, as the function of this name does.
func (x *Held) Compare(ctx context.Context, quant *runner.Model, o Options) (c, static *Comparison, err error) {
	if err := comparable(x.model, quant); err != nil {
		return nil, nil, err
	}
	if c, err = x.against(ctx, quant, o); err != nil || !o.FP8Activations || !quant.HasStaticScales() {
		return c, nil, err
	}
	o.StaticScales = true
	static, err = x.against(ctx, quant, o)
	return c, static, err
}

// against runs quant once.
func (x *Held) against(ctx context.Context, quant *runner.Model, o Options) (*Comparison, error) {
	base, a, chunks := x.model, x.states, x.chunks
	r := &Comparison{}
	r.TokensPerSecond[0] = x.speed
	routing := routings{experts: experts(base), base: x.choices, order: o.Renumbered}
	hooks := routing.compare()
	inputs, err := newInputs(quant)
	if err != nil {
		return nil, err
	}
	if inputs != nil {
		hooks.Input = inputs.take
	}
	b, speed, err := timed(ctx, quant, chunks, o.runner("running the checkpoint", hooks))
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r.Inputs = inputs.list()
	if routing.err != nil {
		return nil, routing.err
	}
	r.TokensPerSecond[1] = speed
	r.Routing = routing.report()

	h := newHeads(ctx, o, base.Vocab())
	rows := scored(chunks, a.Starts)
	main := [2]*states{{rows: a.Hidden, head: base.Head(o.runner("", nil))}, {rows: b.Hidden, head: quant.Head(o.runner("", nil))}}
	tokens, tops, err := h.compare(main, rows, chunks, a.Starts)
	if err != nil {
		return nil, err
	}
	if a.MTP != nil && b.MTP != nil {
		if r.MTP, err = h.acceptance([2]*runner.Model{base, quant}, [2]*runner.Evaluation{a, b}, tops); err != nil {
			return nil, err
		}
	}
	r.summarize(x.texts, chunks, tokens, o.Worst)
	return r, nil
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
	positions, byText := make([]int, 0, len(tokens)), make([][]metrics.Token, len(texts))
	places := make([]place, 0, len(tokens))
	at, context := 0, 0
	for i := range chunks {
		c := &chunks[i]
		for row := c.From; row < c.To; row++ {
			positions = append(positions, row)
			places = append(places, place{c, row})
		}
		n := c.To - c.From
		byText[c.Text] = append(byText[c.Text], tokens[at:at+n]...)
		at += n
		context = max(context, len(c.IDs))
	}
	r.Metrics = metrics.Summarize(tokens)
	r.Positions = metrics.ByPosition(tokens, positions, context)
	r.Histogram = metrics.Histogram(tokens)
	for i, t := range texts {
		r.Texts = append(r.Texts, TextSummary{Name: t.Name, Tokens: len(t.IDs), Metrics: metrics.Summarize(byText[i])})
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
