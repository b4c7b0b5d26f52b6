// Package card writes the model card of a quantized checkpoint: README.md begins with
// what was made of what, by which command and how well, and the source's own card
// follows (design §11).
package card

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/blake3"
	"quern/internal/strictjson"
	"quern/internal/ui"
	"quern/scheme"
)

// Name is the file.
const Name = "README.md"

// Most is how large a source's card may be. A larger file is none, and is copied.
const Most = 16 << 20

// What lies between these lines is quern's; it is taken out before another card is
// written, so that cards of cards do not pile up.
const (
	begin = "<!-- card by quern: from here -->\n"
	end   = "<!-- card by quern: to here -->\n\n"
)

// A Draft is README.md of an output before its figures are known: what is said of the
// plan, so that whoever finishes the output needs neither plan nor input.
type Draft struct {
	Front, Rest []byte // the source's card, but for what quern had written in it
	Tool        string // name and version
	Source      string // what was read
	Command     string // but for paths
	Calibration string `json:",omitempty"` // digest
	Tensors     int
	Bytes       int64
	Kept        string // what has no codes
	Forms       []Form // the largest first
}

// A Form is what is written in a scheme.
type Form struct {
	Name, Title string
	Bytes       int64    // scales included
	Coded       []string // weights whose codes are chosen
	Taken       int      // weights whose codes are the input's
	// Unmeasured are FP8 weights whose input has the scale 1, for nothing was measured.
	Unmeasured int `json:",omitempty"`
}

// New drafts README.md of the output of p, given that of the source (nil: it has none).
func New(p *plan.Plan, source []byte) *Draft {
	t := p.Totals()
	d := &Draft{
		Tool: p.Tool, Source: sourceOf(p), Command: command(p), Calibration: p.Calibration,
		Tensors: t.Tensors, Bytes: t.Bytes, Kept: kept(p), Forms: formsOf(p),
	}
	d.Front, d.Rest = divide(Without(source))
	return d
}

// Render returns README.md of the output whose manifest is m: the source's front matter,
// which hubs read at the top of the file alone, then quern's card, then the rest of the
// source's. The bytes depend on nothing else.
func (d *Draft) Render(m *manifest.Manifest) []byte {
	var b bytes.Buffer
	b.Write(d.Front)
	b.WriteString(begin)
	d.write(&b, m)
	b.WriteString(end)
	b.Write(d.Rest)
	return b.Bytes()
}

// Without is a card without the part that quern has written.
func Without(raw []byte) []byte {
	i, j := bytes.Index(raw, []byte(begin)), bytes.Index(raw, []byte(end))
	if i < 0 || j < i {
		return raw
	}
	return append(slices.Clone(raw[:i]), raw[j+len(end):]...)
}

// divide cuts a card behind its front matter, the YAML between two lines of dashes.
func divide(raw []byte) (front, rest []byte) {
	const line = "---\n"
	text := bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	if !bytes.HasPrefix(text, []byte(line)) {
		return nil, raw
	}
	at := bytes.Index(text[len(line):], []byte("\n"+line))
	if at < 0 {
		return nil, raw
	}
	at += len(line) + 1 + len(line)
	return text[:at], text[at:]
}

// write writes quern's part.
func (d *Draft) write(b *bytes.Buffer, m *manifest.Manifest) {
	errors := make(map[string]*manifest.Error, len(m.Tensors))
	for i := range m.Tensors {
		errors[m.Tensors[i].Name] = m.Tensors[i].Error
	}
	var names []string
	for _, f := range d.Forms {
		names = append(names, f.Name)
	}
	fmt.Fprintf(b, "# Quantized: %s\n\n", strings.Join(names, " and "))
	fmt.Fprintf(b, "Made by %s from %s, and from nothing else.\n\n", d.Tool, d.Source)
	fmt.Fprintf(b, "    %s\n\n", d.Command)
	b.WriteString("| written as | tensors | size | SQNR, least | median | worst tensor |\n|---|---:|---:|---:|---:|---|\n")
	for i := range d.Forms {
		d.Forms[i].row(b, errors)
	}
	fmt.Fprintf(b, "\n%s in %d tensors; %s. ", ui.Bytes(d.Bytes), d.Tensors, d.Kept)
	if d.Calibration != "" {
		fmt.Fprintf(b, "What goes by activations comes from a calibration with the BLAKE3-256 digest `%s`. ", d.Calibration)
	}
	for _, f := range d.Forms {
		if f.Unmeasured > 0 {
			fmt.Fprintf(b, "The scale of the inputs of %d linears in %s is 1, for nothing was measured: inputs beyond 448 are cut. ", f.Unmeasured, f.Name)
		}
	}
	fmt.Fprintf(b, "SQNR is the ratio of weights to their error in dB. `%s` has the digest and the error of every tensor; `quern verify --baseline SOURCE .` measures this checkpoint against its source.\n", manifest.Name)
}

