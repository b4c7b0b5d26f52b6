package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/ui"
	"quern/scheme"
)

// print writes the dry run for people.
func (r *dryRun) print(w io.Writer, ck *hf.Checkpoint) {
	head := fmt.Sprintf("%s: %s, %s parameters", clean(r.Input), architecture(ck), parameters(r.Parameters))
	if r.Parameters.Active > 0 { // else the config does not tell
		head += fmt.Sprintf(", %s active for a token", ui.Parameters(r.Parameters.Active))
	}
	fmt.Fprintf(w, "%s\n\n", ui.Wrap(head, 0, 2))
	if len(r.Tensors) > 0 {
		r.printTensors(w)
	} else {
		r.printGroups(w)
	}
	fmt.Fprintln(w)
	row := func(k, format string, args ...any) {
		fmt.Fprintf(w, "%-8s %s\n", k, ui.Wrap(clean(fmt.Sprintf(format, args...)), 9, 9))
	}
	row("input", "%s", ui.Bytes(r.InputBytes))
	taken := ""
	if r.Taken > 0 {
		taken = ui.Count(int64(r.Taken)) + " taken over, "
	}
	row("output", "%s (%s), %s tensors in %s; %s quantized, %s%s kept", ui.Bytes(r.Output.Bytes), share(r.Output.Bytes, r.InputBytes),
		ui.Count(int64(r.Output.Tensors)), count(r.Output.Shards, "file"), ui.Count(int64(r.Quantized)), taken, ui.Count(int64(r.Kept)))
	if r.Calibration != nil {
		row("measured", "%s", r.Calibration)
	}
	if d := r.Regrouped; d != nil {
		row("by rank", "each of %s reads %s of %s (%s) or less", count(len(d.Ranks), "rank"), ui.Bytes(d.Most()), ui.Bytes(d.Bytes), share(d.Most(), d.Bytes))
	}
	row("memory", "%s", ui.Bytes(r.Memory))
	switch {
	case r.DiskFree == nil:
		row("disk", "%s", ui.Bytes(r.Output.Files))
	case *r.DiskFree < r.Output.Files:
		row("disk", "%s, but only %s are free for %s", ui.Bytes(r.Output.Files), ui.Bytes(*r.DiskFree), r.OutputFolder)
	default:
		row("disk", "%s of %s that are free", ui.Bytes(r.Output.Files), ui.Bytes(*r.DiskFree))
	}
	row("time", "about %s at %s/s of input (a disk that reads and writes %s/s together)", ui.Duration(time.Duration(roughly(r.Seconds)*float64(time.Second))), ui.Bytes(int64(roughly(r.Rate))), ui.Bytes(diskRate))
	r.printSchemes(w)
	printEngines(w, "the output", r.Engines)
	printList(w, "remarks", r.Notes)
}

// printSchemes writes how large the output would be in each scheme.
func (r *dryRun) printSchemes(w io.Writer) {
	fmt.Fprintln(w)
	rows := make([][]string, len(r.Schemes))
	for i, s := range r.Schemes {
		rows[i] = []string{s.Scheme, ui.Bytes(s.Bytes), share(s.Bytes, r.InputBytes)}
		if s.Why != "" { // groups do not divide a matrix
			rows[i] = []string{s.Scheme, "–", "–"}
		}
	}
	ui.Table(w, []string{"--to", ">size", ">of the input"}, rows)
}

// roughly is x to two digits: an estimate has no more, and one that is made again should
// read the same.
func roughly(x float64) float64 {
	if x <= 0 || x-x != 0 {
		return x
	}
	step := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/step) * step
}

// printTensors gives each tensor a line, for programs that cut and grep too.
func (r *dryRun) printTensors(w io.Writer) {
	rows := make([][]string, len(r.Tensors))
	for i, t := range r.Tensors {
		rows[i] = []string{t.Name, t.Op, t.From, t.DType, shape(t.Shape), t.File, t.Why}
	}
	ui.Table(w, []string{"tensor", "how", "from", "to", "shape", "file", "why kept"}, rows)
}

// printGroups gives tensors that differ only in numbers one line: what gets
// codes, what has them already, and what is kept, by reason. Scales need no
// lines: each of those weights has one.
func (r *dryRun) printGroups(w io.Writer) {
	var codes, taken section
	var kept []section // by reason
	scales, scaleBytes, constants := 0, int64(0), 0
	var scaleTypes []string
	for _, g := range r.Groups {
		dtype := g.DType
		if g.From != g.DType {
			dtype = g.From + " → " + g.DType
		}
		line := []string{"  " + g.Pattern, ui.Count(int64(g.Tensors)), dtype, shape(g.Shape), ui.Bytes(g.Bytes)}
		switch {
		case g.Op == plan.Constant.String():
			constants += g.Tensors
		case g.Role == model.Scale.String() && g.Op != plan.Copy.String():
			scales, scaleBytes = scales+g.Tensors, scaleBytes+g.Bytes
			if !slices.Contains(scaleTypes, g.DType) {
				scaleTypes = append(scaleTypes, g.DType)
			}
		case g.Op == plan.Quantize.String() || g.Op == plan.Requantize.String():
			if s, err := scheme.Find(g.Scheme); err == nil {
				codes.head = "quantized, " + s.Title
			}
			codes.rows = append(codes.rows, line)
		case g.Coded:
			taken.rows = append(taken.rows, line)
		default:
			i := slices.IndexFunc(kept, func(s section) bool { return s.head == g.Why })
			if i < 0 {
				i, kept = len(kept), append(kept, section{head: g.Why})
			}
			kept[i].rows = append(kept[i].rows, line)
		}
	}
	head := codes.head
	codes.head = ""
	printSections(w, head, codes)
	printSections(w, "taken over code by code", taken)
	printSections(w, "kept, and why", kept...)
	if scales > 0 {
		fmt.Fprintf(w, "%s scales in %s: %s\n", ui.Count(int64(scales)), strings.Join(scaleTypes, " and "), ui.Bytes(scaleBytes))
	}
	if constants > 0 {
		fmt.Fprintf(w, "%s scales of activations in F32\n", ui.Count(int64(constants)))
	}
}

// section is a part of a table under a line of its own.
type section struct {
	head string
	rows [][]string
}

// printSections writes one table; the heads do not widen its columns.
func printSections(w io.Writer, head string, sections ...section) {
	var rows [][]string
	for _, s := range sections {
		rows = append(rows, s.rows...)
	}
	if len(rows) == 0 {
		return
	}
	var b bytes.Buffer
	ui.Table(&b, []string{"  tensors", ">number", "dtype", "shape", ">size"}, rows)
	lines := strings.SplitAfter(b.String(), "\n")
	fmt.Fprintf(w, "%s\n%s", head, lines[0])
	lines = lines[1:]
	for _, s := range sections {
		if s.head != "" {
			fmt.Fprintln(w, clean(s.head))
		}
		for range s.rows {
			fmt.Fprint(w, lines[0])
			lines = lines[1:]
		}
	}
	fmt.Fprintln(w)
}
