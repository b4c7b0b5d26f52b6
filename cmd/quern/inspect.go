package main

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/plan"
	"quern/convert/serving"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/ui"
	"quern/runner"
)

func inspectCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "say what a checkpoint is, and what engines will make of it",
		ArgsUsage: "[flags] CKPT",
		Description: "Parameters, experts, sizes by role and dtype, quantization, remarks, and what known engines\n" +
			"do with it as it is (quern plan: with its block-FP8 form). Reads headers only; of a config.json\n" +
			"alone it says what a checkpoint of it would have.\n\n" +
			"Example:\n   quern inspect ./DeepSeek-V3",
		Flags: []cli.Flag{tensorsFlag, quietFlag, jsonFlag},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			ck, err := t.open(args[0])
			bare := errors.Is(err, hf.ErrNoWeights) || err != nil && strings.HasSuffix(args[0], ".json")
			if bare {
				ck, err = hf.OpenConfig(t.ctx, args[0])
			}
			if err != nil {
				return err
			}
			r := &inspection{}
			if bare {
				if r, err = inspectConfig(ck); err != nil {
					return err
				}
			} else {
				r = inspect(ck, c.Bool("tensors"))
			}
			if c.Bool("json") {
				return t.json(r)
			}
			r.print(t.out, ck)
			return nil
		},
	}
}

// inspection is what inspect tells.
type inspection struct {
	Checkpoint   string           `json:"checkpoint"`
	Architecture string           `json:"architecture"`
	Known        bool             `json:"architecture_known"`
	ConfigOnly   bool             `json:"config_only,omitempty"` // Parameters are computed from it
	TableLess    int64            `json:"active_without_embedding,omitempty"`
	NotComputed  string           `json:"not_computed,omitempty"` // why the built-in runner does not compute it
	Parameters   model.Parameters `json:"parameters"`
	Tensors      int              `json:"tensors"`
	Bytes        int64            `json:"bytes"`
	Files        int              `json:"files"`
	Layers       int              `json:"layers,omitempty"`
	Experts      int              `json:"experts,omitempty"`
	Chosen       int              `json:"experts_per_token,omitempty"`
	MTPLayers    int              `json:"mtp_layers"`
	Quantization string           `json:"quantization"`
	Form         string           `json:"form,omitempty"` // the quantized form that is not read, by its tensors
	Forms        []plan.Form      `json:"forms"`          // the quantized forms that are read
	Sizes        []sizeRow        `json:"sizes"`
	Output       *plan.Totals     `json:"output,omitempty"` // of `quantize` with defaults
	Engines      []serving.Note   `json:"engines"`          // for the checkpoint as it is
	Problems     []string         `json:"problems"`
	Ignored      []string         `json:"ignored_files,omitempty"`
	List         []tensorRow      `json:"tensor_list,omitempty"`
}

type sizeRow struct {
	Role    string `json:"role"`
	DType   string `json:"dtype"`
	Tensors int    `json:"tensors"`
	Weights int64  `json:"weights"`
	Bytes   int64  `json:"bytes"`
}

type tensorRow struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Role  string  `json:"role"`
	File  string  `json:"file"`
	Bytes int64   `json:"bytes"`
}

func inspect(ck *hf.Checkpoint, list bool) *inspection {
	a := ck.Arch()
	r := &inspection{
		Checkpoint: ck.Path, Architecture: a.Name(), Known: a.Known(), Parameters: ck.Parameters(),
		Tensors: ck.Len(), Bytes: ck.Bytes(), Files: len(ck.Files), Quantization: "none", Ignored: ck.Ignored,
		Sizes: []sizeRow{}, Engines: serving.AtHand(ck).Notes(), Problems: []string{},
	}
	r.configured(ck)
	r.Forms, r.Form = plan.FormsOf(ck)
	sizes := map[[2]string]*sizeRow{}
	for ref, m := range ck.Classified() {
		x := ref.Tensor
		role := m.Role.String()
		if m.MTP {
			role = "mtp " + strings.TrimPrefix(role, "mtp_")
		}
		key := [2]string{role, x.DType.String()}
		s := sizes[key]
		if s == nil {
			s = &sizeRow{Role: role, DType: key[1]}
			sizes[key] = s
		}
		s.Tensors++
		s.Weights += x.Elements() * m.Weights
		s.Bytes += x.Bytes()
		if list {
			r.List = append(r.List, tensorRow{x.Name, key[1], x.Shape, role, ref.File.Name, x.Bytes()})
		}
	}
	for _, s := range sizes {
		r.Sizes = append(r.Sizes, *s)
	}
	sort.Slice(r.Sizes, func(i, j int) bool {
		x, y := r.Sizes[i], r.Sizes[j]
		if x.Bytes != y.Bytes {
			return x.Bytes > y.Bytes
		}
		return x.Role+x.DType < y.Role+y.DType
	})
	p, err := convert.PlanQuantize(ck, convert.QuantizeOptions{})
	if err != nil {
		r.Problems = append(r.Problems, ck.Warnings...)
		r.Problems = append(r.Problems, "quantize would refuse it: "+err.Error())
		return r
	}
	total := p.Totals()
	r.Output = &total
	r.Problems = append(r.Problems, p.Notes...)
	return r
}

