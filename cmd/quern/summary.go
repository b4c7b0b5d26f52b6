package main

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"quern/convert"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/convert/serving"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/ui"
	"quern/shard"
)

// summary is what a conversion tells at its end, and prints as JSON.
type summary struct {
	Input       string             `json:"input"`
	Output      string             `json:"output_folder"`
	Complete    bool               `json:"already_complete"`
	InputBytes  int64              `json:"input_bytes"`
	Totals      plan.Totals        `json:"output"`
	Task        *taskSummary       `json:"task,omitempty"`      // set: what one task of many has made
	Unchanged   string             `json:"unchanged,omitempty"` // why most bytes stay as they are, where they do
	Quantized   int                `json:"quantized"`
	Worst       []worst            `json:"worst"`
	ShardsKept  int                `json:"shards_from_earlier_run"`
	Seconds     float64            `json:"seconds"`
	BytesPerSec float64            `json:"bytes_per_second"` // of input
	Calibration *calibrated        `json:"calibration,omitempty"`
	Regrouped   *shard.Description `json:"regrouped,omitempty"`
	Engines     []serving.Note     `json:"engines"`
	Notes       []string           `json:"notes"`
}

// calibrated is what an output has from a calibration.
type calibrated struct {
	Digest      string   `json:"digest"`
	Weighted    int      `json:"weighted"`     // weights whose search goes by channels
	InputScales int      `json:"input_scales"` // scales of activations
	CacheScales int      `json:"cache_scales"` // scales of keys and values
	Uncovered   []string `json:"uncovered"`    // modules that it never reached
}

// calibratedBy counts what p has from its calibration; nil without one.
func calibratedBy(p *plan.Plan) *calibrated {
	if p.Calibration == "" {
		return nil
	}
	c := &calibrated{Digest: p.Calibration, Uncovered: []string{}}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Quant.Channels != "":
			c.Weighted++
		case t.Op == plan.Constant && t.Meta.ScaleOf != "":
			c.InputScales++
		case t.Op == plan.Constant:
			c.CacheScales++
		}
		if n := len(c.Uncovered); t.Uncovered && (n == 0 || c.Uncovered[n-1] != t.Meta.Module) { // a weight's input scale follows it
			c.Uncovered = append(c.Uncovered, t.Meta.Module)
		}
	}
	return c
}

// String is c in a line.
func (c *calibrated) String() string {
	var parts []string
	for _, x := range []struct {
		n    int
		what string
	}{
		{c.Weighted, "searches weighted by channel"}, {c.InputScales, "scales of activations"}, {c.CacheScales, "scales of keys and values"},
	} {
		if x.n > 0 {
			parts = append(parts, ui.Count(int64(x.n))+" "+x.what)
		}
	}
	return fmt.Sprintf("%s; %s that it never reached (%.16s…)", strings.Join(parts, ", "), count(len(c.Uncovered), "module"), c.Digest)
}

// worst is a tensor that quantization hurt most.
type worst struct {
	Name      string  `json:"name"`
	SQNR      float64 `json:"sqnr_db"`
	Relative  float64 `json:"relative_error"`
	Max       float64 `json:"max_abs_error"`
	Subnormal int64   `json:"subnormal"`
	Zero      int64   `json:"zero"`
}

// alreadyComplete is the summary of a run that found nothing to do.
func alreadyComplete(ck *hf.Checkpoint, p *plan.Plan, in, out string) *summary {
	s := &summary{Input: in, Output: out, Complete: true, InputBytes: ck.Bytes(), Totals: p.Totals(), Unchanged: unchanged(p), Worst: []worst{}, Calibration: calibratedBy(p), Regrouped: shard.Describe(p), Engines: serving.Planned(p, ck).Notes(), Notes: p.Notes}
	if s.Notes == nil {
		s.Notes = []string{}
	}
	for i := range p.Tensors {
		if p.Tensors[i].Op.Quantizes() {
			s.Quantized++
		}
	}
	return s
}

func summarize(ck *hf.Checkpoint, p *plan.Plan, f finished, in, out string) *summary {
	s := alreadyComplete(ck, p, in, out)
	s.Complete = false
	s.ShardsKept, s.Seconds, s.BytesPerSec = f.Resumed, f.took.Seconds(), float64(f.Read)/max(f.took.Seconds(), 1e-9)
	s.Worst = worstOf(f.Manifest, 5)
	return s
}

