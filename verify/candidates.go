package verify

import (
	"fmt"
	"io"

	"quern/internal/ui"
	"quern/verify/metrics"
)

// Candidates are checkpoints that were made from one baseline and judged alike.
type Candidates struct {
	Baseline      string      `json:"baseline"`
	BaselineBytes int64       `json:"baseline_bytes"`
	Passed        bool        `json:"passed"` // all are
	List          []Candidate `json:"candidates"`
}

// Candidate is one of them: what people choose by, and the report that it is from.
type Candidate struct {
	Checkpoint   string          `json:"checkpoint"`
	Quantization string          `json:"quantization"`
	Bytes        int64           `json:"bytes"`
	KLDMean      *metrics.Figure `json:"kld_mean,omitempty"` // nil where no model was run
	KLDMeanError *metrics.Figure `json:"kld_mean_uncertainty,omitempty"`
	SameTop      *metrics.Figure `json:"same_top,omitempty"`
	WorstRole    string          `json:"worst_role,omitempty"` // the one with the least SQNR
	WorstSQNR    *float64        `json:"worst_role_sqnr_db"`   // nil when all are exact
	Passed       bool            `json:"passed"`
	Report       *Report         `json:"report"`
}

// Add takes the report of one more candidate, whose gates have been judged.
func (c *Candidates) Add(r *Report, quantization string) {
	x := Candidate{Checkpoint: r.Checkpoint, Quantization: quantization, Bytes: r.Bytes, Passed: r.Passed, Report: r}
	if m := r.Metrics; m != nil {
		x.KLDMean, x.KLDMeanError, x.SameTop = &m.KLDMean, &m.KLDMeanUncertainty, &m.SameTop
	}
	if w := r.Weights; w != nil {
		for _, role := range w.Roles {
			if role.SQNR != nil && (x.WorstSQNR == nil || *role.SQNR < *x.WorstSQNR) {
				x.WorstRole, x.WorstSQNR = role.Role, role.SQNR
			}
		}
	}
	c.Passed = r.Passed && (c.Passed || len(c.List) == 0)
	c.List = append(c.List, x)
}

// Print writes one table for people, and below it what failed.
func (c *Candidates) Print(w io.Writer) {
	fmt.Fprintf(w, "%d candidates against %s, %s\n\n", len(c.List), c.Baseline, ui.Bytes(c.BaselineBytes))
	var rows [][]string
	for i := range c.List {
		x := &c.List[i]
		kld, same, role := "–", "–", "exact"
		if x.KLDMean != nil {
			kld, same = figure(*x.KLDMean, 3), percentFigure(*x.SameTop)
		}
		if x.WorstSQNR != nil {
			role = x.WorstRole + " " + decibels(x.WorstSQNR) + " dB"
		}
		verdict := "passed"
		if !x.Passed {
			verdict = "FAILED"
		}
		rows = append(rows, []string{x.Checkpoint, ui.Bytes(x.Bytes), kld, same, role, verdict})
	}
	ui.Table(w, []string{"checkpoint", ">size", ">mean KLD", ">same top", "worst role", "gates"}, rows)
	for i := range c.List {
		x := &c.List[i]
		if x.Passed && len(x.Report.Warnings) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", x.Checkpoint)
		for k := range x.Report.Gates {
			g := &x.Report.Gates[k]
			if g.Passed {
				continue
			}
			item(w, g.String())
			for _, f := range g.Failures {
				fmt.Fprintf(w, "    %s\n", ui.Wrap(f, 4, 8))
			}
		}
		for _, s := range x.Report.Warnings {
			item(w, "warning: "+s)
		}
	}
}
