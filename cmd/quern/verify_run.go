package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"github.com/urfave/cli/v2"

	"quern/calibrate/file"
	"quern/convert"
	"quern/convert/plan"
	"quern/convert/serving"
	"quern/corpus"
	"quern/formats/hf"
	"quern/gpu"
	"quern/internal/invalid"
	"quern/runner"
	"quern/task"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/outputs"
	"quern/verify/record"
)

// verifying is a verification as the flags ask for it.
type verifying struct {
	baseline, reference, emit string
	texts                     []string
	ids                       string
	builtin                   bool   // quern's own text instead
	calibration               string // that scales of the checkpoint were searched by
	squares                   *file.File
	chunk                     corpus.ChunkOptions
	activations               string
	fast                      bool       // products in BF16
	device                    gpu.Device // nil: the processor
	kind                      string     // of the device that tasks had
	workers                   int
	memory                    int64
	quiet                     bool
	command                   []string
	engines                   []serving.Target // that the checkpoint is meant for
	task                      task.Task        // whose part is looked at; the zero one is all
	state                     string           // where a run keeps what it goes on from; "" is the usual place
	going                     *goingOn         // nil until models and texts are open
	parts                     []*record.Book   // what tasks have found, to be merged
}

// worstTokens is how many of the tokens that are furthest apart are listed.
const worstTokens = 30

func verifyJob(c *cli.Context) (*verifying, error) {
	j := &verifying{
		baseline: c.String("baseline"), reference: c.String("reference"), emit: c.String("emit-reference"),
		fast: c.Bool("fast"), quiet: c.Bool("quiet") || c.Bool("json"), command: os.Args[1:],
	}
	var err error
	if err = j.evaluation(c); err != nil {
		return nil, err
	}
	if err = j.searched(c); err != nil {
		return nil, err
	}
	if err = j.divided(c); err != nil {
		return nil, err
	}
	text := len(j.texts) > 0 || j.ids != ""
	switch {
	case j.baseline != "" && j.reference != "":
		return nil, usagef("verify: --baseline and --reference do not go together")
	case j.reference != "" && text:
		return nil, usagef("verify: --reference has token ids of its own; leave --text and --ids away")
	case j.emit != "" && !text:
		return nil, usagef("verify: --emit-reference needs --text or --ids")
	}
	return j, nil
}

// evaluation reads the flags of evaluationFlags and those that say how to run.
func (j *verifying) evaluation(c *cli.Context) error {
	j.texts, j.ids = c.StringSlice("text"), c.String("ids")
	var err error
	if j.chunk.Score, err = choice(c, "score", corpus.ScoreAll, corpus.ScoreSecondHalf); err != nil {
		return err
	}
	if j.activations, err = choice(c, "activations", "both", "bf16", "engines", "fp8"); err != nil {
		return err
	}
	if j.workers, err = workers(c); err != nil {
		return err
	}
	if j.memory, err = memory(c); err != nil {
		return err
	}
	if j.engines, err = targets(c); err != nil {
		return err
	}
	j.state = c.String("state")
	debug.SetMemoryLimit(j.memory)
	j.memory -= networked(c, j.memory)
	j.chunk.Tokens, j.chunk.Context = c.Int("tokens"), c.Int("context")
	switch {
	case len(j.texts) > 0 && j.ids != "":
		return usagef("%s: --text and --ids do not go together", c.Command.Name)
	case j.chunk.Tokens < 0:
		return usagef("--tokens %d: not a number of tokens", j.chunk.Tokens)
	case j.chunk.Context < 4:
		return usagef("--context %d: at least 4", j.chunk.Context)
	}
	return nil
}

// verify checks ck, against base unless that is nil, behind a progress bar: bytes
// and weights in one pass, then what the models say.
func (t *terminal) verify(ctx context.Context, j *verifying, base, ck *hf.Checkpoint) (*verify.Report, error) {
	if err := plan.Refuse(ck); err != nil {
		return nil, err
	}
	if base != nil {
		if err := plan.Refuse(base); err != nil {
			return nil, fmt.Errorf("--baseline: %w", err)
		}
	}
	m, err := j.open(base, ck)
	if err != nil {
		return nil, err
	}
	defer m.close()
	if j.going, err = t.keep(j, m, base, []*hf.Checkpoint{ck}); err != nil {
		return nil, err
	}
	r, err := t.judged(ctx, j, m, base, ck, "")
	return r, j.going.end(err)
}

// judged is the report on ck, whose models are open. Its records begin with name.
func (t *terminal) judged(ctx context.Context, j *verifying, m *models, base, ck *hf.Checkpoint, name string) (*verify.Report, error) {
	r, err := t.weights(ctx, j, base, ck, name)
	if err != nil {
		return nil, err
	}
	r.AddEngines(serving.AtHand(ck), j.engines)
	if m.cand == nil {
		return r, nil
	}
	if r.Unrelated != "" {
		r.Warnings = append(r.Warnings, "the models were not run: "+r.Unrelated)
		return r, nil
	}
	b, err := t.behaviour(ctx, j, m, name)
	switch {
	case err != nil && !r.Passed && errors.Is(err, invalid.Input):
		// The bytes have told already; the report is worth more than the error.
		r.Warnings = append(r.Warnings, fmt.Sprintf("the model could not be run: %v", err))
		return r, nil
	case err != nil:
		return nil, err
	}
	r.AddBehaviour(*b)
	return r, nil
}

