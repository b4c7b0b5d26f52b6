package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
)

// unit is what a gate counts in.
type unit int

const (
	plain unit = iota
	tensorCount
	ratioDB
	nats
	share
	shareLost
	objections
	findings
	fileCount
	tokenCount
)

// gateWords say what gates are about.
var gateWords = map[string]struct {
	checks string // what is true of a checkpoint that passes
	fails  string // what is true of one that does not
	unit   unit
}{
	"digest":       {"the bytes of every tensor are those of quern-manifest.json", "bytes are not those of the manifest", tensorCount},
	"finite":       {"no weight is NaN or infinite", "there are weights that are NaN or infinite", tensorCount},
	"scales":       {"scales are positive, finite and of the shape that their weight needs", "scales cannot be used", tensorCount},
	"shapes":       {"tensors have the shapes of the config", "shapes are not those of the config", tensorCount},
	"config":       {"config.json describes the tensors and differs from the baseline’s in nothing else", "the config is not the baseline’s, or does not describe the tensors", findings},
	"files":        {"tokenizer and other files that change what the model says are the baseline’s", "a tokenizer or another file is not the baseline’s", fileCount},
	"codes":        {"every code is the nearest to its weight under its own scale", "there are codes that no quantization of the baseline gives", tensorCount},
	"activations":  {"static scales fit the activations that the text gave", "static scales do not fit the activations", findings},
	"evidence":     {"there were tokens enough for the limits", "tokens were too few for the limits", tokenCount},
	"fused_scales": {"parts that engines make one matrix of have one scale of the tensor", "engines take one scale for parts that have different ones", tensorCount},
	"kept":         {"tensors that were not quantized equal the baseline’s", "tensors that should be untouched differ from the baseline’s", tensorCount},
	"sqnr":         {"each quantized tensor is as near to the baseline’s as the format allows", "weights are further from the baseline’s than the format explains", ratioDB},
	"kld_mean":     {"predictions differ little on average", "predictions differ too much on average", nats},
	"kld_median":   {"the typical prediction differs little", "the typical prediction differs too much", nats},
	"same_top":     {"the likeliest token is the same", "the likeliest token changes too often", share},
	"mtp_drop":     {"multi-token prediction is accepted about as often", "multi-token prediction is accepted less often", shareLost},
	"engines":      {"nothing is known that speaks against the engines that were named", "an engine that was named refuses or misreads it", objections},
}

// amount writes a value or limit of a gate.
func (u unit) amount(x float64) string {
	switch {
	case u == ratioDB && math.IsInf(x, 1):
		return "exact"
	case u == ratioDB && x <= unmeasurable, !known(x):
		return none
	case u == tensorCount && x == math.Trunc(x) && math.Abs(x) < 1e15:
		return page.Plural(int64(int(x)), "tensor", "tensors")
	case u == findings:
		return page.Plural(int64(int(x)), "finding", "findings")
	case u == fileCount:
		return page.Plural(int64(int(x)), "file", "files")
	case u == tokenCount:
		return page.Plural(int64(int(x)), "token", "tokens")
	case u == objections:
		return page.Plural(int64(int(x)), "objection", "objections")
	case u == ratioDB:
		return fixed(x, 2) + "\u202fdB"
	case u == share:
		return percent(x)
	case u == shareLost:
		return fixed(100*x, 2) + "\u202fpp"
	}
	return figureOf(x)
}

// limit writes a limit, which people have chosen: without digits that say nothing.
func (u unit) limit(x float64) string {
	number, name := u.amount(x), ""
	if i := strings.IndexAny(number, " \u202f"); i >= 0 {
		number, name = number[:i], number[i:]
	}
	if strings.Contains(number, ".") && !strings.Contains(number, "·") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	switch u {
	case tensorCount, objections, findings, fileCount, tokenCount:
		return number
	}
	return number + name
}

