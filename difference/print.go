package difference

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"quern/internal/ui"
	"quern/verify"
	"quern/verify/metrics"
)

// Difference is what two records differ in.
type Difference interface {
	// Print writes it for people. whole shows what is equal too.
	Print(w io.Writer, whole bool)
}

// Print implements [Difference].
func (d *Manifests) Print(w io.Writer, whole bool) {
	for _, x := range []struct {
		side string
		of   *Made
	}{{"A", &d.A}, {"B", &d.B}} {
		fmt.Fprintln(w, ui.Wrap(fmt.Sprintf("%s  %s: %s %s, %s tensors, %s", x.side, x.of.Name, x.of.Tool, x.of.Command, ui.Count(int64(x.of.Tensors)), ui.Bytes(x.of.Bytes)), 0, 3))
	}
	if !d.SameInput {
		fmt.Fprintln(w, "made from different inputs")
	}
	if len(d.Options) > 0 {
		rows := make([][]string, len(d.Options))
		for i, o := range d.Options {
			rows[i] = []string{o.Name, orDash(o.A), orDash(o.B)}
		}
		fmt.Fprintln(w)
		ui.Table(w, []string{"option", "A", "B"}, rows)
	}
	d.printGroups(w, whole)
	if len(d.Moved) > 0 {
		rows := make([][]string, len(d.Moved))
		for i, m := range d.Moved {
			rows[i] = []string{m.Name, decibels(m.A), decibels(m.B), fmt.Sprintf("%+.2f", m.B-m.A)}
		}
		fmt.Fprintln(w)
		ui.Table(w, []string{"signal to noise changed most, dB", ">A", ">B", ">B − A"}, rows)
	}
	fmt.Fprintf(w, "\n%s\n", ui.Wrap(d.verdict(), 0, 2))
}

func (d *Manifests) printGroups(w io.Writer, whole bool) {
	var rows [][]string
	hidden := 0
	for i := range d.Groups {
		g := &d.Groups[i]
		if !whole && g.Equal == g.A.Tensors && g.Equal == g.B.Tensors {
			hidden++
			continue
		}
		rows = append(rows, []string{
			g.Name, pair(fmt.Sprint(g.A.Tensors), fmt.Sprint(g.B.Tensors)), fmt.Sprint(g.Equal),
			pair(orDash(g.A.DType), orDash(g.B.DType)), pair(ui.Bytes(g.A.Bytes), ui.Bytes(g.B.Bytes)), pair(g.A.noise(), g.B.noise()),
		})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		ui.Table(w, []string{"modules (* is a number)", ">tensors", ">equal", "dtype", ">size", ">median SQNR, dB"}, rows)
	}
	if hidden > 0 && len(rows) > 0 {
		fmt.Fprintln(w, ui.Wrap(fmt.Sprintf("%d more groups of modules are equal (--all shows them)", hidden), 0, 2))
	}
}

func (s *Side) noise() string {
	if s.SQNR == nil {
		return "–"
	}
	return decibels(*s.SQNR)
}

func (d *Manifests) verdict() string {
	if d.Same {
		if len(d.Options) > 0 || d.A.Command != d.B.Command {
			return fmt.Sprintf("the same bytes in all %s tensors, made with other options", ui.Count(int64(d.Equal)))
		}
		return fmt.Sprintf("the same bytes in all %s tensors", ui.Count(int64(d.Equal)))
	}
	parts := []string{fmt.Sprintf("%s tensors are equal", ui.Count(int64(d.Equal)))}
	for _, p := range []struct {
		n    int
		what string
	}{{d.Changed, "have other bytes"}, {d.OnlyA, "are in A only"}, {d.OnlyB, "are in B only"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", ui.Count(int64(p.n)), p.what))
		}
	}
	if d.Renamed > 0 {
		parts = append(parts, fmt.Sprintf("%s of A's have their bytes under another name in B", ui.Count(int64(d.Renamed))))
	}
	return strings.Join(parts, ", ")
}

// Print implements [Difference].
func (d *Reports) Print(w io.Writer, whole bool) {
	verdict := func(passed bool) string {
		if passed {
			return "no gate failed"
		}
		return "FAILED"
	}
	rows := [][]string{
		{"checkpoint", d.A.Checkpoint, d.B.Checkpoint},
		{"baseline", orDash(d.A.Baseline), orDash(d.B.Baseline)},
		{"size", ui.Bytes(d.A.Bytes), ui.Bytes(d.B.Bytes)},
		{"verdict", verdict(d.A.Passed), verdict(d.B.Passed)},
	}
	ui.Table(w, []string{"report", "A: " + d.A.Name, "B: " + d.B.Name}, rows)
	for _, s := range d.Remarks {
		fmt.Fprintln(w, ui.Wrap("note: "+s, 0, 2))
	}
	if len(d.Figures) > 0 {
		rows := make([][]string, len(d.Figures))
		for i, f := range d.Figures {
			rows[i] = []string{f.Name, measured(f.A, f.UA), measured(f.B, f.UB)}
		}
		fmt.Fprintln(w)
		ui.Table(w, []string{"model", ">A", ">B"}, rows)
	}
	rows = nil
	for _, g := range d.Gates {
		if a, b := state(g.A), state(g.B); whole || a != b || a == "FAILED" {
			rows = append(rows, []string{g.Name, a, value(g.A), b, value(g.B)})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		ui.Table(w, []string{"gate", "A", ">", "B", ">"}, rows)
	}
	if len(d.Roles) > 0 {
		rows := make([][]string, len(d.Roles))
		for i, r := range d.Roles {
			rows[i] = []string{r.Name, ratioText(r.A), ratioText(r.B)}
		}
		fmt.Fprintln(w)
		ui.Table(w, []string{"weights, SQNR in dB", ">A", ">B"}, rows)
	}
}

func state(g *verify.Gate) string {
	if g == nil {
		return "–"
	}
	return g.Status()
}

func value(g *verify.Gate) string {
	if g == nil || g.Skipped != "" || math.IsNaN(g.Value) {
		return ""
	}
	return strconv.FormatFloat(g.Value, 'g', 4, 64)
}

func measured(f, u *metrics.Figure) string {
	if f == nil || math.IsNaN(float64(*f)) {
		return "–"
	}
	text := strconv.FormatFloat(float64(*f), 'g', 5, 64)
	if u != nil && !math.IsNaN(float64(*u)) {
		text += " ± " + strconv.FormatFloat(float64(*u), 'g', 2, 64)
	}
	return text
}

func ratioText(f *metrics.Figure) string {
	switch {
	case f == nil:
		return "–"
	case math.IsInf(float64(*f), 1):
		return "exact"
	}
	return decibels(float64(*f))
}

// pair is what two sides have: once where it is the same.
func pair(a, b string) string {
	if a == b {
		return a
	}
	return a + " → " + b
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func decibels(db float64) string { return strconv.FormatFloat(db, 'f', 2, 64) }
