package verify

// found is all that gates judge.
type found struct {
	cand, base *side       // base is nil without a baseline
	integrity  *integrity  // nil when only weights are compared
	comparison *comparison // nil without a baseline
	report     *Report
}

// when says what a gate needs.
type when uint8

const (
	alone   when = 1 << iota // the candidate, looked at by itself
	against                  // a baseline
)

// table are the gates over bytes, weights and files, in the order of reports. A new one
// is a row here and a function.
var table = []struct {
	name  string
	needs when // any of
	judge func(*found) Gate
}{
	{"digest", alone, func(f *found) Gate { return f.integrity.digest() }},
	{"finite", alone, func(f *found) Gate { return f.integrity.finite() }},
	{"scales", alone, func(f *found) Gate { return f.integrity.scale() }},
	{"fused_scales", alone, func(f *found) Gate { return f.integrity.fused.gate() }},
	{"shapes", alone, func(f *found) Gate { return f.integrity.shapes() }},
	{"config", alone | against, configGate},
	{"files", against, filesGate},
	{"kept", against, func(f *found) Gate { return f.comparison.keptGate() }},
	{"codes", against, func(f *found) Gate { return f.comparison.codesGate() }},
	{"sqnr", against, func(f *found) Gate { return f.report.Weights.sqnr() }},
}

// judge makes the gates.
func (f *found) judge() []Gate {
	var has when
	if f.integrity != nil {
		has |= alone
	}
	if f.comparison != nil {
		has |= against
	}
	var out []Gate
	for _, g := range table {
		if g.needs&has == 0 {
			continue
		}
		made := g.judge(f)
		if made.Name == "" {
			continue // the checkpoint has nothing that it is about
		}
		if g.needs == against && !made.Passed && f.report.Unrelated != "" && g.name != "files" {
			made.Failures = append([]string{f.report.Unrelated}, made.Failures...)
		}
		out = append(out, made)
	}
	return out
}

// GateNames are the gates that there are, in the order of reports.
func GateNames() []string {
	var names []string
	for _, g := range table {
		names = append(names, g.name)
	}
	return append(append(names, behaviourGates...), "activations", "evidence", "engines")
}
