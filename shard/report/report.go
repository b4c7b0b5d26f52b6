package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"time"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/internal/ui"
	"quern/shard/placement"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var layout = page.Parse(pageHTML)

// Setup says how a comparison came to be, for those who want to repeat it.
type Setup struct {
	Version string
	Date    time.Time // when the page was made; zero: it does not say
	Command []string  // arguments of the program, without its name
	Sources []Source  // what was placed by
}

// Source is a file with loads or routing.
type Source struct{ Kind, Path string }

// HTML writes c as one HTML file. load is what balance was measured on, as Loads has
// it: [layer][expert], in the order of the placement's layers; nil leaves the maps
// out.
func HTML(w io.Writer, c *placement.Comparison, load [][]float64, s Setup) error {
	p := c.Placement
	if load != nil && len(load) != len(p.Layers) {
		return fmt.Errorf("loads of %d layers for a placement of %d", len(load), len(p.Layers))
	}
	for i, l := range load {
		if len(l) != p.Shape.Experts {
			return fmt.Errorf("layer %d: loads of %d experts for a placement of %d", p.Layers[i].Number, len(l), p.Shape.Experts)
		}
	}
	d := document{
		CSS:       template.CSS(pageCSS + svg.Style), // #nosec: both are constants
		Title:     title(p),
		Version:   page.Visible(s.Version),
		Algorithm: string(p.Config.Algorithm),
		Fanout:    c.Split != nil, Nodes: c.Split != nil && p.Config.Nodes > 1,
		Verdict: verdict(c),
		Figures: keyFigures(c),
		Table:   byLayer(c),
		Legend:  legend(),
		Split:   split(c),
		Facts:   facts(p, s),
		Command: page.CommandLine(s.Command),
	}
	d.Maps, d.MapsNote = maps(p, load)
	for _, n := range p.Notes {
		d.Notes = append(d.Notes, page.Visible(n))
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// document is what page.html shows.
type document struct {
	CSS           template.CSS
	Title         string
	Version       string
	Algorithm     string
	Fanout, Nodes bool // were measured
	Verdict       judgement
	Figures       []fact
	Table         *table
	Maps          []figure
	MapsNote      string // how to read them
	Legend        []key
	Notes         []string
	Split         []string
	Facts         []fact
	Command       string
}

// fact is a term and what it is.
type fact struct {
	Term, Text, Note string
	Code             bool // a path
}

// title names what was placed on what.
func title(p *placement.Placement) string {
	s := fmt.Sprintf("%s on %s", page.Plural(int64(p.Shape.Experts), "expert", ""), page.Plural(int64(p.Config.Ranks), "rank", ""))
	if p.Config.Nodes > 1 {
		s += " of " + page.Plural(int64(p.Config.Nodes), "node", "")
	}
	return s
}

// split says what the figures were measured on.
func split(c *placement.Comparison) []string {
	s := c.Split
	if s == nil {
		return []string{"There was no trace. Balance is that of the loads that the placements were made from, so it shows them at their best; fan-out is not known."}
	}
	border := "The border is one between tokens of a text, where the last fifth of the trace begins."
	if s.AtText {
		border = "The border is where a text begins, so no text is on both sides."
	}
	return []string{fmt.Sprintf("The trace has %s. The first %s are there to make placements from, the last %s are held out and were measured. %s",
		page.Plural(s.Tokens, "token", ""), ui.Count(s.MadeFrom), ui.Count(s.Measured), border)}
}

// facts say what one has to know to get the same figures again.
func facts(p *placement.Placement, s Setup) []fact {
	var list []fact
	if !s.Date.IsZero() {
		list = append(list, fact{Term: "date", Text: page.Date(s.Date)})
	}
	for _, x := range s.Sources {
		list = append(list, fact{Term: page.Visible(x.Kind), Text: page.Visible(x.Path), Code: true})
	}
	add := func(term, text string) { list = append(list, fact{Term: term, Text: text}) }
	add("algorithm", string(p.Config.Algorithm))
	if p.Config.Algorithm == placement.Quern && p.Config.Tolerance > 0 {
		add("tolerance", strconv.FormatFloat(100*p.Config.Tolerance, 'g', 4, 64)+"\u202f% of balance")
	}
	add("layers", ui.Count(int64(len(p.Layers))))
	add("experts a layer", ui.Count(int64(p.Shape.Experts)))
	add("slots a layer", ui.Count(int64(p.Slots)))
	add("ranks", ui.Count(int64(p.Config.Ranks)))
	add("nodes", ui.Count(int64(p.Config.Nodes)))
	if p.Config.Groups > 1 {
		add("groups of experts", ui.Count(int64(p.Config.Groups)))
	}
	return list
}
