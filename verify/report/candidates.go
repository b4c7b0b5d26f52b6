package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/internal/ui"
	"quern/verify"
	"quern/verify/metrics"
)

// Candidates writes c as one HTML file that compares them. The only errors are those of
// w.
func Candidates(w io.Writer, c *verify.Candidates, date time.Time) error {
	d := document{Verdict: candidatesVerdict(c), Facts: []fact{{Term: "baseline", Text: page.Visible(c.Baseline)}}}
	d.Facts = append(d.Facts, fact{Term: "its size", Text: ui.Bytes(c.BaselineBytes)})
	if len(c.List) > 0 {
		// What was read is the same for all.
		first := *c.List[0].Report
		first.Subject, first.Engines = nil, nil
		d.Badges = badges(&first)
		if first.Setup != nil {
			d.Version = page.Visible(first.Setup.Version)
			if len(first.Setup.Sources) > 0 {
				d.Facts = append(d.Facts, fact{Term: "texts", Text: textsRead(first.Setup.Sources)})
			}
		}
	}
	if !date.IsZero() {
		d.Facts = append(d.Facts, fact{Term: "date", Text: page.Date(date)})
	}
	d.Title = fmt.Sprintf("%s of %s", page.Plural(int64(len(c.List)), "candidate", "candidates"), page.Visible(filepath.Base(c.Baseline)))
	d.Sections = append(d.Sections, side(c))
	for i := range c.List {
		d.Sections = append(d.Sections, candidate(i, &c.List[i]))
	}
	return d.write(w)
}

// candidatesVerdict counts those that pass, and names the one that is nearest to the
// baseline and the smallest of them.
func candidatesVerdict(c *verify.Candidates) judgement {
	passed := 0
	var near, small *verify.Candidate
	for i := range c.List {
		x := &c.List[i]
		if !x.Passed {
			continue
		}
		passed++
		if x.KLDMean != nil && known(*x.KLDMean) && (near == nil || *x.KLDMean < *near.KLDMean) {
			near = x
		}
		if small == nil || x.Bytes < small.Bytes {
			small = x
		}
	}
	n := len(c.List)
	j := judgement{Class: "pass", Sign: "✓", Word: fmt.Sprintf("%d of %d candidates pass", passed, n)}
	switch {
	case passed == 0:
		j.Class, j.Sign = "fail", "✗"
	case passed < n:
		j.Class, j.Sign = "skip", "–"
	}
	if small != nil {
		j.Text = append(j.Text, fmt.Sprintf("The smallest that passes is %s with %s.", page.Visible(small.Checkpoint), ui.Bytes(small.Bytes)))
	}
	if near != nil {
		j.Text = append(j.Text, fmt.Sprintf("The nearest to the baseline is %s, with a mean KL divergence of %s.", page.Visible(near.Checkpoint), figureOf(*near.KLDMean)))
	} else if small != nil {
		j.Text = append(j.Text, "Weights were compared and models not run: nothing says what the differences do to predictions.")
	}
	return j
}

// side is the table of all, side by side, and the charts that go with it.
func side(c *verify.Candidates) *section {
	s := &section{ID: "candidates", Title: "Side by side"}
	run := false
	for i := range c.List {
		run = run || c.List[i].KLDMean != nil
	}
	head := []string{"checkpoint", "gates", ">size", ">of baseline"}
	if run {
		head = append(head, ">mean KLD", ">same likeliest")
	}
	deployed := c.Deployed()
	if deployed {
		head = append(head, ">deployed: mean KLD", ">deployed: same likeliest")
	}
	t := newTable("", append(head, "worst role")...)
	t.Note = "The worst role is the one with the least SQNR over all its weights."
	if deployed {
		t.Note += " Deployed: with inputs rounded as engines do; nothing stands where they take them as they come."
	}
	for i := range c.List {
		x := &c.List[i]
		name := code(x.Checkpoint)
		name.Note = page.Visible(x.Quantization)
		ratio := none
		if c.BaselineBytes > 0 {
			ratio = percent(float64(x.Bytes) / float64(c.BaselineBytes))
		}
		cells := []any{name, state(x.Report), ui.Bytes(x.Bytes), ratio}
		if run {
			cells = append(cells, estimate(x.KLDMean, x.KLDMeanError), shareOf(x.SameTop))
		}
		if deployed {
			cells = append(cells, estimate(x.DeploymentKLD, x.DeploymentKLDError), shareOf(x.DeploymentSameTop))
		}
		worst := cell{Text: "exact"}
		if x.WorstSQNR != nil {
			worst = role(x.WorstRole)
			worst.Note = decibels(x.WorstSQNR) + "\u202fdB"
		}
		t.row(append(cells, worst)...)
	}
	s.add(t.stack().block())
	if f := divergences(c); f != nil {
		s.add(block{Figure: f})
	}
	return s
}

// estimate is a figure with its error below it: side by side both would not fit a page.
func estimate(value, err *metrics.Figure) cell {
	if value == nil {
		return cell{Text: none}
	}
	text, uncertainty, _ := strings.Cut(plusMinus(*value, *err), " ±")
	if uncertainty != "" {
		uncertainty = "±" + uncertainty
	}
	return cell{Text: text, Note: uncertainty}
}

func shareOf(x *metrics.Figure) string {
	if x == nil {
		return none
	}
	return percent(*x)
}

// state is what the gates of a candidate say together.
func state(r *verify.Report) cell {
	v := verdict(r)
	return cell{Text: v.Sign + " " + strings.ToLower(v.Word), Class: v.Class}
}

// divergences draws mean divergences with their errors on one scale.
func divergences(c *verify.Candidates) *figure {
	v := svg.Intervals{Title: "Mean KL divergence of candidates", Desc: "With its standard error; the table has the figures."}
	values := []float64{0}
	for i := range c.List {
		x := &c.List[i]
		if x.KLDMean == nil || !known(*x.KLDMean) {
			continue
		}
		kld, err := float64(*x.KLDMean), float64(*x.KLDMeanError)
		v.Rows = append(v.Rows, svg.Interval{Label: clip(page.Visible(x.Checkpoint), 40), Note: ui.Bytes(x.Bytes), Kind: svg.Solid, Value: kld, Err: err})
		values = append(values, kld)
		if known(err) {
			values = append(values, kld+err)
		}
	}
	if len(v.Rows) == 0 {
		return nil
	}
	_, hi, _ := svg.Span(values)
	v.X = svg.Linear(0, hi, 5, nil)
	v.X.Name = "mean KL divergence, nats"
	return &figure{Title: "Mean KL divergence", Chart: v.HTML(), Note: "With its standard error. Left is better. All read the same tokens, so a difference of two candidates is known better than each of them."}
}

// candidate has the gates and roles of one.
func candidate(i int, x *verify.Candidate) *section {
	s := gates(x.Report)
	if s == nil {
		s = &section{}
	}
	v := verdict(x.Report)
	s.ID, s.Title, s.Sum = fmt.Sprintf("candidate-%d", i+1), page.Visible(x.Checkpoint), v.Sign+" "+v.Word
	for _, about := range []func(*verify.Report) *section{engines, warnings, sizes} {
		if part := about(x.Report); part != nil {
			s.add(block{Head: part.Title})
			s.add(part.Blocks...)
		}
	}
	if w := x.Report.Weights; w != nil && len(w.Roles) > 0 {
		s.add(byRole(w).stack().block())
	}
	return s
}
