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
	if r.Tensors > 0 {
		fmt.Fprintln(w, ui.Wrap(fmt.Sprintf("%s: %s tensors, %s", r.Checkpoint, ui.Count(int64(r.Tensors)), ui.Bytes(r.Bytes)), 0, 2))
	} else {
		fmt.Fprintln(w, r.Checkpoint) // an outputs file
	}
	if r.Baseline != "" {
		fmt.Fprintf(w, "against %s\n", r.Baseline)
	}
	if n := r.Renumbered; n != nil {
		fmt.Fprintf(w, "experts are renumbered: %s of %s in %d layers have another number there\n", ui.Count(int64(n.Moved)), ui.Count(int64(n.Experts)), n.Layers)
	}
	fmt.Fprintln(w)
	rows := make([][]string, len(r.Gates))
	for i := range r.Gates {
		rows[i] = r.Gates[i].row()
	}
	ui.Table(w, []string{"gate", "", ">value", "", ">limit", ""}, rows)
	for i := range r.Gates {
		g := &r.Gates[i]
		if len(g.Failures) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", g.Name)
		for _, f := range g.Failures {
			item(w, f)
		}
	}
	if r.Weights != nil {
		r.Weights.print(w)
	}
	r.LowBlocks.print(w)
	r.Behaviour.print(w)
	r.printEngines(w)
	if len(r.Warnings) > 0 {
		fmt.Fprintln(w, "\nwarnings")
		for _, s := range r.Warnings {
			item(w, s)
		}
	}
	fmt.Fprintf(w, "\n%s\n", ui.Wrap(r.verdict(), 0, 2))
}

// verdict is the report in one line.
func (r *Report) verdict() string {
	failed, unchecked, undecided := 0, 0, 0
	for i := range r.Gates {
		switch g := &r.Gates[i]; {
		case !g.Passed:
			failed++
		case g.Skipped != "":
			unchecked++
		case g.Undecided != "":
			undecided++
		}
	}
	if failed > 0 {
		return fmt.Sprintf("%d of %d gates failed", failed, len(r.Gates))
	}
	if undecided > 0 {
		return fmt.Sprintf("no gate failed, but %d of %d lack evidence%s", undecided, len(r.Gates), r.lack())
	}
	if unchecked > 0 {
		return fmt.Sprintf("all gates passed, %d not checked", unchecked)
	}
	return "all gates passed"
}

// lack says how many tokens there were and are needed.
func (r *Report) lack() string {
	if g := r.gate("evidence"); g != nil && g.Undecided != "" {
		return ": " + g.Undecided
	}
	return ""
}

// row is g in the table of gates.
func (g *Gate) row() []string {
	if g.Skipped != "" {
		return []string{g.Name, g.Status(), "", "", "", g.Skipped}
	}
	sign := "≤ "
	if g.AtLeast() {
		sign = "≥ "
	}
	value, limit := number(g.Value), number(g.Limit)
	if math.IsInf(g.Value, 1) {
		value = "exact"
	}
	uncertainty := ""
	if u := g.Uncertainty; u != nil && *u-*u == 0 {
		uncertainty = "± " + figure(*u, 2)
	}
	note := ""
	if g.Name != "evidence" { // it says so in the last line
		note = g.Undecided
	}
	if g.Name == "evidence" {
		value, limit = ui.Count(int64(g.Value)), ui.Count(int64(g.Limit))
	}
	return []string{g.Name, g.Status(), value, uncertainty, sign + limit, note}
}

// String is g in a few words: its name, value and limit.
func (g *Gate) String() string {
	if g.Skipped != "" {
		return g.Name + ": " + g.Skipped
	}
	r := g.row()
	value := r[2]
	if r[3] != "" {
		value += " " + r[3]
	}
	return fmt.Sprintf("%s is %s, and has to be %s", g.Name, value, r[4])
}

// print writes the errors by role and the worst tensors.
func (r *WeightsReport) print(w io.Writer) {
	fmt.Fprintf(w, "\nweights: %s quantized, %s compared for equality\n", ui.Count(int64(r.Quantized)), ui.Count(int64(r.Kept)))
	if r.Returned > 0 {
		fmt.Fprintf(w, "%s of them went through FP8 and back: compared by what their codes would lose\n", ui.Count(int64(r.Returned)))
	}
	if r.Fresh != nil {
		fmt.Fprintln(w, ui.Wrap(r.Fresh.String(), 0, 2))
	}
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

// item writes a line of a list.
func item(w io.Writer, text string) { fmt.Fprintf(w, "  %s\n", ui.Wrap(text, 2, 6)) }

func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func percent(x float64) string { return strconv.FormatFloat(100*x, 'g', 3, 64) + " %" }

func cosine(x float64) string { return strconv.FormatFloat(x, 'f', 6, 64) }

func decibels(db *float64) string {
	if db == nil {
		return "exact"
	}
	return strconv.FormatFloat(*db, 'f', 2, 64)
}