// configured notes what the config says.
func (r *inspection) configured(ck *hf.Checkpoint) {
	c := ck.Config
	if c == nil {
		return
	}
	r.Layers, r.Experts, r.Chosen, r.MTPLayers = c.NumHiddenLayers, c.NumExperts, c.NumExpertsPerTok, c.NumMTPLayers
	r.Quantization = quantizationText(c.Quant)
	if err := runner.Supported(ck.Arch()); err != nil {
		r.NotComputed = err.Error()
	}
}

func quantizationText(q *model.Quantization) string {
	if q == nil {
		return "none"
	}
	var parts []string
	for _, s := range []string{q.Method, q.Algo, q.Format, q.Fmt, q.ScaleFmt, q.ActivationScheme} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(q.WeightBlockSize) == 2 {
		parts = append(parts, fmt.Sprintf("tiles of %d×%d", q.WeightBlockSize[0], q.WeightBlockSize[1]))
	}
	return strings.Join(parts, ", ")
}

func (r *inspection) print(w io.Writer, ck *hf.Checkpoint) {
	fmt.Fprintln(w, clean(r.Checkpoint))
	row := func(k, format string, args ...any) {
		fmt.Fprintf(w, "  %-13s %s\n", k, ui.Wrap(clean(fmt.Sprintf(format, args...)), 16, 16))
	}
	row("architecture", "%s", architecture(ck))
	if r.ConfigOnly {
		row("weights", "none are here: what follows is what config.json says")
	}
	active := ", how many are active for a token is unknown"
	if r.Parameters.Active > 0 {
		active = fmt.Sprintf(", %s active for a token", ui.Parameters(r.Parameters.Active))
		if r.TableLess > 0 {
			active += fmt.Sprintf(" (%s without the embedding, as some publishers count)", ui.Parameters(r.TableLess))
		}
	}
	if r.ConfigOnly && r.Parameters.Total == 0 {
		row("parameters", "unknown")
	} else {
		row("parameters", "%s (%s)%s", ui.Parameters(r.Parameters.Total), ui.Count(r.Parameters.Total), active)
	}
	if r.Experts > 0 {
		row("experts", "%d a layer, %d chosen, %d layers", r.Experts, r.Chosen, r.Layers)
	}
	switch {
	case r.Parameters.MTP > 0:
		row("MTP", "%s parameters (%s)", ui.Parameters(r.Parameters.MTP), ui.Count(r.Parameters.MTP))
	case r.MTPLayers > 0 && r.ConfigOnly:
		row("MTP", "%s, whose tensors are not known", count(r.MTPLayers, "layer"))
	case r.MTPLayers > 0:
		row("MTP", "the config declares it, the weights are not there")
	default:
		row("MTP", "none")
	}
	if r.Form != "" {
		row("quantization", "%s; its tensors are %s, which is not read", r.Quantization, r.Form)
	} else {
		row("quantization", "%s", r.Quantization)
	}
	for i, f := range r.Forms {
		row(map[bool]string{true: "weights"}[i == 0], "%s in %s", count(f.Tensors, "tensor"), f.Title)
	}
	switch {
	case r.NotComputed != "":
		row("runner", "does not compute it: %s", r.NotComputed)
	case r.ConfigOnly:
		row("runner", "computes it")
	}
	if r.ConfigOnly {
		printList(w, "problems and remarks", r.Problems)
		return
	}
	row("size", "%s in %s, %s tensors", ui.Bytes(r.Bytes), count(r.Files, "file"), ui.Count(int64(r.Tensors)))
	if r.Output != nil && (r.Output.Bytes != r.Bytes || r.Output.Tensors != r.Tensors) {
		row("as block FP8", "%s in %s, %s tensors", ui.Bytes(r.Output.Bytes), count(r.Output.Shards, "file"), ui.Count(int64(r.Output.Tensors)))
	}
	fmt.Fprintln(w)
	rows := make([][]string, len(r.Sizes))
	for i, s := range r.Sizes {
		rows[i] = []string{s.Role, s.DType, ui.Count(int64(s.Tensors)), ui.Count(s.Weights), ui.Bytes(s.Bytes)}
	}
	ui.Table(w, []string{"role", "dtype", ">tensors", ">weights", ">size"}, rows)
	printEngines(w, "it", r.Engines)
	printList(w, "problems and remarks", r.Problems)
	printList(w, "files that are not part of it", r.Ignored)
	if len(r.List) > 0 {
		fmt.Fprintln(w)
		rows := make([][]string, len(r.List))
		for i, x := range r.List {
			rows[i] = []string{x.Name, x.DType, shape(x.Shape), x.Role, x.File, ui.Bytes(x.Bytes)}
		}
		ui.Table(w, []string{"tensor", "dtype", "shape", "role", "file", ">size"}, rows)
	}
}
