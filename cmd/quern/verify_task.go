package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/calibrate/file"
	"quern/convert/plan"
	"quern/corpus"
	"quern/formats/hf"
	"quern/internal/invalid"
	"quern/internal/outfile"
	"quern/store"
	"quern/task"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/record"
)

// verifyTaskFlags divide a verification.
func verifyTaskFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "task", Usage: "`i/n|auto`look at the tensors and texts of task i of n only, and write what is found into --parts; auto asks the scheduler; quern merge makes the report"},
		&cli.StringFlag{Name: "parts", Usage: "`DIR`the folder that all tasks write into"},
		stateFlag,
	}
}

// judging are the flags that say what becomes of what was found: with tasks they are the
// merge's.
func judging() []cli.Flag {
	return append(gateFlags(),
		engineFlag("fails the gate engines"),
		&cli.StringFlag{Name: "report", Usage: "`FILE`write a report as one HTML file"},
		&cli.StringFlag{Name: "json-file", Usage: "`FILE`write the result as JSON, beside what is printed"},
	)
}

// divided reads the flags of verifyTaskFlags.
func (j *verifying) divided(c *cli.Context) (err error) {
	if !c.IsSet("task") {
		if c.IsSet("parts") {
			return usagef("verify: --parts %s: only a task writes there; give --task i/n", c.String("parts"))
		}
		return nil
	}
	if j.task, err = task.Parse(c.String("task"), os.Getenv); err != nil {
		return usagef("--task %v", err)
	}
	switch {
	case c.String("parts") == "":
		return usagef("verify: --task %s: where does it write? Give --parts DIR, the same to all tasks", j.task)
	case strings.Contains(c.String("parts"), "://"):
		return usagef("verify: --parts %s: parts are written to a folder of this machine or one that it has mounted", c.String("parts"))
	case j.reference != "" || j.emit != "":
		return usagef("verify: outputs files are not divided into tasks; leave --reference and --emit-reference away")
	}
	for _, f := range judging() {
		if name := f.Names()[0]; c.IsSet(name) {
			return usagef("verify: --%s is for quern merge, which judges what all tasks have found", name)
		}
	}
	return nil
}

// sizesOf is the size of each chunk, by which tasks divide them.
func sizesOf(chunks []corpus.Chunk) []int64 {
	sizes := make([]int64, len(chunks))
	for i := range chunks {
		sizes[i] = int64(len(chunks[i].IDs))
	}
	return sizes
}

// taskFound is what a task of verify prints as JSON.
type taskFound struct {
	Task     int    `json:"task"` // of Of
	Of       int    `json:"of"`
	Parts    string `json:"parts"`
	Complete bool   `json:"already_complete"`
	Tensors  int    `json:"tensors"`
	Chunks   int    `json:"chunks"` // of the texts
}

// share does the part of a task.
func (t *terminal) share(c *cli.Context, j *verifying, path string) error {
	if isOutputs(path) {
		return usagef("verify: %s is an outputs file, which is not divided into tasks", path)
	}
	dir := c.String("parts")
	base, ck, err := t.both(j, path)
	if err != nil {
		return err
	}
	m, err := j.open(base, ck)
	if err != nil {
		return err
	}
	defer m.close()
	id, err := j.identity(m, base, []*hf.Checkpoint{ck}, onAnyMachine)
	if err != nil {
		return err
	}
	r := taskFound{Task: j.task.I, Of: j.task.N, Parts: dir}
	if r.Complete, err = record.Look(dir, j.task, id); err != nil {
		return err
	}
	if !r.Complete {
		if j.going, err = t.keep(j, m, base, []*hf.Checkpoint{ck}); err != nil {
			return err
		}
		if err := j.going.end(t.shared(c.Context, j, m, base, ck, dir, id, &r)); err != nil {
			return err
		}
	}
	switch {
	case c.Bool("json"):
		return t.json(r)
	case c.Bool("quiet"):
	case r.Complete:
		fmt.Fprintf(t.out, "already complete: %s\n", clean(filepath.Join(dir, record.PartName(j.task))))
	default:
		fmt.Fprintf(t.out, "task %d of %d: %s", r.Task, r.Of, count(r.Tensors, "tensor"))
		if m.cand != nil {
			fmt.Fprintf(t.out, ", %s of text", count(r.Chunks, "chunk"))
		}
		fmt.Fprintf(t.out, "\nwhen all are done: quern merge %s\n", clean(dir))
	}
	return nil
}

