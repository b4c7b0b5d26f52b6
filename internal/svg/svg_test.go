package svg

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// count parses markup as XML, strictly, and counts its elements by name and class.
func count(t *testing.T, markup template.HTML) map[string]int {
	t.Helper()
	out := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(string(markup)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %s", err, markup)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		out[e.Name.Local]++
		for _, a := range e.Attr {
			if a.Name.Local == "class" {
				out[e.Name.Local+"."+a.Value]++
			}
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
}

func labels(a Axis) string {
	var s []string
	for _, t := range a.Ticks {
		s = append(s, t.Label)
	}
	return strings.Join(s, " ")
}

func TestLinear(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		n      int
		want   string
	}{
		{0, 1, 4, "0.0 0.5 1.0"},
		{0, 0.0031, 4, "0.000 0.001 0.002 0.003 0.004"},
		{30.8, 32.2, 6, "30.5 31.0 31.5 32.0 32.5"},
		{-3, 3, 3, "-4 -2 0 2 4"},
		{5, 5, 2, "4.5 5.0 5.5"},
		{0, 0, 2, "-1 0 1"},
		{3, 1, 2, "1 2 3"},
		{1234, 9876, 3, "0 5000 10000"},
		{math.NaN(), 1, 2, "0.0 0.5 1.0"},
	} {
		a := Linear(c.lo, c.hi, c.n, nil)
		if got := labels(a); got != c.want {
			t.Errorf("%g to %g: %q, want %q", c.lo, c.hi, got, c.want)
		}
		if finite(c.lo) && (a.Lo > min(c.lo, c.hi) || a.Hi < max(c.lo, c.hi)) {
			t.Errorf("%g to %g: the axis is from %g to %g", c.lo, c.hi, a.Lo, a.Hi)
		}
	}
	a := Linear(0.5, 1, 2, func(x float64, decimals int) string { return fmt.Sprintf("%.*f/%d", decimals, x, decimals) })
	if got := labels(a); got != "0.5/1 1.0/1" {
		t.Error(got)
	}
}

func TestDecades(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		n      int
		want   string
	}{
		{1e-6, 1, 8, "1 0.1 0.01 10⁻³ 10⁻⁴ 10⁻⁵ 10⁻⁶"},
		{2e-6, 0.7, 4, "1 0.01 10⁻⁴ 10⁻⁶"},
		{1, 1, 4, "10 1"},
		{1, 2e4, 9, "10⁵ 10⁴ 1000 100 10 1"},
		{0, 1, 4, "1 0.1"},
		{math.NaN(), math.Inf(1), 4, "1 0.1"},
	} {
		if got := labels(Decades(c.lo, c.hi, c.n)); got != c.want {
			t.Errorf("%g to %g: %q, want %q", c.lo, c.hi, got, c.want)
		}
	}
}

func TestAxisAt(t *testing.T) {
	log := Axis{Lo: 0.01, Hi: 100, Log: true}
	for _, c := range []struct {
		a       Axis
		x, want float64
	}{
		{Axis{Lo: 10, Hi: 20}, 15, 0.5},
		{Axis{Lo: 10, Hi: 20}, 0, 0},
		{Axis{Lo: 10, Hi: 20}, 99, 1},
		{Axis{Lo: 1, Hi: 1}, 1, 0.5},
		{log, 1, 0.5},
		{log, 0, 0},
		{log, -1, 0},
		{log, 1e9, 1},
	} {
		if got := c.a.at(c.x); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v: %g lies at %g, want %g", c.a, c.x, got, c.want)
		}
	}
}

func TestNum(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 1: "1", 0.5: "0.5", 12.345: "12.35", -0.001: "0", 100: "100", 99.999: "100", -2.5: "-2.5"} {
		if got := num(x); got != want {
			t.Errorf("%g is written %q, want %q", x, got, want)
		}
	}
}

// hostile is a text that would break out of markup.
const hostile = "</title><script>\"'&\x00\x1b\xff\ufffe"

func TestHistogram(t *testing.T) {
	h := Histogram{
		Frame: Frame{Title: hostile, Desc: hostile, Height: 100, X: Decades(0.01, 1, 4), Y: Linear(0, 10, 2, nil)},
		Bins:  []Bin{{0.01, 0.1, 10, hostile}, {0.1, 1, 0, ""}, {0.1, 1, math.NaN(), ""}, {1, 10, 1e-9, ""}},
		Marks: []Mark{{At: 0.1, Label: hostile}, {At: math.NaN()}, {At: 0.9, Label: "x", Limit: true}},
	}
	h.X.Name, h.Y.Name = hostile, hostile
	s := h.HTML()
	n := count(t, s)
	if n["rect"] != 2 || n["line.mark"] != 1 || n["line.limit"] != 1 || n["title"] != 2 || n["desc"] != 1 || n["script"] != 0 {
		t.Errorf("%v in %s", n, s)
	}
	// The bar from 0.01 to 0.1 of 0.01…1 is half as wide as the chart, less the gap, and
	// as high as the plot.
	if want := `<rect class="fill bar" x="0%" y="0" width="46%" height="100">`; !strings.Contains(string(s), want) {
		t.Errorf("no %s in %s", want, s)
	}
	if s != h.HTML() {
		t.Error("drawn twice it differs")
	}
}

