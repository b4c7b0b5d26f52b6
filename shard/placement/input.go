package placement

import (
	"fmt"
	"slices"
	"strings"

	"quern/internal/invalid"
)

// Shape says which layers of a model have experts, and how many.
type Shape struct {
	Layers []int // their numbers, ascending; MTP layers are among them
	MTP    []int // those of Layers that are MTP layers
	// Unnumbered is set where the numbers are not known: Layers are then 0, 1, 2, …
	Unnumbered bool
	Experts    int // routed experts of a layer
}

// Input is what is known of the experts to place.
type Input struct {
	Shape
	Counts *Counts // nil where nothing was counted
	Trace  *Trace  // nil where there is none
	Notes  []string
}

// NewInput joins what was counted and what was traced; either may be nil, not both.
// experts is how many experts a layer has, where the files do not say: 0 leaves it
// to them.
func NewInput(c *Counts, t *Trace, experts int) (*Input, error) {
	in := &Input{Counts: c, Trace: t}
	switch {
	case c != nil:
		in.Shape = Shape{Layers: c.Layers, MTP: c.MTP, Unnumbered: c.Unnumbered, Experts: c.Experts}
		in.Notes = append(in.Notes, c.Notes...)
	case t == nil:
		return nil, usagef("neither loads nor a trace")
	default:
		in.Shape = Shape{Layers: t.Layers, Experts: t.Experts}
	}
	if t != nil {
		if err := in.join(t, experts); err != nil {
			return nil, err
		}
	}
	if experts > 0 && experts != in.Experts {
		return nil, invalid.Errorf("--experts %d: %q has %d", experts, in.path(), in.Experts)
	}
	return in, nil
}

// path is the file that the number of experts is from.
func (in *Input) path() string {
	if in.Counts != nil {
		return in.Counts.Path
	}
	return in.Trace.Path
}

func (in *Input) join(t *Trace, experts int) error {
	switch {
	case in.Experts > 0 && t.Experts > 0 && in.Experts != t.Experts:
		return invalid.Errorf("%q counts %d experts, the trace %q is of %d", in.Counts.Path, in.Experts, t.Path, t.Experts)
	case in.Experts == 0 && experts > 0:
		in.Experts = experts
	case in.Experts == 0:
		high, err := t.highest()
		if err != nil {
			return err
		}
		in.Experts = high + 1
		in.Notes = append(in.Notes, fmt.Sprintf("the trace does not say how many experts there are: %d are assumed, the highest that was chosen being %d; --experts N says otherwise", high+1, high))
	}
	if in.Unnumbered && len(t.Layers) == len(in.Layers) {
		in.Layers, in.Unnumbered = t.Layers, false
		in.Notes = append(slices.DeleteFunc(in.Notes, func(s string) bool { return slices.Contains(in.Counts.Notes, s) }),
			"the layers of the load file are taken for those of the trace: "+numbers(t.Layers))
	}
	if !slices.Equal(in.Layers, t.Layers) {
		return invalid.Errorf("%q counts layers %s, the trace %q has layers %s", in.Counts.Path, numbers(in.Layers), t.Path, numbers(t.Layers))
	}
	for _, l := range t.MTP {
		if !slices.Contains(in.MTP, l) {
			in.MTP = append(in.MTP, l)
		}
	}
	slices.Sort(in.MTP)
	if in.Counts != nil {
		in.Notes = append(in.Notes, fmt.Sprintf("balance and fan-out are measured on the last %d tokens of the trace; loads of %q that count those too flatter the balance", t.Split.Measured, in.Counts.Path))
	}
	return nil
}

// For returns the input for a model of the given shape: numbers where there were
// none, and an error that blames the counts where they are of another model.
func (in *Input) For(s Shape) (*Input, error) {
	out := *in
	out.Shape = s
	what := fmt.Sprintf("%q: ", in.path())
	switch {
	case in.Experts != s.Experts:
		return nil, invalid.Errorf(what+"%d experts a layer, where the model has %d: of another model?", in.Experts, s.Experts)
	case in.Unnumbered && len(in.Layers) == len(s.Layers):
	case in.Unnumbered:
		return nil, invalid.Errorf(what+"%d layers, where the model has %d with experts (%s): of another model?", len(in.Layers), len(s.Layers), numbers(s.Layers))
	case !slices.Equal(in.Layers, s.Layers):
		return nil, invalid.Errorf(what+"layers %s, where the model has experts in layers %s: of another model?", numbers(in.Layers), numbers(s.Layers))
	}
	return &out, nil
}

// numbers writes ascending numbers with runs drawn together: 1–4, 7.
func numbers(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		k := i
		for k+1 < len(list) && list[k+1] == list[k]+1 {
			k++
		}
		switch {
		case k == i:
			parts = append(parts, fmt.Sprint(list[i]))
		case k == i+1:
			parts = append(parts, fmt.Sprint(list[i]), fmt.Sprint(list[k]))
		default:
			parts = append(parts, fmt.Sprintf("%d–%d", list[i], list[k]))
		}
		i = k + 1
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// quantity writes a number of things.
func quantity(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func sum(list []float64) float64 {
	var s float64
	for _, x := range list {
		s += x
	}
	return s
}
