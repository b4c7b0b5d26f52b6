package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var layout = page.Parse(pageHTML)

// HTML writes r as one HTML file. The only errors are those of w.
func HTML(w io.Writer, r *verify.Report) error {
	d := document{
		Verdict: verdict(r),
		Badges:  badges(r),
		Facts:   facts(r),
		Figures: keyFigures(r),
	}
	d.Title = d.Verdict.Word + ": " + page.Visible(filepath.Base(r.Checkpoint))
	if r.Setup != nil {
		d.Version = page.Visible(r.Setup.Version)
	}
	for _, about := range []func(*verify.Report) *section{
		gates, engines, warnings, sizes, weights, blocks, model, divergence, deployment, positions, texts, single, routing, tokens, prediction, hidden, repeat,
	} {
		if s := about(r); s != nil {
			d.Sections = append(d.Sections, s)
		}
	}
	return d.write(w)
}

// write lays the page out.
func (d *document) write(w io.Writer) error {
	d.CSS = template.CSS(pageCSS + svg.Style) // #nosec: both are constants
	var b bytes.Buffer
	if err := layout.Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// document is what page.html shows.
type document struct {
	CSS      template.CSS
	Title    string
	Version  string
	Verdict  judgement
	Badges   []badge
	Facts    []fact
	Figures  []fact
	Sections []*section
}

// fact is a term and what it is.
type fact struct{ Term, Text, Note string }

// Wide reports whether f needs the room of two.
func (f fact) Wide() bool { return len([]rune(f.Text)) > 13 || len([]rune(f.Term)) > 22 }

// section is a part of the page with a heading, which the reader can fold.
type section struct {
	ID, Title string
	Sum       string // in a line, for those who do not open it; a section without is open
	Blocks    []block
}

// block is one thing in a section: the field that is set.
type block struct {
	Prose  string
	Values []fact // numbers side by side
	Head   string // a heading
	Table  *table
	Figure *figure
	Lines  []string // messages, one below the other
	Tokens []token
}

func (s *section) add(b ...block) { s.Blocks = append(s.Blocks, b...) }

func (s *section) prose(text string) { s.add(block{Prose: text}) }

// table is a table. Columns whose head begins with '>' hold numbers.
type table struct {
	Caption string // says what it is; shown above
	Note    string // shown below
	Head    []column
	Rows    []row
	Folded  bool // opened by the reader; always open on paper
	Stack   bool // on narrow screens the cells of a row stand below its first one
}

type column struct {
	Name  string
	Right bool
}

type row struct {
	Strong bool
	Cells  []cell
}

// cell is what stands in a table.
type cell struct {
	Text  string
	Parts []string      // instead of text: lines may be broken between them
	Note  string        // smaller, below
	Chart template.HTML // instead of text
	Class string        // mark of a state: "pass", "fail", "skip"; "code" for names; "bar", "margin", "name", "words" for widths
	Right bool
	Label string // of the column
}

// Classes are those of the style sheet.
func (c cell) Classes() string {
	if c.Right {
		return strings.TrimSpace(c.Class + " right")
	}
	return c.Class
}

// newTable makes a table with its columns; a head that begins with '>' is set flush
// right.
func newTable(caption string, head ...string) *table {
	t := &table{Caption: caption}
	for _, h := range head {
		c := column{Name: h}
		if h != "" && h[0] == '>' {
			c = column{h[1:], true}
		}
		t.Head = append(t.Head, c)
	}
	return t
}

// row adds a row: strings, charts or cells.
func (t *table) row(cells ...any) *row {
	r := row{}
	for i, c := range cells {
		var x cell
		switch c := c.(type) {
		case string:
			x.Text = c
		case template.HTML:
			x.Chart = c
		case cell:
			x = c
		}
		x.Right, x.Label = t.Head[i].Right, t.Head[i].Name
		r.Cells = append(r.Cells, x)
	}
	t.Rows = append(t.Rows, r)
	return &t.Rows[len(t.Rows)-1]
}

func (t *table) block() block { return block{Table: t} }

// stack makes t one whose rows are taken apart on narrow screens.
func (t *table) stack() *table {
	t.Stack = true
	return t
}

// code is a cell that holds a name of a tensor, file or token.
func code(name string) cell {
	if len(name) <= 24 {
		return cell{Text: page.Visible(name), Class: "code short"}
	}
	return cell{Parts: strings.Split(breaks.Replace(page.Visible(name)), "\x00"), Class: "code"}
}

// breaks marks where names may be broken. No visible text has the mark in it.
var breaks = strings.NewReplacer(".", ".\x00", "/", "/\x00")

// figure is a chart with what one has to know to read it.
type figure struct {
	Title  string
	Chart  template.HTML
	Legend []key
	Note   string
	Folded bool // opened by the reader
}

// key explains a sign.
type key struct {
	Sign template.HTML
	Text string
}