func TestLines(t *testing.T) {
	nan := math.NaN()
	l := Lines{
		Frame: Frame{Title: "t", Height: 100, X: Linear(0, 4, 4, nil), Y: Linear(0, 1, 2, nil)},
		Series: []Series{
			{Kind: Solid, Join: true, Points: []Point{{0, 0, 0.1, hostile}, {1, 1, 0, ""}, {2, nan, 0, ""}, {3, 0.5, nan, ""}, {4, 0.5, 0, ""}}},
			{Kind: Hollow, Points: []Point{{X: 1, Y: 1}, {X: 2, Y: 1}}},
		},
		Marks: []Mark{{At: 0.9, Label: "limit"}, {At: nan}},
	}
	n := count(t, l.HTML())
	if n["circle"] != 4 || n["rect.hollow"] != 2 || n["line.line"] != 2 || n["line.line2"] != 0 || n["line.limit"] != 1 {
		t.Errorf("%v", n)
	}
	if a, b := Key(Solid), Key(Hollow); count(t, a)["circle"] != 1 || count(t, b)["rect"] != 1 {
		t.Error(a, b)
	}
}

func TestStrip(t *testing.T) {
	many := make([]float64, 5000)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range many {
		many[i] = 31.5 + 0.1*rnd.NormFloat64()
	}
	s := Strip{
		Title: "t", X: Linear(30, 33, 3, nil), Marks: []Mark{{31, "31 dB", true}},
		Rows: []StripRow{{Label: hostile, Note: hostile, Values: []float64{31, 32, math.NaN(), 99, -99}}, {Label: "many", Values: many, Failed: []Named{{30.5, hostile}, {Value: math.NaN()}}}, {Label: "none"}},
	}
	markup := s.HTML()
	n := count(t, markup)
	if n["circle.faint"] != 4 || n["rect.faint"] < 10 || n["rect.faint"] > stripBins || n["line.limit"] != 1+len(s.Rows) || n["circle.failed"] != 1 { // the limit is not drawn through labels
		t.Errorf("%v", n)
	}
	if len(markup) > 10_000 {
		t.Errorf("%d bytes", len(markup))
	}
	if m := median([]float64{1, 2, 4, 9}); m != 3 {
		t.Errorf("median %g", m)
	}
}

func TestIntervals(t *testing.T) {
	v := Intervals{
		Title: "t", X: Linear(0, 10, 5, nil), Marks: []Mark{{At: 5}},
		Rows: []Interval{{Label: hostile, Kind: Solid, Value: 5, Err: 1}, {Kind: Hollow, Value: 2}, {Value: math.NaN()}},
	}
	n := count(t, v.HTML())
	if n["circle"] != 1 || n["rect.hollow"] != 1 || n["line.line"] != 1 || n["line.mark"] != len(v.Rows) {
		t.Errorf("%v", n)
	}
}

func TestBars(t *testing.T) {
	b := Bars{Limit: 0.7, Bars: []Bar{{Length: 0.5, Rail: true}, {Length: 7, Bad: true}, {Length: 1e-9, Kind: Hollow}, {Length: 0}, {Length: math.NaN()}, {Length: math.Inf(1)}}}
	s := string(b.HTML())
	n := count(t, b.HTML())
	if n["rect.fill"] != 2 || n["rect.bad"] != 1 || n["rect.other"] != 1 || n["rect.track"] != 1 || n["line.edge"] != 1 {
		t.Errorf("%v", n)
	}
	for _, want := range []string{`width="50%"`, `width="100%"`, `width="0.5%"`, `x1="70%"`} {
		if !strings.Contains(s, want) {
			t.Errorf("no %s in %s", want, s)
		}
	}
}

func TestSpan(t *testing.T) {
	if lo, hi, ok := Span([]float64{3, math.NaN(), 1, math.Inf(1)}); lo != 1 || hi != 3 || !ok {
		t.Error(lo, hi, ok)
	}
	if _, _, ok := Span([]float64{math.NaN()}); ok {
		t.Error("a span of nothing")
	}
}

// Every class that charts use has a rule, and every rule's brackets are closed.
func TestStyle(t *testing.T) {
	for _, class := range []string{"grid", "axis", "mark", "limit", "edge", "fill", "bad", "hollow", "other", "faint", "line", "line2", "track", "never", "h0", fmt.Sprintf("h%d", Levels-1)} {
		if !strings.Contains(Style, "."+class+"{") {
			t.Errorf("no rule for %s", class)
		}
	}
	if strings.Count(Style, "{") != strings.Count(Style, "}") || strings.ContainsAny(Style, "<") {
		t.Error("the style sheet is broken")
	}
}
