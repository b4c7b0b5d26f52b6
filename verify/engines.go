package verify

import (
	"fmt"
	"io"

	"quern/convert/serving"
)

// AddEngines takes what is known of engines that are given this checkpoint. The gate
// engines counts what speaks against serving it with the engines that are named;
// without one there is no gate, and what is known is told all the same.
func (r *Report) AddEngines(f *serving.Folder, named []serving.Target) {
	r.Engines = f.Notes()
	if len(named) == 0 {
		return
	}
	t := tally{name: "engines"}
	for _, target := range named {
		for _, n := range f.Against(target) {
			t.fail("%s %s: %s", target, n.Severity, n.String())
		}
	}
	r.Add(t.gate())
}

// printEngines writes what makes a checkpoint unfit for some engine. What is merely
// good to know stands in the report and in JSON.
func (r *Report) printEngines(w io.Writer) {
	head := "\nwhat engines refuse, misread or limit"
	for i := range r.Engines {
		n := &r.Engines[i]
		if n.Severity == serving.Informs {
			continue
		}
		if head != "" {
			fmt.Fprintln(w, head)
			head = ""
		}
		item(w, fmt.Sprintf("%s (%s): %s", n.Engine, n.Severity, n))
	}
}
