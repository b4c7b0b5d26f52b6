// Package verify proves what a checkpoint is worth before anyone serves it: that
// its bytes are those that were written, that its numbers are numbers, and, held
// against the checkpoint that it was made from, how far its weights are off and
// that everything else is untouched. No model is run.
//
// [Integrity] looks at one checkpoint, [Weights] at two, and [Compare] does both
// and reads each byte once. Tensors are streamed in pieces, so memory depends on
// the number of workers and not on the size of anything; results depend on the
// checkpoints alone, not on the number of workers.
//
// # Gates
//
// What was found is summed up in gates. Of the gates made here all but sqnr count
// what is wrong, mostly tensors, and pass at 0:
//
//   - digest: tensors that are not as quern-manifest.json says: other bytes, dtype,
//     shape or file, missing, or not in it
//   - finite: tensors with NaN or infinite values, or NaN codes
//   - scales: scales of weights that are not positive and finite, no powers of two
//     although the config says ue8m0, or of a shape that fits no layout
//   - shapes: tensors whose shape is not the one that the config gives
//   - config: what config.json says of the quantization and the tensors do not bear
//     out, and what else in it and generation_config.json differs from the baseline's
//   - files: tokenizer and other side files that are not the baseline's
//   - kept: tensors that were not quantized and differ from the baseline's, and
//     those that one side lacks
//   - codes: tensors with codes that are not the nearest to their weights under their
//     own scales
//   - sqnr: the signal-to-noise ratio in dB of the tensor that is closest to its
//     limit or furthest below; the limit is 31 dB or, where less can be had, 0.1 dB
//     less than the absolute maximum gives with the same form of scales
//
// A checkpoint whose structure makes no sense (an FP8 weight without a scale, a
// manifest that is no JSON) is no matter of gates but an error that matches
// invalid.Input.
package verify

import (
	"context"
	"fmt"
	"time"

	"quern/convert/serving"
	"quern/formats/hf"
	"quern/task"
	"quern/verify/record"
)

// Options say how to look. None of them affects what is found.
type Options struct {
	Workers int // goroutines that look; 0: one a processor
	// Memory, if set, bounds the bytes that pieces of tensors take: with little of it, less
	// is read ahead, and by fewer workers.
	Memory int64
	// Records, if set, has what was found of tensors before, which are not read again,
	// and takes what is found.
	Records *record.Book
	Name    string // begins the names of records, where several checkpoints have one book
	// Task is the part of the tensors that is looked at, of [Share].
	Task task.Task
	// Recorded says that all tensors are in Records: one that is not matches
	// invalid.Input, and none is read.
	Recorded bool
	// Calibration, if set, is what a weighted search of the candidate went by, which is made
	// anew then.
	Calibration Calibration
	// Progress, if set, is called from many goroutines with the bytes that were
	// read and those that there are to read.
	Progress func(done, total int64)
	// Begun, if set, is called before with what was found earlier of it.
	Begun func(done, total int64)
}

// Report is what was found.
type Report struct {
	Checkpoint string      `json:"checkpoint"`
	Baseline   string      `json:"baseline,omitempty"`
	Tensors    int         `json:"tensors"`
	Bytes      int64       `json:"bytes"` // of the tensors' data
	Subject    *Subject    `json:"subject,omitempty"`
	Renumbered *Renumbered `json:"renumbered,omitempty"` // experts, against the baseline
	// Unrelated says that the baseline is another model of the same shape, if so.
	Unrelated string         `json:"unrelated,omitempty"`
	Gates     []Gate         `json:"gates"`
	Passed    bool           `json:"passed"` // all gates are
	Sizes     []RoleSize     `json:"sizes,omitempty"`
	Weights   *WeightsReport `json:"weights,omitempty"`
	LowBlocks *LowBlocks     `json:"low_blocks,omitempty"` // of NVFP4
	Engines   []serving.Note `json:"engines,omitempty"`    // what they do with the checkpoint
	Behaviour
	Warnings []string `json:"warnings,omitempty"`

	// Date is when the report was made, for the page alone: the same checkpoints give the
	// same JSON on any day.
	Date time.Time `json:"-"`

	asked bool // the limit of the gate evidence is somebody's
}