// worstOf returns the n quantized tensors with the lowest SQNR.
func worstOf(m *manifest.Manifest, n int) []worst {
	list := []worst{}
	for _, t := range m.Tensors {
		if t.Error != nil && t.Error.SQNR != nil {
			list = append(list, worst{t.Name, *t.Error.SQNR, t.Error.Relative, t.Error.Max, t.Error.Subnormal, t.Error.Zero})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].SQNR < list[j].SQNR })
	return list[:min(n, len(list))]
}

// unchanged is said of a quantization only: what is to stay needs no word.
func unchanged(p *plan.Plan) string {
	if p.Command != "quantize" {
		return ""
	}
	return convert.Unchanged(p)
}

func (s *summary) print(w io.Writer) {
	if s.Unchanged != "" {
		fmt.Fprintln(w, ui.Wrap(clean(s.Unchanged), 0, 2))
	}
	head := fmt.Sprintf("%s → %s (%s), %s tensors in %s", ui.Bytes(s.InputBytes), ui.Bytes(s.Totals.Bytes), share(s.Totals.Bytes, s.InputBytes), ui.Count(int64(s.Totals.Tensors)), count(s.Totals.Shards, "file"))
	if s.ShardsKept > 0 {
		head += fmt.Sprintf(", %d of them from an earlier run", s.ShardsKept)
	}
	fmt.Fprintln(w, ui.Wrap(head, 0, 2))
	fmt.Fprintf(w, "%s at %s/s of input\n", ui.Duration(time.Duration(s.Seconds*float64(time.Second))), ui.Bytes(int64(s.BytesPerSec)))
	if s.Calibration != nil {
		fmt.Fprintf(w, "%s\n", ui.Wrap("from the calibration: "+s.Calibration.String(), 0, 2))
	}
	if len(s.Worst) > 0 {
		fmt.Fprintf(w, "\nworst of %s quantized tensors\n", ui.Count(int64(s.Quantized)))
		printWorst(w, s.Worst)
	}
	if s.Regrouped != nil {
		printRegrouped(w, s.Regrouped)
	}
	printEngines(w, "the output", s.Engines)
	fmt.Fprintf(w, "\noutput: %s\n", clean(s.Output))
}

// share is what part is of whole.
func share(part, whole int64) string {
	return fmt.Sprintf("%.1f %%", 100*float64(part)/max(float64(whole), 1))
}

func printWorst(w io.Writer, list []worst) {
	rows := make([][]string, len(list))
	for i, x := range list {
		rows[i] = []string{fmt.Sprintf("%.2f", x.SQNR), fmt.Sprintf("%.2f %%", 100*x.Relative), fmt.Sprintf("%.3g", x.Max), x.Name}
	}
	ui.Table(w, []string{">SQNR dB", ">error", ">largest", "tensor"}, rows)
}

// announce says what is about to happen.
func (t *terminal) announce(ck *hf.Checkpoint, p *plan.Plan, in, out string) {
	total := p.Totals()
	head := fmt.Sprintf("%s: %s, %s parameters, %s in %s", clean(in), architecture(ck), parameters(ck.Parameters()), ui.Bytes(ck.Bytes()), count(len(ck.Files), "file"))
	fmt.Fprintln(t.err, ui.Wrap(head, 0, 2))
	fmt.Fprintf(t.err, "%s: %s in %s\n", clean(out), ui.Bytes(total.Bytes), count(total.Shards, "file"))
}

// architecture names a checkpoint's, and says if it is not in the table.
func architecture(ck *hf.Checkpoint) string {
	a := ck.Arch()
	if a.Known() {
		return a.Name()
	}
	name := "no config"
	if ck.Config != nil {
		name = strings.Join(append([]string{ck.Config.ModelType}, ck.Config.Architectures...), " ")
	}
	return clean(strings.TrimSpace(name)) + " (not in the table: generic rules)"
}

// parameters writes counts as people say them.
func parameters(p model.Parameters) string {
	s := ui.Parameters(p.Total)
	if p.MTP > 0 {
		s += " + " + ui.Parameters(p.MTP) + " MTP"
	}
	return s
}
