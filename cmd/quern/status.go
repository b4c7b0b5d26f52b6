package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"quern/convert/engine"
	"quern/internal/ui"
	"quern/task"
)

func statusCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "how far the tasks are that fill a folder",
		ArgsUsage: "OUT",
		Description: "Reads what the tasks of OUT (--task i/n of quantize, convert and shard) tell there: which\n" +
			"are done, run, have failed or wait, how much is written, how long it will take. A task\n" +
			"that has said nothing for a minute counts as failed.\n\n" +
			"Example:\n   quern status ./my-model-fp8",
		Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			_, sink, err := sinkOf(c)
			if err != nil {
				return err
			}
			s, err := engine.LookStatus(c.Context, sink, time.Now())
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return t.json(s)
			}
			printStatus(t.out, s)
			return nil
		},
	}
}

// printStatus writes a line for all tasks, one for each stage and one for each failure.
func printStatus(w io.Writer, s *engine.Status) {
	if s.Merged {
		fmt.Fprintf(w, "complete: quern %s, merged\n", s.Command)
		return
	}
	about := []string{fmt.Sprintf("quern %s, %s: %s of %s written (%s)", s.Command, count(len(s.Tasks), "task"), ui.Bytes(s.Written), ui.Bytes(s.Bytes), share(s.Written, s.Bytes))}
	if s.Left != nil {
		about = append(about, "about "+ui.Duration(time.Duration(*s.Left*float64(time.Second)))+" left")
	}
	fmt.Fprintln(w, strings.Join(about, ", "))
	var rows [][]string
	for _, stage := range []engine.Stage{engine.Done, engine.Running, engine.Failed, engine.Waiting} {
		var of []int
		for i := range s.Tasks {
			if s.Tasks[i].Stage == stage {
				of = append(of, s.Tasks[i].Task)
			}
		}
		if len(of) > 0 {
			rows = append(rows, []string{string(stage), fmt.Sprint(len(of)), task.Ranges(of)})
		}
	}
	ui.Table(w, []string{"stage", ">tasks", "which"}, rows)
	failed := slices.DeleteFunc(slices.Clone(s.Tasks), func(t engine.TaskStatus) bool { return t.Stage != engine.Failed })
	for _, t := range failed {
		item(w, fmt.Sprintf("task %d: %s", t.Task, clean(t.Error)))
	}
}