// sourceOf says what p reads, by content.
func sourceOf(p *plan.Plan) string {
	h := blake3.New()
	bytes, weights := int64(0), int64(0)
	for _, f := range p.Input.Files {
		fmt.Fprintf(h, "%d %s\n", f.Size, f.Header)
		bytes += f.Size
	}
	seen := map[string]bool{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Op == plan.Constant || t.Op == plan.ScaleOf || t.Meta.Role == model.Scale {
			continue
		}
		key := fmt.Sprint(t.Source.Name, t.Source.Offset)
		if !seen[key] {
			seen[key] = true
			r := t.Reading()
			n := int64(1)
			for _, d := range t.Source.Shape {
				n *= d
			}
			if r.Written != nil {
				n = r.Written.Rows * r.Written.Cols
			}
			weights += n
		}
	}
	what := "a checkpoint"
	if v, err := strictjson.Parse([]byte(p.Config), strictjson.Options{NonFinite: true}); err == nil {
		if a := v.Get("architectures"); a != nil && a.Kind == strictjson.KindArray && len(a.Elems) == 1 {
			what += " of " + plain(a.Elems[0].Text)
		} else if a := v.Get("model_type"); a != nil {
			what += " of " + plain(a.Text)
		}
	}
	return fmt.Sprintf("%s (%s parameters, %s in %d files, BLAKE3-256 of their headers `%s`)", what, ui.Count(weights), ui.Bytes(bytes), len(p.Input.Files), hex.EncodeToString(h.Sum(nil)))
}

// formsOf sums up what has codes, the largest part first.
func formsOf(p *plan.Plan) []Form {
	var forms []Form
	group := map[int]int{} // of tensors to their form
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if !t.Coded() {
			continue
		}
		s, err := scheme.Find(t.Quant.Scheme)
		if err != nil {
			continue
		}
		at := slices.IndexFunc(forms, func(f Form) bool { return f.Title == s.Title })
		if at < 0 {
			at, forms = len(forms), append(forms, Form{Name: s.Plain().Name, Title: s.Title})
		}
		group[t.Group] = at
		if t.Op.Quantizes() {
			forms[at].Coded = append(forms[at].Coded, t.Name)
		} else {
			forms[at].Taken++
		}
	}
	for i := range p.Tensors {
		if at, ok := group[p.Tensors[i].Group]; ok {
			forms[at].Bytes += p.Tensors[i].Bytes()
			if t := &p.Tensors[i]; forms[at].Name == scheme.TensorFP8.Name && p.Calibration == "" && t.Op == plan.Constant && plan.IsInputScale(t.Meta.Param) {
				forms[at].Unmeasured++
			}
		}
	}
	slices.SortStableFunc(forms, func(a, b Form) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return forms
}

// row writes a line of the table.
func (f *Form) row(b *bytes.Buffer, errors map[string]*manifest.Error) {
	var sqnr []float64 // of those that are not exact
	lowest, worst := 0.0, ""
	for _, name := range f.Coded {
		if e := errors[name]; e != nil && e.SQNR != nil {
			if len(sqnr) == 0 || *e.SQNR < lowest {
				lowest, worst = *e.SQNR, "`"+plain(name)+"`"
			}
			sqnr = append(sqnr, *e.SQNR)
		}
	}
	least, median := "exact", "exact"
	switch {
	case len(sqnr) > 0:
		slices.Sort(sqnr)
		least, median = fmt.Sprintf("%.2f dB", sqnr[0]), fmt.Sprintf("%.2f dB", sqnr[len(sqnr)/2])
	case len(f.Coded) == 0:
		least, median = "the source's", "the source's"
	}
	fmt.Fprintf(b, "| %s, %s | %s | %s | %s | %s | %s |\n", f.Name, f.Title, ui.Count(int64(len(f.Coded)+f.Taken)), ui.Bytes(f.Bytes), least, median, worst)
}

// plain is a name that stays within the place where it is written.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune("`|<>\x7f", r) {
			return '?'
		}
		return r
	}, name)
}

// kept says what has no codes.
func kept(p *plan.Plan) string {
	n, bytes := 0, int64(0)
	for i := range p.Tensors {
		if t := &p.Tensors[i]; !t.Coded() && t.Meta.Role != model.Scale {
			n++
			bytes += t.Bytes()
		}
	}
	return fmt.Sprintf("%s of them, %s, are not quantized", ui.Count(int64(n)), ui.Bytes(bytes))
}