// Add puts gates to those that there are and works out Passed again.
func (r *Report) Add(gates ...Gate) {
	r.Gates = append(r.Gates, gates...)
	r.weigh()
	r.Passed = true
	for _, g := range r.Gates {
		r.Passed = r.Passed && g.Passed
	}
}

// Integrity checks one checkpoint by itself: the gates digest, finite, scales and
// shapes. It reads every tensor byte once. An error that matches
// invalid.Input blames the checkpoint's structure, others the machine.
func Integrity(ctx context.Context, c *hf.Checkpoint, o Options) (*Report, error) {
	return look(ctx, nil, c, o, true)
}

// Weights compares the tensors of cand with those of base, which it was made from:
// the gates kept and sqnr. Errors are as those of [Integrity].
func Weights(ctx context.Context, base, cand *hf.Checkpoint, o Options) (*WeightsReport, []Gate, error) {
	r, err := look(ctx, base, cand, o, false)
	if err != nil {
		return nil, nil, err
	}
	return r.Weights, r.Gates, nil
}

// Compare is [Integrity] of cand and [Weights] in one pass over both.
func Compare(ctx context.Context, base, cand *hf.Checkpoint, o Options) (*Report, error) {
	return look(ctx, base, cand, o, true)
}

// Share looks at the tensors of a task, as [Compare] does, or without base as
// [Integrity] does, and keeps what it finds in o.Records.
func Share(ctx context.Context, base, cand *hf.Checkpoint, o Options) error {
	_, err := look(ctx, base, cand, o, true)
	return err
}

// look makes one pass over cand, and over base if there is one. The report of a task is
// nil.
func look(ctx context.Context, base, cand *hf.Checkpoint, o Options, whole bool) (*Report, error) {
	mine, err := newSide(cand, nil)
	if err != nil {
		return nil, err
	}
	defer mine.files.Close()
	mine.files.Uncached()
	jobs := make([]*job, len(mine.tensors))
	for i := range jobs {
		jobs[i] = newJob(&mine.tensors[i])
	}
	r := &Report{Checkpoint: cand.Path, Tensors: cand.Len(), Bytes: cand.Bytes()}
	var x *integrity
	if whole {
		if x, err = newIntegrity(mine, jobs); err != nil {
			return nil, err
		}
		r.Warnings = x.warnings()
	}
	r.Sizes = sizes(base, cand)
	if whole {
		r.Subject = subject(mine)
	}
	var w *comparison
	if base != nil {
		r.Baseline = base.Path
		order, err := Renumbering(base, cand)
		if err != nil {
			return nil, err
		}
		r.Renumbered = renumbered(order)
		its, err := newSide(base, order)
		if err != nil {
			return nil, fmt.Errorf("baseline: %w", err)
		}
		defer its.files.Close()
		its.files.Uncached()
		if err := related(its, mine); err != nil {
			return nil, err
		}
		if w, err = newComparison(its, mine, jobs, o.Calibration); err != nil {
			return nil, err
		}
	}
	var low lowBlocks
	if whole {
		low = newLowBlocks(mine, jobs)
	}
	if err := run(ctx, mine.files, jobs, o); err != nil {
		return nil, err
	}
	if err := mine.files.Check(); err != nil {
		return nil, err
	}
	if w != nil {
		if err := w.base.files.Check(); err != nil {
			return nil, fmt.Errorf("baseline: %w", err)
		}
	}
	if !o.Task.Whole() {
		return nil, nil
	}
	r.LowBlocks = low.report()
	f := found{cand: mine, integrity: x, comparison: w, report: r}
	if w != nil {
		f.base = w.base
		r.Weights, r.Unrelated = w.report(), w.unrelated()
	}
	r.Add(f.judge()...)
	return r, nil
}
