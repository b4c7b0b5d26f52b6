package report

import (
	"quern/internal/page"
	"quern/verify"
)

// engines is the table of what engines do with the checkpoint.
func engines(r *verify.Report) *section {
	if len(r.Engines) == 0 {
		return nil
	}
	s := &section{ID: "engines", Title: "Engines"}
	s.prose("What named engines are known to do with this checkpoint. It is judged by the gate engines only where an engine was named.")
	t := newTable("", "engine", "", "what it does")
	for i := range r.Engines {
		n := &r.Engines[i]
		t.row(cell{Text: page.Visible(n.Engine), Class: "name"}, string(n.Severity), cell{Text: page.Visible(n.String()), Note: page.Visible(n.Source), Class: "words"})
	}
	s.add(t.stack().block())
	return s
}