// emulated reports whether the figures that gates judge are those with inputs rounded as
// engines do. fp8 is what that was called when FP8 was all that there was.
func (j *verifying) emulated() bool { return j.activations == "engines" || j.activations == "fp8" }

// runs reports whether there is anything to run.
func (j *verifying) runs() bool {
	return len(j.texts) > 0 || j.ids != "" || j.reference != "" || j.builtin
}

// reads are the paths that the flags name.
func (j *verifying) reads() []string {
	return append([]string{j.baseline, j.reference, j.ids, j.calibration}, j.texts...)
}

// running is how models are run, behind progress bars.
func (t *terminal) running(j *verifying, name string) (o evaluation.Options, stop func()) {
	show := &phases{t: t, quiet: j.quiet}
	return evaluation.Options{
		Workers: j.workers, Memory: j.memory, Device: j.device, Fast: j.fast, Worst: worstTokens, Progress: show.update,
		Emulate: j.emulated(), Deployment: j.activations == "both",
		Records: j.going.Book, Name: name, Resumed: t.resumed(j, show), Saved: j.going.saves,
	}, show.stop
}

// behaviour runs the models.
func (t *terminal) behaviour(ctx context.Context, j *verifying, m *models, name string) (*verify.Behaviour, error) {
	b := &verify.Behaviour{Setup: j.setup(m)}
	o, stop := t.running(j, name)
	defer stop()
	if j.fast {
		var err error
		if b.Fast, err = evaluation.FastError(ctx, m.cand, m.texts, m.chunks, o); err != nil {
			return nil, err
		}
	}
	if j.parts != nil {
		return b, j.merged(m, b)
	}
	if m.reference != nil {
		c, err := evaluation.Against(ctx, m.reference, m.cand, o)
		if err != nil {
			return nil, err
		}
		b.Referred(c, m.reference.IDs)
		return b, nil
	}
	if j.emit != "" {
		if err := evaluation.Emit(ctx, m.cand, m.chunks, j.emit, true, o); err != nil {
			return nil, fmt.Errorf("writing %q: %w", j.emit, err)
		}
		if m.base == nil {
			return b, nil
		}
	}
	if m.base == nil {
		s, err := evaluation.Run(ctx, m.cand, m.texts, m.chunks, o)
		if err != nil {
			return nil, err
		}
		b.Ran(s)
		return b, nil
	}
	var err error
	if o.Renumbered, err = verify.Renumbering(m.base.Checkpoint(), m.cand.Checkpoint()); err != nil {
		return nil, err
	}
	c, static, err := m.compare(ctx, o)
	if err != nil {
		return nil, err
	}
	m.told(b, c, static)
	return b, nil
}

// told takes what two models make of the texts.
func (m *models) told(b *verify.Behaviour, c, static *evaluation.Comparison) {
	b.Compared(c)
	if static != nil {
		b.Static, b.StaticMTP = &static.Metrics, static.MTP
	}
	for i := range b.Worst {
		b.Worst[i].Show = m.shown(&b.Worst[i])
	}
}

// shown is a bad token as text.
func (m *models) shown(w *evaluation.WorstToken) *evaluation.Shown {
	if m.tokens == nil {
		return nil
	}
	text := func(ids ...int) string {
		s, err := m.tokens.Decode(ids)
		if err != nil {
			return fmt.Sprint(ids)
		}
		return s
	}
	return &evaluation.Shown{Before: text(w.Before...), Target: text(w.Target), TopBase: text(w.TopBase), TopQuant: text(w.TopQuant)}
}

func (j *verifying) setup(m *models) *verify.Setup {
	activations := j.activations
	if activations == "both" {
		activations = "bf16" // of the figures that gates judge
	}
	s := &verify.Setup{Version: convert.Version, Activations: activations, Sources: m.sources, Command: j.command}
	if m.tokens != nil {
		s.Context, s.Score = j.chunk.Context, j.chunk.Score
	}
	for _, x := range []*runner.Model{m.cand, m.base} {
		if x == nil {
			continue
		}
		for _, r := range x.Remarks() {
			if !slices.Contains(s.Remarks, r) { // of both they are mostly the same
				s.Remarks = append(s.Remarks, r)
			}
		}
	}
	return s
}

// compareOutputs compares two outputs files.
func (t *terminal) compareOutputs(ctx context.Context, j *verifying, path string) (*verify.Report, error) {
	if j.reference == "" {
		return nil, usagef("verify: %s is an outputs file; say with --reference what to hold it against", path)
	}
	if len(j.texts) > 0 || j.ids != "" || j.emit != "" {
		return nil, usagef("verify: two outputs files are compared as they are; no text is run")
	}
	base, err := outputs.Open(j.reference)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	quant, err := outputs.Open(path)
	if err != nil {
		return nil, err
	}
	defer quant.Close()
	bar := t.progress("comparing", j.quiet)
	defer bar.Stop()
	c, err := outputs.Compare(ctx, base, quant, outputs.Options{Workers: j.workers, Worst: worstTokens, Progress: bar.Update})
	if err != nil {
		return nil, err
	}
	r := &verify.Report{Checkpoint: path, Baseline: j.reference}
	b := verify.Behaviour{Setup: &verify.Setup{Version: convert.Version, Command: j.command}}
	b.Referred(c, base.IDs)
	r.AddBehaviour(b)
	return r, nil
}
