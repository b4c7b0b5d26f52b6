package serving

import (
	"slices"

	"quern/formats/model"
)

// Known is a rule of the table without a folder, as the page of an engine shows it.
type Known struct {
	Engine   string // for people, with what it is about
	Names    []Engine
	Severity Severity
	Text     string
	Remedy   string
	Source   string
}

// Rules are those that name e, worst first, or all of them without one.
func Rules(e Engine) []Known {
	var out []Known
	for i := range rules {
		r := &rules[i]
		if e != "" && !slices.Contains(r.engines, e) {
			continue
		}
		text := r.general
		if text == "" { // then the words are the same for every folder
			n, _ := r.apply(&Folder{config: &model.Config{}})
			text = n.Text
		}
		out = append(out, Known{Engine: r.title(), Names: r.engines, Severity: r.severity, Text: text, Remedy: r.remedy, Source: r.source})
	}
	order := []Severity{Refuses, Misreads, Limits, Informs}
	slices.SortStableFunc(out, func(a, b Known) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	return out
}