// both opens the checkpoint at path, and its baseline where there is one.
func (t *terminal) both(j *verifying, path string) (base, ck *hf.Checkpoint, err error) {
	if ck, err = t.open(path); err != nil {
		return nil, nil, err
	}
	if err := plan.Refuse(ck); err != nil {
		return nil, nil, err
	}
	if j.baseline == "" {
		return nil, ck, nil
	}
	if base, err = t.open(j.baseline); err == nil {
		err = plan.Refuse(base)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--baseline: %w", err)
	}
	return base, ck, nil
}

// shared finds what is the task's to find, and writes it.
func (t *terminal) shared(ctx context.Context, j *verifying, m *models, base, ck *hf.Checkpoint, dir string, id record.Identity, r *taskFound) error {
	bar := t.progress("checking", j.quiet)
	err := verify.Share(ctx, base, ck, verify.Options{Workers: j.workers, Memory: j.memory, Progress: bar.Update, Begun: bar.Begin, Records: j.going.Book, Task: j.task})
	bar.Stop()
	if err != nil {
		return err
	}
	r.Tensors = j.going.Count("tensor ")
	if m.cand != nil {
		first, last := j.task.Of(sizesOf(m.chunks))
		r.Chunks = last - first
		err := t.said(ctx, j, m, first, last)
		if errors.Is(err, invalid.Input) {
			// It may be what the weights tell, which only the merge knows of all.
			t.notes(j.quiet, []string{fmt.Sprintf("the model could not be run: %v", err)})
			evaluation.Failed(j.going.Book, err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	command, err := json.Marshal(asked{
		Checkpoint: ck.Path, Baseline: j.baseline, Texts: j.texts, IDs: j.ids, Calibration: j.calibration, Context: j.chunk.Context, Score: j.chunk.Score, Tokens: j.chunk.Tokens,
		Activations: j.activations, Device: j.computes(), Folder: folder, Arguments: undivided(j.command),
	})
	if err != nil {
		return err
	}
	return record.WritePart(nil, dir, &record.Part{Task: j.task, Identity: id, Command: command, Book: j.going.Book})
}

// said runs the models over some chunks.
func (t *terminal) said(ctx context.Context, j *verifying, m *models, first, last int) (err error) {
	o, stop := t.running(j, "")
	defer stop()
	if m.base != nil {
		if o.Renumbered, err = verify.Renumbering(m.base.Checkpoint(), m.cand.Checkpoint()); err != nil {
			return err
		}
	}
	return evaluation.Share(ctx, m.base, m.cand, m.chunks, first, last, o)
}

// asked is the command of tasks, for the merge.
type asked struct {
	Checkpoint  string   `json:"checkpoint"`
	Baseline    string   `json:"baseline,omitempty"`
	Texts       []string `json:"texts,omitempty"`
	IDs         string   `json:"ids,omitempty"`
	Calibration string   `json:"calibration,omitempty"`
	Context     int      `json:"context"`
	Score       string   `json:"score"`
	Tokens      int      `json:"tokens,omitempty"`
	Activations string   `json:"activations"`
	Device      string   `json:"device"`
	Folder      string   `json:"folder"`    // where it was given
	Arguments   []string `json:"arguments"` // without what divides it
}

// undivided are the arguments of one run that does the work of all tasks.
func undivided(args []string) (out []string) {
	for i := 0; i < len(args); i++ {
		name, _, has := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if strings.HasPrefix(args[i], "-") && (name == "task" || name == "parts") {
			if !has {
				i++
			}
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// again is the verification that tasks were asked for. Paths of theirs that were given
// from another folder than this are made whole.
func (a *asked) again() *verifying {
	here, err := os.Getwd()
	path := func(p string) string {
		if p == "" || filepath.IsAbs(p) || strings.Contains(p, "://") || err == nil && here == a.Folder {
			return p
		}
		return filepath.Join(a.Folder, p)
	}
	j := &verifying{baseline: path(a.Baseline), ids: path(a.IDs), calibration: path(a.Calibration), activations: a.Activations, command: a.Arguments, kind: a.Device}
	j.chunk = corpus.ChunkOptions{Context: a.Context, Score: a.Score, Tokens: a.Tokens}
	for _, text := range a.Texts {
		j.texts = append(j.texts, path(text))
	}
	a.Checkpoint = path(a.Checkpoint)
	return j
}

// partsOf are the files of tasks of verify that arguments of merge name: the files, or
// what lies in a folder. none says that there is no such file: the folder is another's.
func partsOf(args []string) (paths []string, none bool, err error) {
	for _, arg := range args {
		if record.IsPart(arg) {
			paths = append(paths, arg)
			continue
		}
		if strings.Contains(arg, "://") {
			continue
		}
		list, err := record.Parts(arg)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrNotFolder) {
			return nil, false, fmt.Errorf("reading %q: %w", arg, err)
		}
		paths = append(paths, list...)
	}
	return paths, len(paths) == 0, nil
}

// mergeParts judges what all tasks of a verification have found.
func (t *terminal) mergeParts(c *cli.Context, paths []string) error {
	gates, err := changesOf(c)
	if err != nil {
		return err
	}
	targets, err := targets(c)
	if err != nil {
		return err
	}
	parts := make([]*record.Part, len(paths))
	for i, path := range paths {
		if parts[i], err = record.ReadPart(path); err != nil {
			return err
		}
	}
	all, each, err := record.Merge(parts)
	if err != nil {
		return err
	}
	var a asked
	if err := json.Unmarshal(parts[0].Command, &a); err != nil {
		return invalid.Errorf("reading %q: of another version of quern", parts[0].Path)
	}
	j := a.again()
	j.engines, j.parts, j.going = targets, each, &goingOn{Book: all}
	j.quiet = c.Bool("quiet") || c.Bool("json")
	page, result, _ := verifyFiles(c)
	if err := (outfile.Command{Reads: append(append(j.reads(), a.Checkpoint), paths...)}).Check(page, result); err != nil {
		return err
	}
	if j.calibration != "" {
		if j.squares, err = file.Open(j.calibration); err != nil {
			return err
		}
	}
	base, ck, err := t.both(j, a.Checkpoint)
	if err != nil {
		return err
	}
	m, err := j.open(base, ck)
	if err != nil {
		return err
	}
	defer m.close()
	id, err := j.identity(m, base, []*hf.Checkpoint{ck}, onAnyMachine)
	if err != nil {
		return err
	}
	if d := parts[0].Identity.Difference(id); d != "" {
		return invalid.Errorf("since the tasks have run something has changed: %s; run them again in another folder", d)
	}
	r, err := t.judged(c.Context, j, m, base, ck, "")
	if err != nil {
		return err
	}
	gates.apply(r)
	return t.reported(c, r)
}

// merged takes what tasks have found out about the models.
func (j *verifying) merged(m *models, b *verify.Behaviour) error {
	w, err := evaluation.Merged(j.parts, m.cand, m.chunks, m.base != nil)
	if err != nil {
		return err
	}
	if m.base == nil {
		b.Ran(w.Single(m.texts, m.chunks))
		return nil
	}
	c, static := w.Comparison(m.texts, m.chunks, worstTokens)
	m.told(b, c, static)
	return nil
}
