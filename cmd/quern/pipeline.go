package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"quern/calibrate"
	"quern/calibrate/file"
	"quern/convert"
	"quern/convert/engine"
	"quern/corpus"
	"quern/formats/hf"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/internal/outfile"
	"quern/internal/tinyseek"
	"quern/internal/ui"
	"quern/runner"
	"quern/verify"
)

func pipelineCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "pipeline",
		Usage:     "the whole job: calibrate, quantize, regroup, verify, report",
		ArgsUsage: "[flags] [IN [OUT]]",
		Description: "IN defaults to the embedded model (14 MB, with every part of DeepSeek-V3's\n" +
			"architecture), OUT to a new temporary folder, which is printed last. Both models are\n" +
			"then run over a text, quern's own source unless --text is given, and a report is written\n" +
			"beside OUT. Exit code 3 if a gate fails.\n\n" +
			"Example:\n   quern pipeline",
		Flags: append(append(append(append(quantizeFlags(), evaluationFlags()...), deviceFlags()...), gateFlags()...),
			engineFlag("fails the gate engines"),
			&cli.StringFlag{Name: "report", Usage: "`FILE`where to write the report, OUT-report.html unless given"},
			workersFlag, verifyMemoryFlag, overwriteFlag, quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			q, err := conversionOf(c, 0, 2)
			if err != nil {
				return err
			}
			defer q.close()
			j := &verifying{quiet: c.Bool("quiet") || c.Bool("json"), command: os.Args[1:]}
			if err := j.evaluation(c); err != nil {
				return err
			}
			gates, err := changesOf(c)
			if err != nil {
				return err
			}
			var closeDevice func()
			if q.run.Device, closeDevice, err = t.device(c); err != nil {
				return err
			}
			defer closeDevice()
			j.device = q.run.Device
			at, err := places(q.args)
			if err != nil {
				return err
			}
			return at.tidy(t.pipeline(c, at, q, j, gates))
		},
	}
}

// scene is where a pipeline plays. What is not given is made in a new temporary
// folder.
type scene struct {
	in, out string
	tmp     string // "" when both were given
	own     bool   // in is the embedded model
}

func places(args []string) (scene, error) {
	if len(args) == 2 {
		return scene{in: args[0], out: args[1]}, nil
	}
	_ = os.MkdirAll(os.TempDir(), 0o777|os.ModeSticky) // an empty root directory has none
	tmp, err := os.MkdirTemp("", "quern-")
	if err != nil {
		return scene{}, fmt.Errorf("making a temporary folder: %w", err)
	}
	if len(args) == 1 {
		in := filepath.Clean(args[0])
		if full, err := filepath.Abs(in); err == nil {
			in = full // "." has a name too
		}
		return scene{in: args[0], out: filepath.Join(tmp, filepath.Base(in)+"-fp8"), tmp: tmp}, nil
	}
	in := filepath.Join(tmp, "tinyseek")
	at := scene{in: in, out: in + "-fp8", tmp: tmp, own: true}
	return at, at.tidy(tinyseek.Extract(in))
}

// tidy passes on how a pipeline ended. One that did not come to its end leaves
// nothing in temporary folders, unless that is work of which the user can make
// use.
func (s scene) tidy(err error) error {
	switch {
	case err == nil || errors.Is(err, errGate):
		return err
	case s.tmp == "":
		return interrupted(err, remains(s.out, "the same command"))
	case !s.own && errors.Is(err, context.Canceled):
		return interrupted(err, remains(s.out, fmt.Sprintf("the same command with %q as OUT", s.out)))
	}
	_ = os.RemoveAll(s.tmp)
	return err
}

// outcome is what a pipeline tells.
type outcome struct {
	Stages []stage        `json:"stages"`
	Result *summary       `json:"quantize"`
	Verify *verify.Report `json:"verify"`
	Passed bool           `json:"passed"`
	Output string         `json:"output_folder"`
	Report string         `json:"report"`
}