// used is which part of what its limit allows a gate takes up: 1 at the limit, more
// beyond. Of sqnr it is noise against allowed noise, of same_top tokens that differ
// against those that may. There is none where the limit allows nothing.
func used(g *verify.Gate) (float64, bool) {
	x, allowed := g.Value, g.Limit
	switch {
	case g.Skipped != "" || math.IsNaN(x) || !known(allowed):
		return 0, false
	case g.Name == "sqnr":
		x, allowed = math.Pow(10, (allowed-x)/20), 1 // amplitudes
	case g.Name == "same_top":
		x, allowed = 1-x, 1-allowed
	case g.Name == "evidence":
		x, allowed = allowed, x // of the tokens that there are, those needed
	}
	if !(allowed > 0) {
		return 0, false
	}
	return max(x/allowed, 0), true
}

// limitAt is where bars of gates have the limit, as a part of their width.
const limitAt = 0.7

// gates is the table of gates and what failed.
func gates(r *verify.Report) *section {
	if len(r.Gates) == 0 {
		return nil
	}
	s := &section{ID: "gates", Title: "Gates"}
	t := newTable("", "gate", "", ">value", ">limit", "of what is allowed")
	const note = "The bar shows how much of what the limit allows is used; the line is the limit. For sqnr that is noise against allowed noise, for same_top the tokens that differ against those that may. Gates that count tensors allow none."
	for i := range r.Gates {
		g := &r.Gates[i]
		w := gateWords[g.Name]
		name := cell{Text: page.Visible(g.Name), Note: w.checks, Class: "name"}
		if g.Skipped != "" {
			t.row(name, cell{Text: "– not checked", Note: page.Visible(g.Skipped), Class: "skip"}, "", "", "")
			continue
		}
		state := cell{Text: "✓ passed", Class: "pass"}
		switch {
		case !g.Passed:
			state = cell{Text: "✗ failed", Class: "fail"}
		case g.Undecided != "":
			state = cell{Text: "– undecided", Note: page.Visible(g.Undecided), Class: "skip"}
		}
		sign := "≤ "
		if g.AtLeast() {
			sign = "≥ "
		}
		m := margin(g)
		if m.Chart != "" {
			t.Note = note
		}
		t.row(name, state, cell{Text: w.unit.amount(g.Value), Note: uncertainty(g, w.unit)}, sign+w.unit.limit(g.Limit), m)
	}
	s.add(t.stack().block())
	for i := range r.Gates {
		if g := &r.Gates[i]; len(g.Failures) > 0 {
			b := block{Head: page.Visible(g.Name) + ": what is wrong"}
			for _, f := range g.Failures {
				b.Lines = append(b.Lines, page.Visible(f))
			}
			s.add(b)
		}
	}
	return s
}

// uncertainty is the standard error of a gate's value, "" if it has none.
func uncertainty(g *verify.Gate, u unit) string {
	if g.Uncertainty == nil || !known(float64(*g.Uncertainty)) {
		return ""
	}
	return "± " + u.amount(float64(*g.Uncertainty))
}

// margin is the last cell of a gate.
func margin(g *verify.Gate) cell {
	u, ok := used(g)
	if !ok {
		return cell{}
	}
	b := svg.Bars{Limit: limitAt, Bars: []svg.Bar{{Length: u * limitAt, Bad: !g.Passed, Rail: true}}}
	note := fixed(100*u, 0) + "\u202f%"
	if u > 10 {
		note = "over 10 times"
	}
	return cell{Chart: b.HTML(), Note: note, Class: "margin"}
}

// warnings are the report's.
func warnings(r *verify.Report) *section {
	if len(r.Warnings) == 0 {
		return nil
	}
	s := &section{ID: "warnings", Title: "Warnings"}
	b := block{}
	for _, w := range few(r.Warnings, 200) {
		b.Lines = append(b.Lines, page.Visible(w))
	}
	if more := len(r.Warnings) - len(b.Lines); more > 0 {
		b.Lines = append(b.Lines, fmt.Sprintf("and %s more", count(more)))
	}
	s.add(b)
	return s
}

// bar is a cell with one bar.
func bar(length float64) template.HTML {
	b := svg.Bars{Bars: []svg.Bar{{Length: length}}}
	return b.HTML()
}
