package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/scheme"
	"quern/verify"
)

const (
	shownTensors = 20
	openTensors  = 8   // more are folded where none of them has failed
	shownFailed  = 200 // tensors that are pointed at in a chart
	shownRoles   = 64
)

// weights shows how far the quantized tensors are from the baseline's.
func weights(r *verify.Report) *section {
	w := r.Weights
	if w == nil {
		return nil
	}
	s := &section{ID: "weights", Title: "Weights"}
	text := fmt.Sprintf("%s compared by value, %s for equality of their bytes.", page.Plural(int64(w.Quantized), "quantized tensor was", "quantized tensors were"), page.Plural(int64(w.Kept), "other", "others"))
	if w.Quantized > 0 && w.WorstSQNR == nil {
		text += " All values are exact."
	}
	if w.Fresh != nil {
		text += " " + capital(w.Fresh.String()) + "."
	}
	s.prose(text)
	if w.Quantized == 0 {
		return s
	}
	if f := distribution(w); f != nil {
		s.add(block{Figure: f})
	}
	if f := leastByLayer(w); f != nil {
		s.add(block{Figure: f})
	}
	s.add(byRole(w).stack().block())
	if w.WorstSQNR != nil {
		t := worstTensors(w).stack()
		t.Folded = len(t.Rows) > openTensors && !w.Tensors[0].Short
		s.add(t.block())
	}
	return s
}

func byRole(w *verify.WeightsReport) *table {
	t := newTable("By role", "role", ">tensors", ">SQNR, dB", ">relative error", ">cosine", ">max error", "worst tensor")
	t.Note = "Of all weights of a role together; max error is the largest |w − ŵ|."
	for _, x := range few(w.Roles, shownRoles) {
		t.row(role(x.Role), count(x.Tensors), decibels(x.SQNR), bounded(x.Relative, relative), bounded(x.Cosine, cosine), bounded(x.MaxAbs, figureOf), code(x.Worst))
	}
	return t
}

func worstTensors(w *verify.WeightsReport) *table {
	tensors := few(w.Tensors, shownTensors)
	ideal := false
	for i := range tensors {
		ideal = ideal || tensors[i].Ideal != nil
	}
	head := []string{"tensor", ">SQNR, dB", ">relative error", ">cosine", ">max error"}
	if ideal {
		head = append(head, ">absmax gives, dB")
	}
	t := newTable(fmt.Sprintf("The %s with the most noise", page.Plural(int64(len(tensors)), "tensor", "tensors")), head...)
	if ideal {
		t.Note = "The last column is worked out for tensors below the floor of their scheme: what its own rule reaches without a search. A tensor that comes within 0.1 dB of it is as good as it can be."
	}
	for _, x := range tensors {
		if x.SQNR == nil {
			break
		}
		name := code(x.Name)
		name.Note = page.Visible(x.Role)
		cells := []any{name, decibels(x.SQNR), bounded(x.Relative, relative), bounded(x.Cosine, cosine), bounded(x.MaxAbs, figureOf)}
		if ideal {
			best := ""
			if x.Ideal != nil {
				best = decibels(x.Ideal)
			}
			cells = append(cells, best)
		}
		t.row(cells...)
	}
	return t
}

func relative(x float64) string { return digits(100*x, 3) + "\u202f%" }

func cosine(x float64) string {
	if !known(x) {
		return none
	}
	return fixed(x, 6)
}

