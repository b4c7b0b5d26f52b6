package verify

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"quern/internal/ui"
)

// shownTensors is how many of the worst tensors are printed.
const shownTensors = 5

// Print writes the report for people: a table of gates, what failed below it, and
// the errors of the weights by role.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s tensors, %s\n", r.Checkpoint, ui.Count(int64(r.Tensors)), ui.Bytes(r.Bytes))
	if r.Baseline != "" {
		fmt.Fprintf(w, "against %s\n", r.Baseline)
	}
	fmt.Fprintln(w)
	rows := make([][]string, len(r.Gates))
	for i := range r.Gates {
		rows[i] = r.Gates[i].row()
	}
	ui.Table(w, []string{"gate", "", ">value", ">limit", ""}, rows)
	for i := range r.Gates {
		g := &r.Gates[i]
		if len(g.Failures) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", g.Name)
		for _, f := range g.Failures {
			fmt.Fprintf(w, "  %s\n", f)
		}
	}
	if r.Weights != nil {
		r.Weights.print(w)
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintln(w, "\nwarnings")
		for _, s := range r.Warnings {
			fmt.Fprintf(w, "  %s\n", s)
		}
	}
	fmt.Fprintf(w, "\n%s\n", r.verdict())
}

// verdict is the report in one line.
func (r *Report) verdict() string {
	failed, unchecked := 0, 0
	for i := range r.Gates {
		switch g := &r.Gates[i]; {
		case !g.Passed:
			failed++
		case g.Skipped != "":
			unchecked++
		}
	}
	if failed > 0 {
		return fmt.Sprintf("%d of %d gates failed", failed, len(r.Gates))
	}
	if unchecked > 0 {
		return fmt.Sprintf("all gates passed, %d not checked", unchecked)
	}
	return "all gates passed"
}

// row is g in the table of gates.
func (g *Gate) row() []string {
	if g.Skipped != "" {
		return []string{g.Name, g.status(), "", "", g.Skipped}
	}
	sign := "≤ "
	if g.AtLeast() {
		sign = "≥ "
	}
	value := number(g.Value)
	if math.IsInf(g.Value, 1) {
		value = "exact"
	}
	return []string{g.Name, g.status(), value, sign + number(g.Limit), ""}
}

// print writes the errors by role and the worst tensors.
func (r *WeightsReport) print(w io.Writer) {
	fmt.Fprintf(w, "\nweights: %s quantized, %s compared for equality\n", ui.Count(int64(r.Quantized)), ui.Count(int64(r.Kept)))
	if r.Quantized == 0 {
		return
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, x := range r.Roles {
		rows = append(rows, []string{x.Role, ui.Count(int64(x.Tensors)), decibels(x.SQNR), percent(x.Relative), cosine(x.Cosine), number(x.MaxAbs)})
	}
	ui.Table(w, []string{"role", ">tensors", ">SQNR dB", ">relative", ">cosine", ">max error"}, rows)
	if r.WorstSQNR == nil {
		return
	}
	fmt.Fprintln(w)
	rows = nil
	for _, x := range r.Tensors[:min(shownTensors, len(r.Tensors))] {
		rows = append(rows, []string{x.Name, decibels(x.SQNR), percent(x.Relative), cosine(x.Cosine), number(x.MaxAbs)})
	}
	ui.Table(w, []string{"worst tensors", ">SQNR dB", ">relative", ">cosine", ">max error"}, rows)
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func percent(x float64) string { return strconv.FormatFloat(100*x, 'g', 3, 64) + " %" }

func cosine(x float64) string { return strconv.FormatFloat(x, 'f', 6, 64) }

func decibels(db *float64) string {
	if db == nil {
		return "exact"
	}
	return strconv.FormatFloat(*db, 'f', 2, 64)
}
