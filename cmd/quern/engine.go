package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert/plan"
	"quern/convert/serving"
	"quern/formats/hf"
)

// engineFlag names the engines that a checkpoint is meant for; what says what becomes of
// objections.
func engineFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "engine", Usage: "`NAME[:tp=N][,…]`engines that it is meant for, of " + strings.Join(serving.EngineNames(), ", ") + ": what they are known to refuse or misread " + what}
}

// targets are those that engineFlag names.
func targets(c *cli.Context) ([]serving.Target, error) {
	if !c.IsSet("engine") {
		return nil, nil
	}
	list, err := serving.ParseTargets(c.String("engine"))
	if err != nil {
		return nil, usagef("--engine %v", err)
	}
	return list, nil
}

// objection is the gate engines before anything is written: an error if one of the
// engines that are named would refuse or misread what p describes.
func objection(named []serving.Target, p *plan.Plan, ck *hf.Checkpoint) error {
	var all []error
	for _, t := range named {
		for _, n := range serving.Planned(p, ck).Against(t) {
			all = append(all, fmt.Errorf("%s %s the output: %s", t, n.Severity, &n))
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %w", errGate, all[0])
	}
	return fmt.Errorf("%w: %w; and %d more, see quern plan", errGate, all[0], len(all)-1)
}

// printEngines writes what engines do with a checkpoint.
func printEngines(w io.Writer, of string, notes []serving.Note) {
	if len(notes) == 0 {
		return
	}
	fmt.Fprintf(w, "\nwhat engines do with %s\n", of)
	for i := range notes {
		n := &notes[i]
		item(w, fmt.Sprintf("%s (%s): %s", n.Engine, n.Severity, n))
	}
}
