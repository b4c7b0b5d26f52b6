package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"quern/calibrate"
	"quern/calibrate/file"
	"quern/convert"
	"quern/corpus"
	"quern/internal/outfile"
	"quern/internal/ui"
	"quern/runner"
)

var outputFlag = &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE`the calibration file"}

var coveredFlag = &cli.IntFlag{Name: "covered", Usage: "`N`tokens below which an expert counts as hardly reached", Value: 128}

func calibrateCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "calibrate",
		Usage:     "measure activations and the load of experts on a text",
		ArgsUsage: "--text FILE… | --ids FILE [flags] -o FILE CKPT",
		Description: "The model runs over the text, layer by layer, in bounded memory. What each linear is\n" +
			"applied to, what attention keeps and which experts are chosen is counted, and no\n" +
			"activation is kept. Cut at any moment, the same command goes on at the layer where it\n" +
			"was. Files of several machines are put together with quern calibrate merge.\n\n" +
			"Example:\n   quern calibrate --text my.txt -o my.calibration.safetensors ./my-model",
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "text", Usage: "`FILE`text to run on; may be repeated"},
			&cli.StringFlag{Name: "ids", Usage: "`FILE`token ids to run on instead: input_ids of a safetensors file, or JSON"},
			&cli.IntFlag{Name: "tokens", Usage: "`N`run on the first N tokens only"},
			&cli.IntFlag{Name: "context", Usage: "`N`tokens that the model sees at once", Value: 512},
			outputFlag,
			&cli.StringFlag{Name: "trace", Usage: "`FILE`also write which experts every token chose"},
			&cli.BoolFlag{Name: "pairs", Usage: "count which experts are chosen together"},
			&cli.BoolFlag{Name: "all-experts", Usage: "show every token to every expert: all are covered, by tokens that are not theirs"},
			coveredFlag,
		}, append(deviceFlags(), workersFlag, verifyMemoryFlag, overwriteFlag, quietFlag, jsonFlag)...),
		Subcommands: []*cli.Command{mergeCalibrationsCommand(t)},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			return t.calibrate(c, args[0])
		},
	}
}

func mergeCalibrationsCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:  "merge",
		Usage: "put calibrations of the same model together",
		// main sets it for the commands only.
		OnUsageError: onUsageError,
		ArgsUsage:    "-o FILE A B …",
		Description:  "Maxima, sums and counts of all of them; their order does not matter.\n\nExample:\n   quern calibrate merge -o all.safetensors a.safetensors b.safetensors",
		Flags:        []cli.Flag{outputFlag, coveredFlag, quietFlag, jsonFlag},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 0, 1<<20)
			if err != nil {
				return err
			}
			out := c.String("output")
			switch {
			case out == "":
				return usagef("calibrate merge: -o says where to write")
			case len(args) == 0:
				return usagef("calibrate merge: there is nothing to put together; usage: quern calibrate merge %s", c.Command.ArgsUsage)
			case c.Int("covered") < 0:
				return usagef("--covered %d: not a number of tokens", c.Int("covered"))
			}
			r, err := calibrate.Merge(nil, out, args)
			if err != nil {
				return err
			}
			return t.calibrated(c, out, r)
		},
	}
}

// calibrating reads the flags of calibrate.
func calibrating(c *cli.Context) (*verifying, calibrate.Options, error) {
	j := &verifying{texts: c.StringSlice("text"), ids: c.String("ids"), quiet: c.Bool("quiet") || c.Bool("json")}
	j.chunk = corpus.ChunkOptions{Tokens: c.Int("tokens"), Context: c.Int("context"), Score: corpus.ScoreAll}
	o := calibrate.Options{
		Tool: "quern " + convert.Version, AllExperts: c.Bool("all-experts"), Pairs: c.Bool("pairs"), Trace: c.String("trace"),
		Overwrite: c.Bool("overwrite"), Checkpoint: time.Minute, Grace: grace,
	}
	var err error
	if o.Runner.Workers, err = workers(c); err != nil {
		return nil, o, err
	}
	if o.Runner.Memory, err = memory(c); err != nil {
		return nil, o, err
	}
	debug.SetMemoryLimit(o.Runner.Memory)
	o.Runner.Memory -= networked(c, o.Runner.Memory)
	switch {
	case c.String("output") == "":
		return nil, o, usagef("calibrate: -o says where to write")
	case len(j.texts) == 0 && j.ids == "":
		return nil, o, usagef("calibrate: --text or --ids says what to run on")
	case len(j.texts) > 0 && j.ids != "":
		return nil, o, usagef("calibrate: --text and --ids do not go together")
	case j.chunk.Tokens < 0:
		return nil, o, usagef("--tokens %d: not a number of tokens", j.chunk.Tokens)
	case j.chunk.Context < 4:
		return nil, o, usagef("--context %d: at least 4", j.chunk.Context)
	case c.Int("covered") < 0:
		return nil, o, usagef("--covered %d: not a number of tokens", c.Int("covered"))
	}
	return j, o, nil
}

// calibrate runs the model and tells.
func (t *terminal) calibrate(c *cli.Context, path string) error {
	j, o, err := calibrating(c)
	if err != nil {
		return err
	}
	out, trace := outfile.File{Flag: "-o", Path: c.String("output"), Kind: outfile.Calibration}, outfile.File{Flag: "--trace", Path: o.Trace, Kind: outfile.Trace}
	if err := (outfile.Command{Reads: append(j.reads(), path)}).Check(out, trace); err != nil {
		return err
	}
	ck, err := t.open(path)
	if err != nil {
		return err
	}
	m := &models{}
	defer m.close()
	if m.cand, err = runner.Open(ck, nil); err != nil {
		return err
	}
	t.notes(j.quiet, m.cand.Remarks())
	if err := j.read(m, ck); err != nil {
		return err
	}
	var done func()
	if o.Runner.Device, done, err = t.device(c); err != nil {
		return err
	}
	defer done()
	r, err := t.measure(c, m, c.String("output"), o, j.quiet)
	if errors.Is(err, calibrate.ErrComplete) {
		switch {
		case c.Bool("json"):
			return t.calibrated(c, c.String("output"), r)
		case !c.Bool("quiet"):
			fmt.Fprintf(t.out, "already complete: %s\n", clean(c.String("output")))
		}
		return nil
	}
	if err != nil {
		return interrupted(err, kept(err))
	}
	return t.calibrated(c, c.String("output"), r)
}

// grace is how long calibrate finishes a layer after a signal: less than what Slurm and
// Kubernetes wait (30 seconds) before they kill.
const grace = 20 * time.Second

// kept says what remains of a run that a signal has ended.
func kept(err error) string {
	i := (*calibrate.Interrupted)(nil)
	switch {
	case !errors.As(err, &i) || i.Next == 0:
		return "no layer was finished, and the same command begins anew"
	case i.Next == 1:
		return "layer 0 is kept; the same command goes on from here"
	}
	return fmt.Sprintf("layers 0 to %d are kept; the same command goes on from here", i.Next-1)
}

// measure runs calibrate.Run behind a progress bar.
func (t *terminal) measure(c *cli.Context, m *models, out string, o calibrate.Options, quiet bool) (*calibrate.Result, error) {
	bar := t.progress("calibrating", quiet)
	defer bar.Stop()
	o.Runner.Progress = bar.Update
	if o.Grace > 0 && !quiet {
		defer context.AfterFunc(c.Context, func() {
			bar.Stop()
			fmt.Fprintln(t.err, "note: the layer under way is finished first, so that it is kept; a second signal ends at once")
		})()
	}
	if d := o.Runner.Device; d != nil {
		o.Compute = d.Info().Kind
	}
	return calibrate.Run(c.Context, m.cand, m.texts, m.chunks, out, o)
}

// calibrationReport is what calibrate tells in JSON.
type calibrationReport struct {
	Output   string              `json:"output"`
	Digest   string              `json:"blake3"`
	Model    string              `json:"model"`
	Texts    []file.Text         `json:"texts"`
	Resumed  int                 `json:"resumed_at_layer,omitempty"`
	Coverage *calibrate.Coverage `json:"coverage"`
	Outliers []calibrate.Outlier `json:"outliers,omitempty"`
}

// shownOutliers is how many of the inputs with the largest outliers are told.
const shownOutliers = 5

// calibrated tells what was measured.
func (t *terminal) calibrated(c *cli.Context, out string, r *calibrate.Result) error {
	f, err := file.Open(out)
	if err != nil {
		return err
	}
	defer f.Close()
	report := &calibrationReport{Output: out, Digest: fmt.Sprintf("%x", r.Digest), Model: r.Info.Model, Texts: r.Info.Texts, Resumed: r.Resumed}
	if report.Coverage, err = calibrate.Cover(f, int64(c.Int("covered"))); err != nil {
		return err
	}
	if report.Outliers, err = calibrate.Outliers(f, shownOutliers); err != nil {
		return err
	}
	switch {
	case c.Bool("json"):
		return t.json(report)
	case !c.Bool("quiet"):
		report.print(t.out)
	}
	return nil
}

func (r *calibrationReport) print(w *results) {
	v := r.Coverage
	fmt.Fprintf(w, "%s: %s tokens of %s\n", clean(r.Output), ui.Count(v.Tokens), count(len(r.Texts), "text"))
	if r.Resumed > 0 {
		fmt.Fprintf(w, "went on at layer %d, where an earlier run was cut\n", r.Resumed)
	}
	if len(v.Layers) > 0 {
		head := fmt.Sprintf("%s of %s experts were never chosen, %s by fewer than %s tokens", ui.Count(v.Never), ui.Count(v.Experts), ui.Count(v.Few), ui.Count(v.Threshold))
		fmt.Fprintf(w, "\n%s\n\n", ui.Wrap(head, 0, 2))
		var rows [][]string
		for _, l := range v.Layers {
			name := fmt.Sprint(l.Layer)
			if l.MTP {
				name += " (mtp)"
			}
			rows = append(rows, []string{name, ui.Count(l.Least), ui.Count(l.Median), ui.Count(l.Most), ui.Count(l.Never), ui.Count(l.Few)})
		}
		ui.Table(w, []string{"layer", ">least tokens", ">median", ">most", ">never chosen", ">hardly reached"}, rows)
		r.printFew(w)
	}
	if len(r.Outliers) > 0 {
		fmt.Fprintln(w)
		var rows [][]string
		for _, o := range r.Outliers {
			rows = append(rows, []string{short(o.Modules), fmt.Sprintf("%.4g", o.Amax), fmt.Sprintf("%.4g", o.P999), fmt.Sprintf("%.1f", o.Ratio)})
		}
		ui.Table(w, []string{"inputs with the largest outliers", ">largest", ">99.9 % below", ">ratio"}, rows)
	}
}

// shownExperts is how many of the experts that texts hardly reach are listed.
const shownExperts = 12

// printFew lists experts that the texts hardly reach, the emptiest first, with the text
// of whose kind more would reach them, and says what is done for them.
func (r *calibrationReport) printFew(w *results) {
	v := r.Coverage
	if v.Few == 0 {
		return
	}
	type place struct {
		layer int
		calibrate.ExpertCoverage
	}
	var few []place
	for _, l := range v.Layers {
		for _, e := range l.Experts {
			few = append(few, place{l.Layer, e})
		}
	}
	slices.SortStableFunc(few, func(a, b place) int { return cmp.Compare(a.Tokens, b.Tokens) })
	var rows [][]string
	for _, p := range few[:min(len(few), shownExperts)] {
		most := "in none of them"
		if len(p.Texts) > 0 {
			most = fmt.Sprintf("%s (%.2g %% of it)", p.Texts[0].Text, 100*p.Texts[0].Share)
		}
		rows = append(rows, []string{fmt.Sprint(p.layer), fmt.Sprint(p.Expert), ui.Count(p.Tokens), most})
	}
	fmt.Fprintln(w)
	ui.Table(w, []string{"layer", ">expert", ">tokens", "most often in"}, rows)
	if n := len(few) - len(rows); n > 0 {
		fmt.Fprintf(w, "and %s more; --json lists them all\n", ui.Count(int64(n)))
	}
	if v.Never > 0 {
		fmt.Fprintf(w, "\nnever chosen: %s\n", ui.Wrap(v.Treatment.Never, len("never chosen: "), 0))
	}
	if v.Few > v.Never {
		fmt.Fprintf(w, "\nhardly reached: %s\n", ui.Wrap(v.Treatment.Few, len("hardly reached: "), 0))
	}
}

// short names modules that share an input.
func short(modules []string) string {
	if len(modules) == 1 {
		return modules[0]
	}
	return fmt.Sprintf("%s and %d more", modules[0], len(modules)-1)
}
