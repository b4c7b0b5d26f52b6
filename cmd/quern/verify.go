package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/corpus"
	"quern/formats/hf"
	"quern/internal/outfile"
	"quern/internal/page"
	"quern/verify"
	"quern/verify/report"
)

func verifyCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "prove what a checkpoint is worth: bytes, weights, and what the model says",
		ArgsUsage: "[--baseline CKPT | --reference FILE] [--text FILE…] [flags] CKPT…|OUTPUTS",
		Description: "Alone, the checkpoint is held against its own manifest and config. With --baseline every\n" +
			"quantized tensor is compared with the original's, and every other tensor must be equal.\n" +
			"With a text both models run over it, layer by layer, in bounded memory and without a\n" +
			"GPU: perplexity, KL divergence, agreement, routing, multi-token prediction. With\n" +
			"--reference the model's outputs are held against those of any other program (an outputs\n" +
			"file, docs/verify.md); given an outputs file instead of a checkpoint, the two files are\n" +
			"compared. Several checkpoints of one baseline are compared in one table, and the baseline\n" +
			"is run once for all. Exit code 3 if a gate fails. A run that was cut goes on where it\n" +
			"was. With --task each of many machines looks at its part, and quern merge judges.\n\n" +
			"Example:\n   quern verify --baseline ./my-model --text my.txt --report r.html ./my-model-fp8\n" +
			"   quern verify --task 3/16 --parts ./parts --baseline ./my-model --text my.txt ./my-model-fp8",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "baseline", Usage: "`CKPT`the checkpoint that it was made from"},
			&cli.StringFlag{Name: "calibration", Usage: "`FILE`what scales were searched by (quantize --search weighted), to search anew"},
			&cli.StringFlag{Name: "reference", Usage: "`FILE`outputs of another program, or of --emit-reference"},
			&cli.StringFlag{Name: "emit-reference", Usage: "`FILE`write the model's outputs on the text: logits, hidden states, experts"},
			&cli.BoolFlag{Name: "fast", Usage: "multiply in BF16 on processors that gain by it; how much that changes is measured and told"},
		}, append(slices.Concat(evaluationFlags(), deviceFlags(), judging(), verifyTaskFlags()),
			workersFlag, verifyMemoryFlag, quietFlag, jsonFlag)...),
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, maxCandidates)
			if err != nil {
				return err
			}
			j, err := verifyJob(c)
			if err != nil {
				return err
			}
			gates, err := changesOf(c)
			if err != nil {
				return err
			}
			page, result, emitted := verifyFiles(c)
			if err := (outfile.Command{Reads: append(j.reads(), args...)}).Check(page, result, emitted); err != nil {
				return err
			}
			if err := j.several(args); err != nil {
				return err
			}
			if err := j.fastRefused(c); err != nil {
				return err
			}
			if j.runs() && !j.fast {
				var done func()
				if j.device, done, err = t.device(c); err != nil {
					return err
				}
				defer done()
			}
			if len(args) > 1 {
				return t.candidates(c, j, gates, args)
			}
			if !j.task.Whole() {
				return t.share(c, j, args[0])
			}
			r, err := t.check(c.Context, j, args[0])
			if err != nil {
				return err
			}
			gates.apply(r)
			return t.reported(c, r)
		},
	}
}

var verifyMemoryFlag = &cli.StringFlag{Name: "memory", Usage: "`SIZE`bound on what the whole process takes", Value: "2GiB"}

// evaluationFlags say what models are run on.
func evaluationFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "text", Usage: "`FILE`text to run on; may be repeated, figures are also given for each"},
		&cli.StringFlag{Name: "ids", Usage: "`FILE`token ids to run on instead: input_ids of a safetensors file, or JSON"},
		&cli.IntFlag{Name: "tokens", Usage: "`N`run on the first N tokens only"},
		&cli.IntFlag{Name: "context", Usage: "`N`tokens that the model sees at once", Value: 512},
		&cli.StringFlag{Name: "score", Usage: "`all|second-half`every token once, or as llama-perplexity: the second half of each whole chunk", Value: corpus.ScoreAll},
		&cli.StringFlag{Name: "activations", Usage: "`both|bf16|engines`inputs of quantized weights: as they come (bf16), rounded as engines do, or both side by side; gates judge the first of both", Value: "both"},
	}
}

