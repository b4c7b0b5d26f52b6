package evaluation

import (
	"slices"

	"quern/corpus"
	"quern/internal/invalid"
	"quern/runner"
	"quern/verify/record"
)

// way is how a checkpoint takes the inputs of its weights in one run of it.
type way struct {
	name string // of its records
	what string // is done, for people
}

var (
	// plainly: as they come, or, where that is asked for, rounded as engines do.
	plainly = way{"evaluation", "running the checkpoint"}
	// deployed: rounded as engines do, beside plainly.
	deployed = way{"evaluation-deployed", "running the checkpoint as engines do"}
	// statically: by scales that the checkpoint brings and no engine takes.
	statically = way{"evaluation-static", "running the checkpoint with its own scales"}
)

// Ways are the findings of one checkpoint by the way that it was run. Those that were not
// asked for are nil.
type Ways struct {
	Plain, Deployed, Static *Findings
	Rounded                 []Rounded // by rule, what engines do to its inputs
}

// waysOf calls run for each way that o asks for and quant has.
func waysOf(quant *runner.Model, o Options, run func(Options, way) (*Findings, error)) (*Ways, error) {
	w := &Ways{}
	var err error
	if w.Plain, err = run(o, plainly); err != nil {
		return nil, err
	}
	if w.Rounded, err = rounded(quant); err != nil {
		return nil, err
	}
	o.held += foundBytes * int64(len(w.Plain.Tokens)+len(w.Plain.Alone))
	switch {
	case o.Deployment && !o.Emulate && quant.RoundsInputs():
		o.Emulate = true
		w.Deployed, err = run(o, deployed)
	case o.Emulate && quant.HasSpareScales():
		o.StaticScales = true
		w.Static, err = run(o, statically)
	}
	return w, err
}

// Comparison makes figures of the findings of all chunks: static is nil where there are
// none of that way.
func (w *Ways) Comparison(texts []corpus.Text, chunks []corpus.Chunk, worst int) (c, static *Comparison) {
	c = w.Plain.Comparison(texts, chunks, worst)
	c.Rounded = w.Rounded
	if w.Deployed != nil {
		c.Deployment = w.Deployed.Comparison(texts, chunks, worst)
	}
	if w.Static != nil {
		static = w.Static.Comparison(texts, chunks, worst)
	}
	return c, static
}

// Single makes figures of the findings of all chunks with one model.
func (w *Ways) Single(texts []corpus.Text, chunks []corpus.Chunk) *Single {
	s := w.Plain.Single(texts, chunks)
	s.Rounded = w.Rounded
	if w.Deployed != nil {
		s.Deployment = w.Deployed.Single(texts, chunks)
	}
	return s
}

// Merged are the findings of all tasks about quant, beside a baseline or alone, as those
// of one run. What does not go together matches invalid.Input, and so does what kept a
// task from running its models.
func Merged(books []*record.Book, quant *runner.Model, chunks []corpus.Chunk, beside bool) (*Ways, error) {
	for _, b := range books {
		if text, ok := b.Get(failedName); ok {
			return nil, invalid.Errorf("%s", text)
		}
	}
	w := &Ways{}
	var err error
	if w.Rounded, err = rounded(quant); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		way
		to **Findings
	}{{plainly, &w.Plain}, {deployed, &w.Deployed}, {statically, &w.Static}} {
		has := func(b *record.Book) bool { _, ok := b.Get(x.name); return ok }
		if x.way != plainly && !slices.ContainsFunc(books, has) {
			continue
		}
		f, err := join(books, x.name)
		if err != nil {
			return nil, err
		}
		if !f.of(chunks, beside) {
			return nil, errApart
		}
		*x.to = f
	}
	return w, nil
}
