// Package report shows a [verify.Report] to people: one HTML file that needs nothing
// else, no network and no script, to be read on a screen, a phone or paper.
//
// The page is a list of sections, each made by one function from the part of the report
// that it is about, and left out where there is none: [HTML] lists them in order. A
// section is data (prose, tables, figures, tokens); page.html turns it into markup and
// package svg draws its figures. What the page says is what is in the report: the same
// report gives the same bytes.
//
// Names, texts and messages come from checkpoints and other people's files. They are
// escaped by html/template, what cannot be seen in them is made visible (see visible),
// and a content security policy forbids the page to load or run anything.
package report
