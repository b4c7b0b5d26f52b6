package verify

import (
	"fmt"
	"io"
	"slices"

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
	// The same with inputs rounded as engines do: of checkpoints whose engines do, and
	// runs that emulated it.
	DeploymentKLD      *metrics.Figure `json:"kld_mean_deployment,omitempty"`
	DeploymentKLDError *metrics.Figure `json:"kld_mean_deployment_uncertainty,omitempty"`
	DeploymentSameTop  *metrics.Figure `json:"same_top_deployment,omitempty"`
	WorstRole          string          `json:"worst_role,omitempty"` // the one with the least SQNR
	WorstSQNR          *float64        `json:"worst_role_sqnr_db"`   // nil when all are exact
	Passed             bool            `json:"passed"`
	Report             *Report         `json:"report"`
}

// Add takes the report of one more candidate, whose gates have been judged.
func (c *Candidates) Add(r *Report, quantization string) {
	x := Candidate{Checkpoint: r.Checkpoint, Quantization: quantization, Bytes: r.Bytes, Passed: r.Passed, Report: r}
	if m := r.Metrics; m != nil {
		x.KLDMean, x.KLDMeanError, x.SameTop = &m.KLDMean, &m.KLDMeanUncertainty, &m.SameTop
	}
	if m := r.Deployment; m != nil {
		x.DeploymentKLD, x.DeploymentKLDError, x.DeploymentSameTop = &m.KLDMean, &m.KLDMeanUncertainty, &m.SameTop
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

// Deployed reports whether any of them was also run with its inputs rounded.
func (c *Candidates) Deployed() bool {
	return slices.ContainsFunc(c.List, func(x Candidate) bool { return x.DeploymentKLD != nil })
}

// agreement are two figures for a table.
func agreement(kld, same *metrics.Figure) (string, string) {
	if kld == nil {
		return "–", "–"
	}
	return figure(*kld, 3), percentFigure(*same)
}

// Print writes one table for people, and below it what failed.
func (c *Candidates) Print(w io.Writer) {
	fmt.Fprintf(w, "%d candidates against %s, %s\n\n", len(c.List), c.Baseline, ui.Bytes(c.BaselineBytes))
	var rows [][]string
	for i := range c.List {
		x := &c.List[i]
		role := "exact"
		kld, same := agreement(x.KLDMean, x.SameTop)
		deployed, alike := agreement(x.DeploymentKLD, x.DeploymentSameTop)
		if x.WorstSQNR != nil {
			role = x.WorstRole + " " + decibels(x.WorstSQNR) + " dB"
		}
		verdict := "passed"
		if !x.Passed {
			verdict = "FAILED"
		}
		row := []string{x.Checkpoint, ui.Bytes(x.Bytes), kld, same}
		if c.Deployed() {
			row = append(row, deployed, alike)
		}
		rows = append(rows, append(row, role, verdict))
	}
	head := []string{"checkpoint", ">size", ">mean KLD", ">same top"}
	if c.Deployed() {
		head = append(head, ">deployed KLD", ">same top")
	}
	ui.Table(w, append(head, "worst role", "gates"), rows)
	if c.Deployed() {
		fmt.Fprintln(w, "\n"+ui.Wrap("deployed: with inputs rounded as engines do; – where they take them as they come", 0, 2))
	}
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
