package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/page"
	"quern/runner"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/report"
)

// maxCandidates is how many checkpoints verify compares: more is a glob gone wrong.
const maxCandidates = 64

// several refuses what does not go together with more than one checkpoint.
func (j *verifying) several(paths []string) error {
	if len(paths) == 1 {
		return nil
	}
	switch {
	case j.reference != "":
		return usagef("verify: --reference takes one checkpoint, not %d", len(paths))
	case !j.task.Whole():
		return usagef("verify: --task takes one checkpoint, not %d: a folder of parts for each", len(paths))
	case j.emit != "":
		return usagef("verify: --emit-reference takes one checkpoint, not %d", len(paths))
	case j.baseline == "":
		return usagef("verify: %d checkpoints are compared with what they were made from: give --baseline", len(paths))
	}
	seen := map[string]bool{}
	for _, p := range paths {
		if p = filepath.Clean(p); seen[p] {
			return usagef("verify: %s is given twice", p)
		}
		seen[p] = true
	}
	return nil
}

// candidates verifies several checkpoints of one baseline, which is run once.
func (t *terminal) candidates(c *cli.Context, j *verifying, gates gateChanges, paths []string) error {
	base, err := t.open(j.baseline)
	if err != nil {
		return fmt.Errorf("--baseline: %w", err)
	}
	if err := plan.Refuse(base); err != nil {
		return fmt.Errorf("--baseline: %w", err)
	}
	// All are opened before the first is read: hours of work must not end at a typo.
	cks := make([]*hf.Checkpoint, len(paths))
	for i, p := range paths {
		if cks[i], err = t.open(p); err != nil {
			return err
		}
		if err := plan.Refuse(cks[i]); err != nil {
			return err
		}
	}
	all, done, err := j.openAll(base, cks)
	if err != nil {
		return err
	}
	defer done()
	if j.going, err = t.keep(j, all[0], base, cks); err != nil {
		return err
	}
	found, err := t.judgedAll(c.Context, j, gates, all, base, cks)
	if err := j.going.end(err); err != nil {
		return err
	}
	return t.reportedAll(c, found)
}

// judgedAll are the reports on all candidates.
func (t *terminal) judgedAll(ctx context.Context, j *verifying, gates gateChanges, all []*models, base *hf.Checkpoint, cks []*hf.Checkpoint) (*verify.Candidates, error) {
	found := &verify.Candidates{Baseline: base.Path, BaselineBytes: base.Bytes()}
	for i, ck := range cks {
		r, err := t.judged(ctx, j, all[i], base, ck, fmt.Sprintf("%d ", i+1))
		if err != nil {
			return nil, fmt.Errorf("verifying %q: %w", ck.Path, err)
		}
		gates.apply(r)
		quantization := "none"
		if ck.Config != nil {
			quantization = quantizationText(ck.Config.Quant)
		}
		found.Add(r, quantization)
	}
	return found, nil
}

// openAll opens the models of all candidates. The texts are the same for all, as the
// first of them, or the baseline, reads them; the baseline runs at most once, when the
// first candidate asks for it.
func (j *verifying) openAll(base *hf.Checkpoint, cks []*hf.Checkpoint) (all []*models, done func(), err error) {
	first, err := j.open(base, cks[0])
	if err != nil {
		return nil, nil, err
	}
	var held *evaluation.Held
	done = func() {
		if held != nil {
			held.Close()
		}
		for _, m := range all[1:] {
			if m.cand != nil {
				m.cand.Close()
			}
		}
		first.close()
	}
	all = []*models{first}
	if first.base != nil {
		held = evaluation.Hold(first.base, first.texts, first.chunks)
		first.held = held
	}
	for _, ck := range cks[1:] {
		m := *first
		m.cand = nil
		if first.cand != nil {
			if m.cand, err = runner.Open(ck, nil); err != nil {
				done()
				return nil, nil, err
			}
		}
		all = append(all, &m)
	}
	return all, done, nil
}

// reportedAll tells what was found of candidates, as reported does of one.
func (t *terminal) reportedAll(c *cli.Context, found *verify.Candidates) error {
	var err error
	switch {
	case c.Bool("json"):
		err = t.json(found)
	case !c.Bool("quiet") || !found.Passed:
		found.Print(t.out)
	}
	to, result, _ := verifyFiles(c)
	err = errors.Join(err, writeJSON(result, found))
	if to.Path != "" {
		date := page.Now()
		err = errors.Join(err, writePage(to, func(w io.Writer) error { return report.Candidates(w, found, date) }))
	}
	if err != nil || found.Passed {
		return err
	}
	var failed []string
	for i := range found.List {
		if e := failedGates(found.List[i].Report); e != nil {
			failed = append(failed, fmt.Sprintf("%q: %s", found.List[i].Checkpoint, strings.TrimPrefix(e.Error(), errGate.Error()+": ")))
		}
	}
	return fmt.Errorf("%w: %s", errGate, strings.Join(failed, "; "))
}
