// Package report shows a comparison of placements to people: one HTML file that needs
// nothing else, no network and no script, to be read on a screen, a phone or paper.
//
// [HTML] makes the page of a [placement.Comparison]: what it comes to in words, a table
// of balance and fan-out by layer and algorithm, maps of the ranks' loads before
// (contiguous) and after (the placement that was asked for), what the user should
// know, how the trace was divided, and how to repeat it. The same input gives the same
// bytes.
//
// Paths and notes are other people's. They are escaped by html/template, what cannot be
// seen in them is made visible, and a content security policy forbids the page to load
// or run anything.
package report
