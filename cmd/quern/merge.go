package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"quern/convert/engine"
	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/internal/ui"
	"quern/store"
	"quern/task"
)

func mergeCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "merge",
		Usage:     "complete a folder that tasks have filled, or judge what tasks of verify have found",
		ArgsUsage: "OUT | PARTS…",
		Description: "Checks that the files of all tasks (--task i/n of quantize, convert and shard) are there\n" +
			"and of one input, and writes index, config and manifest, so that OUT is byte for byte\n" +
			"what one run makes. Tasks that are missing are named, and the exit code is 5.\n" +
			"Of verify it takes the folder of --parts, or the files in it, needs the checkpoints and\n" +
			"texts too, and gives what one run gives: report, gates, exit code 3 if one fails.\n\n" +
			"Example:\n   quern merge ./my-model-fp8\n   quern merge --report r.html ./parts",
		Flags: append(judging(), quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			paths, none, err := partsOf(c.Args().Slice())
			if err != nil {
				return err
			}
			if !none {
				return t.mergeParts(c, paths)
			}
			for _, f := range judging() {
				if name := f.Names()[0]; c.IsSet(name) {
					return usagef("merge: --%s is for parts of verify, and there are none", name)
				}
			}
			out, sink, err := sinkOf(c)
			if err != nil {
				return err
			}
			m, err := engine.Merge(c.Context, sink)
			complete := errors.Is(err, engine.ErrComplete)
			if err != nil && !complete {
				return interrupted(err, "quern merge goes on")
			}
			r := mergeResult{Output: out, Complete: complete}
			if m != nil {
				r.count(m)
			}
			switch {
			case c.Bool("json"):
				return t.json(r)
			case c.Bool("quiet"):
			case complete:
				fmt.Fprintf(t.out, "already complete: %s\n", clean(out))
			default:
				fmt.Fprintf(t.out, "%s tensors in %s\noutput: %s\n", ui.Count(int64(r.Tensors)), count(r.Files, "file"), clean(out))
			}
			return nil
		},
	}
}

// sinkOf is the folder that is the only argument.
func sinkOf(c *cli.Context) (string, store.Sink, error) {
	args, err := positional(c, 1, 1)
	if err != nil {
		return "", nil, err
	}
	sink, err := store.OpenSink(args[0])
	return args[0], sink, err
}

// mergeResult is what merge prints as JSON.
type mergeResult struct {
	Output   string `json:"output_folder"`
	Complete bool   `json:"already_complete"`
	Tensors  int    `json:"tensors"`
	Files    int    `json:"files"` // of weights
}

func (r *mergeResult) count(m *manifest.Manifest) {
	files := map[string]bool{}
	for _, t := range m.Tensors {
		files[t.File] = true
	}
	r.Tensors, r.Files = len(m.Tensors), len(files)
}

// taskSummary is what a task has made.
type taskSummary struct {
	Task  int   `json:"task"` // of Of
	Of    int   `json:"of"`
	Files int   `json:"files"` // of weights
	Bytes int64 `json:"bytes"` // of those files
}

// taskOf is nil of a run that makes all.
func taskOf(p *plan.Plan, k task.Task) *taskSummary {
	if k.Whole() {
		return nil
	}
	s := &taskSummary{Task: k.I, Of: k.N}
	sizes := make([]int64, len(p.Shards))
	for i := range p.Shards {
		sizes[i] = p.Shards[i].Size
	}
	first, last := k.Of(sizes)
	s.Files = last - first
	for _, n := range sizes[first:last] {
		s.Bytes += n
	}
	return s
}

func (s *taskSummary) print(w io.Writer, out string) {
	fmt.Fprintf(w, "task %d of %d: %s, %s\nwhen all are done: quern merge %s\n", s.Task, s.Of, count(s.Files, "file"), ui.Bytes(s.Bytes), clean(out))
}
