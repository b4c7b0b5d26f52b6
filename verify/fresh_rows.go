package verify

import (
	"bytes"
	"context"
	"errors"

	"quern/convert/plan"
	"quern/fp8"
	"quern/scheme"
)

// rowsAnew codes the baseline by the rule of a scheme whose parts are whole rows.
type rowsAnew struct {
	s       *scheme.Scheme
	job     scheme.Job
	outputs []scheme.Output
	coder   scheme.Coder // as the candidate was made
	plain   scheme.Coder // without a search; nil where coder is
	outs    [][]byte
	known   bool // the largest magnitude is, of schemes that begin with it
	// bounded: the search went by a calibration that is not at hand, and plain loses as
	// much as it may have; weighted: it is at hand, and coder says what it gives.
	bounded, weighted bool
}

// rows is the fresh quantization of codes of a scheme by whole rows. The settings are
// those that were found, and what the candidate's manifest says of others.
func (r *recipe) rows(s *scheme.Scheme, found scheme.Params, base *baseline, t *plan.Tensor) *freshCheck {
	c := &freshCheck{options: &r.options, why: r.why, partners: []*baseline{base}}
	if s.Coder == nil {
		c.why = "a form that quern does not write"
		return c
	}
	params := found
	for _, set := range r.settings {
		with := params
		set(&with)
		if s.Check(with, max(base.rows, 1), max(base.cols, 1)) == nil {
			params = with
		}
	}
	a := &rowsAnew{s: s, job: scheme.Job{Params: params, Rows: base.rows, Cols: base.cols}}
	if a.job.Search == fp8.SearchWeighted {
		if a.job.Channels = r.squares(t); a.job.Channels == nil {
			a.job.Search = fp8.SearchMSE
		}
		a.weighted = a.job.Channels != nil
	} else if r.weighted {
		params.Search = fp8.SearchMSE
		a.bounded = s.Check(params, max(base.rows, 1), max(base.cols, 1)) == nil
	}
	c.byRows = a
	if c.why == "" && base.scaled != nil {
		c.why = "the baseline is FP8, whose values may have been cast"
	}
	if c.why == "" && base.written != nil {
		c.why = "the baseline is quantized, and its values may have been cast"
	}
	return c
}

// begin makes the coders.
func (a *rowsAnew) begin(ctx context.Context, c *freshCheck) error {
	if a.s.Survey && !a.known {
		for _, b := range c.partners {
			most, err := b.largest(ctx)
			if err != nil {
				return err
			}
			a.job.Amax = max(a.job.Amax, most)
		}
		a.known = true
	}
	a.outputs = a.s.Outputs(a.job.Params, a.job.Rows, a.job.Cols)
	a.outs = make([][]byte, len(a.outputs))
	searched := a.job.Search != fp8.SearchNone
	plain := a.job
	plain.Search = fp8.SearchNone
	if a.bounded {
		plain.Search, plain.Worst = fp8.SearchMSE, true
	}
	var err error
	if a.plain, err = a.s.Coder(&plain); err != nil || !searched || c.why != "" {
		a.coder, a.plain = a.plain, nil
		return err
	}
	a.coder, err = a.s.Coder(&a.job)
	return err
}

// rows compares some rows: in are the candidate's bytes of each output. It reports
// whether all of them are the same.
func (c *freshCheck) rows(ctx context.Context, _ *worker, p scheme.Part, m fp8.Matrix, in [][]byte) (same bool, err error) {
	a := c.byRows
	if a == nil || c.none {
		return false, nil
	}
	if a.coder == nil {
		if err := a.begin(ctx, c); err != nil {
			return false, err
		}
	}
	for n := range a.outputs {
		a.outs[n] = grown(a.outs[n], a.outputs[n].Size(p))[:a.outputs[n].Size(p)]
	}
	for _, coder := range []scheme.Coder{a.plain, a.coder} { // what is compared comes last
		if coder == nil {
			continue
		}
		switch err := coder.Code(a.outs, p, m); {
		case errors.Is(err, scheme.ErrNonFinite):
			c.none = true
			return false, nil
		case err != nil:
			return false, err
		}
	}
	if c.why != "" {
		return false, nil
	}
	same = true
	for n := range a.outs {
		if a.outputs[n].Whole() || bytes.Equal(a.outs[n], in[n]) {
			continue
		}
		same = false
		c.count(n, a.outs[n], in[n], int(max(a.outputs[n].Bits/8, 1)))
	}
	return same, nil
}

// count counts the elements of output n that differ; of codes that share a byte, bytes.
func (c *freshCheck) count(n int, a, b []byte, size int) {
	for i := 0; i+size <= len(a) && i+size <= len(b); i += size {
		if bytes.Equal(a[i:i+size], b[i:i+size]) {
			continue
		}
		if n == 0 {
			c.codes++
		} else {
			c.scales++
		}
	}
}

// end compares what belongs to the whole matrix, and keeps the statistics of the plain
// rule.
func (c *freshCheck) end(whole [][]byte) error {
	a := c.byRows
	if a == nil || a.coder == nil || c.none {
		return nil
	}
	for n := range a.outputs {
		if a.outputs[n].Whole() && c.why == "" && n < len(whole) {
			c.count(n, a.coder.Whole(n), whole[n], int(max(a.outputs[n].Bits/8, 1)))
		}
	}
	coder := a.coder
	if a.plain != nil && !a.weighted {
		coder = a.plain
	}
	c.stats = coder.Stats().Stats
	a.coder, a.plain, a.outs = nil, nil, nil
	return nil
}

// of says what sqnr is, "" of what the plain rule gives.
func (c *freshCheck) of() string {
	switch a := c.byRows; {
	case a == nil && c.why == "" && c.options.Search == fp8.SearchWeighted, a != nil && a.weighted:
		return "what the search by the calibration gives"
	case a != nil && a.bounded:
		return "the least that a search by some calibration gives; --calibration FILE repeats it"
	}
	return ""
}
