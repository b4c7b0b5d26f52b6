package main

import (
	"math"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/convert/serving"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/shard"
)

func planCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "say what quantize would do, from headers alone",
		ArgsUsage: "[flags of quantize] IN [OUT]",
		Description: "Prints what becomes of every tensor and why, bytes, memory, disk and time, and what\n" +
			"engines will make of the result. Tensors that differ only in layer and expert share\n" +
			"a line; --tensors gives each its own.\n\n" +
			"Example:\n   quern plan --ragged keep ./my-model",
		Flags: append(quantizeFlags(), engineFlag("ends the command with 3"), tensorsFlag, workersFlag, memoryFlag, quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			q, err := conversionOf(c, 1, 2)
			if err != nil {
				return err
			}
			defer q.close()
			ck, p, err := t.draft(q, quantizing(q.options))
			if err != nil {
				return err
			}
			out := ""
			if len(q.args) == 2 {
				out = q.args[1]
			}
			r, err := preview(ck, p, out, q.run, c.Bool("tensors"))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				err = t.json(r)
			} else {
				r.print(t.out, ck)
			}
			if err != nil {
				return err
			}
			return objection(q.engines, p, ck)
		},
	}
}

// dryRun is what plan tells.
type dryRun struct {
	Input        string               `json:"input"`
	OutputFolder string               `json:"output_folder,omitempty"`
	Architecture string               `json:"architecture"`
	Known        bool                 `json:"architecture_known"`
	Parameters   model.Parameters     `json:"parameters"`
	InputBytes   int64                `json:"input_bytes"`
	Output       plan.Totals          `json:"output"`
	Quantized    int                  `json:"quantized"`
	Taken        int                  `json:"taken_over"` // FP8 already: codes are copied
	Kept         int                  `json:"kept"`
	Memory       int64                `json:"memory_bytes"`
	DiskFree     *int64               `json:"disk_free_bytes,omitempty"`
	Seconds      float64              `json:"estimated_seconds"` // at diskRate, or the processor's rate if that is less
	Rate         float64              `json:"estimated_bytes_per_second"`
	Calibration  *calibrated          `json:"calibration,omitempty"`
	Regrouped    *shard.Description   `json:"regrouped,omitempty"`
	Schemes      []convert.SchemeSize `json:"schemes"` // how large the output would be in each
	Groups       []plan.Group         `json:"groups"`
	Engines      []serving.Note       `json:"engines"`
	Notes        []string             `json:"notes"`
	Tensors      []plan.Row           `json:"tensors,omitempty"`
}

// diskRate is the speed of reading and writing together, in bytes a second,
// that the time estimate assumes: that of one ordinary NVMe disk.
const diskRate = 1e9

func preview(ck *hf.Checkpoint, p *plan.Plan, out string, o convert.RunOptions, list bool) (*dryRun, error) {
	opts := convert.EngineOptions(ck, out, o)
	need, err := engine.Need(p, opts)
	if err != nil {
		return nil, usagef("%v", err)
	}
	r := &dryRun{
		Input: ck.Path, OutputFolder: out, Architecture: ck.Arch().Name(), Known: ck.Arch().Known(), Parameters: ck.Parameters(),
		InputBytes: ck.Bytes(), Output: p.Totals(), Memory: need, Groups: p.Groups(), Notes: append([]string{}, p.Notes...),
		Schemes: convert.Sizes(p), Calibration: calibratedBy(p), Regrouped: shard.Describe(p), Engines: serving.Planned(p, ck).Notes(),
	}
	for i := range p.Tensors {
		switch t := &p.Tensors[i]; {
		case t.Op.Quantizes():
			r.Quantized++
		case t.Coded():
			r.Taken++
		case t.Meta.Role != model.Scale:
			r.Kept++
		}
	}
	cpu := engine.Speed(p, opts)
	disk := diskRate * float64(r.InputBytes) / math.Max(float64(r.InputBytes+r.Output.Files), 1)
	r.Rate = math.Min(cpu, disk)
	r.Seconds = float64(r.InputBytes) / r.Rate
	if out != "" {
		if free, err := engine.Free(out); err == nil {
			r.DiskFree = &free
		}
	}
	if list {
		r.Tensors = p.Rows()
	}
	return r, nil
}