// verifyFiles are the files that the flags of verify name.
func verifyFiles(c *cli.Context) (report, result, outputs outfile.File) {
	return outfile.File{Flag: "--report", Path: c.String("report"), Kind: outfile.Page},
		outfile.File{Flag: "--json-file", Path: c.String("json-file"), Kind: outfile.JSON},
		outfile.File{Flag: "--emit-reference", Path: c.String("emit-reference"), Kind: outfile.Outputs}
}

// reported tells what was found, and then writes it to wherever the flags say: what
// was worked for is on the screen even when no file can be written any more.
func (t *terminal) reported(c *cli.Context, r *verify.Report) error {
	var err error
	switch {
	case c.Bool("json"):
		err = t.json(r)
	case !c.Bool("quiet") || !r.Passed:
		r.Print(t.out)
	}
	page, result, _ := verifyFiles(c)
	err = errors.Join(err, writeJSON(result, r), writeReport(page, r))
	if err == nil {
		err = failedGates(r)
	}
	return err
}

// writeJSON writes r as JSON, unless there is no file for it.
func writeJSON(to outfile.File, r any) error {
	if to.Path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return to.Write(append(outfile.MarkJSON(convert.Version, raw), '\n'))
}

// writeReport writes the HTML form of r, unless there is no file for it.
func writeReport(to outfile.File, r *verify.Report) error {
	if to.Path == "" {
		return nil
	}
	r.Date = page.Now()
	return writePage(to, func(w io.Writer) error { return report.HTML(w, r) })
}

// writePage writes what make makes.
func writePage(to outfile.File, make func(io.Writer) error) error {
	var b bytes.Buffer
	if err := make(&b); err != nil {
		return fmt.Errorf("making the report: %w", err)
	}
	return to.Write(b.Bytes())
}

// gateChange is what --gate says about one gate.
type gateChange struct {
	name  string
	off   bool
	limit float64
}

// gateChanges is what flags say about gates.
type gateChanges struct {
	changes  []gateChange
	required []string
}

// gateFlags are the flags that change gates.
func gateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "gate", Usage: "`NAME=LIMIT|off`another limit for a gate, or none; may be repeated"},
		&cli.StringSliceFlag{Name: "require", Usage: "`NAME`a gate that has to be decided: fails if it is not checked or lacks evidence; may be repeated"},
	}
}

// changesOf reads them.
func changesOf(c *cli.Context) (out gateChanges, err error) {
	for _, f := range c.StringSlice("require") {
		if !slices.Contains(verify.GateNames(), f) {
			return out, usagef("--require %s: gates are %s", f, strings.Join(verify.GateNames(), ", "))
		}
		out.required = append(out.required, f)
	}
	for _, f := range c.StringSlice("gate") {
		name, value, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains(verify.GateNames(), name) {
			return out, usagef("--gate %s: it is NAME=LIMIT or NAME=off, and gates are %s", f, strings.Join(verify.GateNames(), ", "))
		}
		g := gateChange{name: name, off: value == "off"}
		if !g.off {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil || x-x != 0 {
				return out, usagef("--gate %s: %q is no number", f, value)
			}
			g.limit = x
		}
		if g.off && slices.Contains(out.required, name) {
			return out, usagef("--gate %s does not go together with --require %s", f, name)
		}
		out.changes = append(out.changes, g)
	}
	return out, nil
}

// apply judges the gates of r anew.
func (gs gateChanges) apply(r *verify.Report) {
	for _, g := range gs.changes {
		found := false
		if g.off {
			found = r.SetOff(g.name)
		} else {
			found = r.SetLimit(g.name, g.limit)
		}
		if !found {
			r.Warnings = append(r.Warnings, fmt.Sprintf("gate %s was given a limit but is not checked by this run", g.name))
		}
	}
	for _, name := range gs.required {
		r.Require(name)
	}
}

// isOutputs reports whether a path is an outputs file rather than a checkpoint.
func isOutputs(path string) bool {
	fi, err := os.Stat(path)
	if err != nil || fi.IsDir() {
		return false
	}
	c, err := hf.Open(path)
	return err == nil && c.Has("input_ids") && c.Has("logits")
}

// check does what the flags of verify ask for.
func (t *terminal) check(ctx context.Context, j *verifying, path string) (*verify.Report, error) {
	if isOutputs(path) {
		return t.compareOutputs(ctx, j, path)
	}
	base, ck, err := t.both(j, path)
	if err != nil {
		return nil, err
	}
	return t.verify(ctx, j, base, ck)
}