// distribution is a row of points or an outline for each role.
func distribution(w *verify.WeightsReport) *figure {
	byRole := map[string][]float64{}
	exact := map[string]int{}
	failed := map[string][]svg.Named{}
	short := 0
	var all []float64
	beyond, above := 0, true
	floors := map[string][]float64{}
	for i := range w.Tensors {
		t := &w.Tensors[i]
		if !slices.Contains(floors[t.Role], t.Floor) {
			floors[t.Role] = append(floors[t.Role], t.Floor)
		}
		switch {
		case t.SQNR == nil:
			exact[t.Role]++
		case !known(*t.SQNR) || *t.SQNR <= unmeasurable:
			beyond++
		default:
			byRole[t.Role] = append(byRole[t.Role], *t.SQNR)
			all = append(all, *t.SQNR)
			above = above && *t.SQNR >= t.Floor
			if t.Short {
				if short++; short <= shownFailed {
					failed[t.Role] = append(failed[t.Role], svg.Named{Value: *t.SQNR, Title: page.Visible(t.Name) + ": " + decibels(t.SQNR) + "\u202fdB"})
				}
			}
		}
	}
	lo, hi, ok := svg.Span(all)
	if !ok {
		return nil
	}
	least, most, _ := svg.Span(slices.Concat(slices.Collect(maps.Values(floors))...))
	// What is far off lies on the edge: it must not press the others together.
	from := max(min(lo, least)-0.2, least-30)
	to := min(max(hi, most)+0.2, most+30)
	strip := svg.Strip{
		Title: "SQNR of quantized tensors by role",
		X:     svg.Linear(from, to, 6, nil),
	}
	reach := floorWords(w)
	strip.Desc = fmt.Sprintf("The tensors have between %s and %s dB; %s. The table below has the figures by role.", fixed(lo, 2), fixed(hi, 2), reach)
	if least == most {
		strip.Marks = []svg.Mark{{At: least, Label: asGiven(least) + " dB", Limit: true}}
	}
	strip.X.Name = "signal to quantization noise of a tensor, dB"
	for _, x := range few(w.Roles, shownRoles) {
		note := page.Plural(int64(x.Tensors), "tensor", "tensors")
		if n := exact[x.Role]; n > 0 {
			note += fmt.Sprintf(", %s exact", count(n))
		}
		if least, _, ok := svg.Span(byRole[x.Role]); ok {
			note += ", least " + fixed(least, 2)
		}
		row := svg.StripRow{Label: page.Visible(x.Role), Note: note, Values: byRole[x.Role], Failed: failed[x.Role]}
		if least != most {
			row.Limits = floors[x.Role]
		}
		strip.Rows = append(strip.Rows, row)
	}
	note := "A point is a tensor; where there are more than 64 the height shows how many. The upright stroke is the median. Right is better."
	if lo < strip.X.Lo || hi > strip.X.Hi {
		note += " Tensors outside the scale lie on its edge."
	}
	if short > 0 {
		note += fmt.Sprintf(" %s of the gate sqnr: %s. A pointer that rests on it shows its name.", page.Plural(int64(short), "tensor is below the limit", "tensors are below the limit"), pick(short, "the large point", "the large points"))
	}
	if beyond > 0 {
		note += fmt.Sprintf(" %s no ratio and %s not shown.", page.Plural(int64(beyond), "tensor has", "tensors have"), pick(beyond, "is", "are"))
	}
	switch {
	case least != most:
		note += " The broken strokes are the floors of the schemes in a role: " + reach + "."
		if above {
			note += " All tensors are at theirs or above."
		}
	case above && !math.IsInf(hi, 0):
		note += fmt.Sprintf(" All are at %s dB or above.", asGiven(least))
	}
	return &figure{Title: "Signal to quantization noise by role", Chart: strip.HTML(), Note: note}
}

// floorWords say what each scheme reaches on ordinary weights, and at least.
func floorWords(w *verify.WeightsReport) string {
	var out []string
	for i := range w.Tensors {
		t := &w.Tensors[i]
		name := page.Visible(t.Scheme)
		if s, err := scheme.Find(t.Scheme); err == nil && s == scheme.BlockFP8 {
			name = "block FP8"
		}
		if says := name + " reaches about " + asGiven(t.Floor); !slices.Contains(out, says) {
			out = append(out, says)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func pick(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// capital begins a sentence.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// asGiven writes a floor, which has as many digits as it was given.
func asGiven(db float64) string { return strconv.FormatFloat(db, 'f', -1, 64) }
