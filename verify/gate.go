package verify

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"quern/verify/metrics"
)

// Gate is one condition that a checkpoint has to meet.
type Gate struct {
	Name string `json:"name"`
	// Value is what was measured. What is no number is null in JSON: +Inf is the ratio
	// of a comparison in which nothing differs, NaN a figure that does not exist.
	Value float64 `json:"value"`
	// Uncertainty is the standard error of Value, of gates that have one.
	Uncertainty *metrics.Figure `json:"uncertainty,omitempty"`
	Limit       float64         `json:"limit"`
	Passed      bool            `json:"passed"`
	// Failures say what is wrong, one line each: at most 20, then "and N more".
	Failures []string `json:"failures,omitempty"`
	// Skipped says why the gate was not checked. Passed is true then.
	Skipped string `json:"skipped,omitempty"`
	// Undecided says why the gate is neither passed nor failed. Passed is true then, so
	// that nothing fails by it, and null in JSON.
	Undecided string `json:"undecided,omitempty"`

	settled bool // failed for want of a decision, whatever the figures say
}

// maxFailures bounds the lines of a gate.
const maxFailures = 20

// MarshalJSON writes g with a value that JSON has a form for.
func (g Gate) MarshalJSON() ([]byte, error) {
	type plain Gate
	out := struct {
		Name  string   `json:"name"`
		Value *float64 `json:"value"`
		plain
		Passed *bool `json:"passed"`
	}{g.Name, &g.Value, plain(g), &g.Passed}
	if g.Undecided != "" {
		out.Passed = nil
	}
	if math.IsInf(g.Value, 0) || math.IsNaN(g.Value) {
		out.Value = nil
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes. A value of null becomes NaN: which of
// the two it was is not in the file.
func (g *Gate) UnmarshalJSON(raw []byte) error {
	type plain Gate
	in := struct {
		Value  *float64 `json:"value"`
		Passed *bool    `json:"passed"`
		*plain
	}{plain: (*plain)(g)}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	g.Value, g.Passed = math.NaN(), true
	if in.Value != nil {
		g.Value = *in.Value
	}
	if in.Passed != nil {
		g.Passed = *in.Passed
	}
	return nil
}

// AtLeast reports whether values above the limit pass; of other gates those below do.
func (g *Gate) AtLeast() bool {
	return g.Name == "sqnr" || g.Name == "same_top" || g.Name == "evidence"
}

// Status is what tables say.
func (g *Gate) Status() string {
	switch {
	case g.Skipped != "":
		return "not checked"
	case g.Undecided != "":
		return "undecided"
	case g.Passed:
		return "passed"
	}
	return "FAILED"
}

// SetLimit gives the gate of a name another limit and judges it again. Of sqnr the
// limit is then one in dB for all tensors. Gates that were not checked stay so. The
// limit has to be finite. It reports whether there is such a gate.
func (r *Report) SetLimit(name string, limit float64) bool {
	return r.change(name, func(g *Gate) {
		g.Limit = limit
		if g.Name == "sqnr" && r.Weights != nil {
			*g = r.Weights.absolute(limit)
			return
		}
		if slices.Contains(behaviourGates, g.Name) {
			r.judge(g)
			return
		}
		if g.Name == "evidence" {
			r.asked = true
			return
		}
		g.Passed = g.Value <= limit
	})
}

// SetOff makes the gate of a name one that is not checked, and reports whether
// there is one.
func (r *Report) SetOff(name string) bool {
	return r.change(name, func(g *Gate) { g.Passed, g.Skipped, g.Undecided, g.Failures = true, "switched off", "", nil })
}

func (r *Report) change(name string, f func(*Gate)) bool {
	found := false
	for i := range r.Gates {
		if g := &r.Gates[i]; g.Name == name {
			found = true
			if g.Skipped == "" {
				f(g)
			}
		}
	}
	r.Add()
	return found
}

// tally counts the tensors that fail a gate.
type tally struct {
	name  string
	count int
	lines []string
}

// fail notes one more.
func (t *tally) fail(format string, args ...any) {
	if t.count++; t.count <= maxFailures {
		t.lines = append(t.lines, fmt.Sprintf(format, args...))
	}
}

// failures are the lines, with how many more there are.
func (t *tally) failures() []string {
	if more := t.count - maxFailures; more > 0 {
		return append(t.lines[:maxFailures:maxFailures], fmt.Sprintf("and %d more", more))
	}
	return t.lines
}

// gate is the gate that passes when nothing has failed.
func (t *tally) gate() Gate {
	return Gate{Name: t.name, Value: float64(t.count), Passed: t.count == 0, Failures: t.failures()}
}

// skipped is a gate that was not checked.
func skipped(name, why string) Gate { return Gate{Name: name, Passed: true, Skipped: why} }