// stage is a line of the table.
type stage struct {
	Name    string  `json:"stage"`
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
}

func (t *terminal) pipeline(c *cli.Context, at scene, q *conversion, j *verifying, gates gateChanges) error {
	quiet, asJSON := c.Bool("quiet"), c.Bool("json")
	in, out, o, run := at.in, at.out, q.options, q.run
	page := outfile.File{Flag: "--report", Path: c.String("report"), Kind: outfile.Page}
	if page.Path == "" {
		page.Path = filepath.Clean(out) + "-report.html"
	}
	r := &outcome{Output: out, Report: page.Path}
	if err := (outfile.Command{Reads: append(j.reads(), in, c.String("calibration"), c.String("load"), c.String("trace")), Makes: out}).Check(page); err != nil {
		return err
	}
	start := time.Now()
	lap := func(name, format string, args ...any) {
		now := time.Now()
		r.Stages = append(r.Stages, stage{name, fmt.Sprintf(format, args...), now.Sub(start).Seconds()})
		start = now
	}

	ck, err := t.open(in)
	if err != nil {
		return err
	}
	notRun, err := at.text(t, j, ck)
	if err != nil {
		return err
	}
	if at.own && o.Calibration == nil {
		f, err := t.calibrateOwn(c, at, ck, run)
		if err != nil {
			return err
		}
		defer f.Close()
		if !c.IsSet("search") && o.Searches() {
			o.Search = fp8.SearchWeighted
		}
		if o.ByCalibration() {
			o.Calibration, o.Identify, run.Calibration = f, file.Identify, f
		}
		lap("calibrate", "%s tokens of %s", ui.Count(f.Info().Tokens()), tinyseek.CalibrationText)
	}
	p, err := t.plan(q, ck, quantizing(o))
	if err != nil {
		return err
	}
	total := p.Totals()
	if err := enough(ck, p, out, run); err != nil {
		return err
	}
	lap("plan", "%s, %s parameters: %s tensors in, %s out", architecture(ck), parameters(ck.Parameters()), ui.Count(int64(ck.Len())), ui.Count(int64(total.Tensors)))
	if at.tmp != "" && !quiet && !asJSON { // else the command says where
		free := ""
		if n, err := engine.Free(filepath.Dir(out)); err == nil {
			free = fmt.Sprintf(", %s are free there", ui.Bytes(n))
		}
		fmt.Fprintln(t.err, ui.Wrap(fmt.Sprintf("writing %s to %s%s", ui.Bytes(total.Files), clean(out), free), 0, 2))
	}
	t.notes(quiet || asJSON, p.Notes)

	done, err := t.make(c.Context, ck, p, out, "quantizing", run, quiet || asJSON)
	switch {
	case errors.Is(err, engine.ErrComplete):
		r.Result = alreadyComplete(ck, p, in, out)
		lap("quantize", "already complete")
	case err != nil:
		return err
	default:
		r.Result = summarize(ck, p, done, in, out)
		lap("quantize", "%s → %s (%s), %s tensors with codes", ui.Bytes(ck.Bytes()), ui.Bytes(total.Bytes), share(total.Bytes, ck.Bytes()), ui.Count(int64(r.Result.Quantized)))
	}

	if d := r.Result.Regrouped; d != nil { // in the same pass
		lap("regroup", "%s: each reads %s of %s (%s) or less", count(len(d.Ranks), "rank"), ui.Bytes(d.Most()), ui.Bytes(d.Bytes), share(d.Most(), d.Bytes))
	}
	made, err := t.open(out)
	if err != nil {
		return err
	}
	if r.Verify, err = t.verify(c.Context, j, ck, made); err != nil {
		return err
	}
	if notRun != nil {
		r.Verify.Warnings = append(r.Verify.Warnings, fmt.Sprintf("no model was run, so bytes and weights alone are judged: %v", notRun))
	}
	gates.apply(r.Verify)
	r.Passed = r.Verify.Passed
	lap("verify", "%s", verdict(r.Verify))
	unwritten := writeReport(page, r.Verify)
	if unwritten == nil {
		lap("report", "%s", clean(r.Report))
	} else {
		lap("report", "not written")
	}

	switch {
	case asJSON:
		err = t.json(r)
	case !quiet || !r.Passed:
		rows := make([][]string, len(r.Stages))
		for i, s := range r.Stages {
			rows[i] = []string{s.Name, s.Result, ui.Duration(time.Duration(s.Seconds * float64(time.Second)))}
		}
		ui.Table(t.out, []string{"stage", "result", ">time"}, rows)
		fmt.Fprintln(t.out)
		r.Verify.Print(t.out)
		fmt.Fprintf(t.out, "\nreport: %s\noutput: %s\n", clean(r.Report), clean(out))
	case at.tmp != "": // nobody would find it
		fmt.Fprintf(t.out, "output: %s\n", clean(out))
	}
	if err = errors.Join(err, unwritten); err == nil {
		err = failedGates(r.Verify)
	}
	return err
}

// calibrateOwn measures the embedded model on the text that comes with it, which
// verify does not use. For another model, --calibration brings measurements on a text
// that is like what it is for.
func (t *terminal) calibrateOwn(c *cli.Context, at scene, ck *hf.Checkpoint, run convert.RunOptions) (*file.File, error) {
	m := &models{}
	defer m.close()
	var err error
	if m.cand, err = runner.Open(ck, nil); err != nil {
		return nil, err
	}
	j := &verifying{texts: []string{filepath.Join(at.in, tinyseek.CalibrationText)}, chunk: corpus.ChunkOptions{Context: 512, Score: corpus.ScoreAll}}
	if err := j.read(m, ck); err != nil {
		return nil, err
	}
	out := filepath.Clean(at.out) + "-calibration.safetensors"
	o := calibrate.Options{
		Tool: "quern " + convert.Version, Checkpoint: time.Hour,
		Runner: runner.Options{Workers: run.Workers, Memory: cmp.Or(run.Memory, engine.DefaultMemory), Device: run.Device},
	}
	if _, err := t.measure(c, m, out, o, c.Bool("quiet") || c.Bool("json")); err != nil {
		return nil, err
	}
	return file.Open(out)
}

// strangerTokens is how much of quern's own text somebody else's model is run on:
// enough for the gates, and bearable for a large model on a small machine.
const strangerTokens = 2048

// text gives j quern's own text, unless it has one: for the embedded model all of it.
// With a text of the user's, a model that cannot be run, or a text that cannot be read,
// is an error before the work starts. Otherwise the model is judged by its bytes and
// weights alone, which is said: notRun is why.
func (s scene) text(t *terminal, j *verifying, ck *hf.Checkpoint) (notRun, err error) {
	asked := j.runs()
	j.builtin = !asked
	if !s.own && !asked && j.chunk.Tokens == 0 {
		j.chunk.Tokens = strangerTokens
	}
	m, err := j.open(nil, ck)
	if err == nil {
		m.close()
	}
	if asked || err == nil || !errors.Is(err, invalid.Input) {
		return nil, err
	}
	j.builtin = false
	t.notes(j.quiet, []string{fmt.Sprintf("bytes and weights are compared; what the models say is not, as that takes a model that can be run and its tokenizer: %v", err)})
	return err, nil
}

// verdict is a verification in a line.
func verdict(r *verify.Report) string {
	said := "every gate passed"
	if !r.Passed {
		said = "a gate FAILED"
	}
	what := ui.Count(int64(r.Tensors)) + " tensors against their source"
	if m := r.Metrics; m != nil {
		what += fmt.Sprintf(", KLD %.3g nats over %s tokens", float64(m.KLDMean), ui.Count(int64(m.Tokens)))
	}
	return what + ": " + said
}
