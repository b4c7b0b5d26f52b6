package convert

import (
	"fmt"
	"slices"

	"quern/convert/plan"
	"quern/formats"
	"quern/formats/foreign"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/fp8"
)

// PlanQuantize plans the block-FP8 form of c (design: W ≈ q·s over tiles of
// 128×128). Linears of attention, dense MLPs and experts, those of the MTP
// layer included, become codes X.weight F8_E4M3 [o,i] and scales
// X.weight_scale_inv F32 [⌈o/128⌉,⌈i/128⌉]; everything else is kept. Block FP8
// in the input is taken over code by code. Errors that blame the input match
// formats.ErrInvalid.
func PlanQuantize(c *hf.Checkpoint, o QuantizeOptions) (*plan.Plan, error) {
	if err := foreign.Refuse(c); err != nil {
		return nil, err
	}
	p := plan.New(c)
	p.Tool, p.Command, p.Options = tool, "quantize", o.list()
	q := quantizer{QuantizeOptions: o, checkpoint: c}
	for _, stage := range []plan.Stage{
		q.calibrated, remarks(c), q.splitExperts, q.pairScales, q.decide, q.rewrite, q.inputScales, q.cacheScales,
		castKept(o.KeepBF16), checkFinite, coverage, q.config,
	} {
		if err := stage(p); err != nil {
			return nil, err
		}
	}
	if err := p.Pack(o.ShardSize); err != nil {
		return nil, err
	}
	return p, nil
}

// quantizer carries what the stages of a quantization hand on.
type quantizer struct {
	QuantizeOptions
	checkpoint *hf.Checkpoint

	scales    map[string]int // weight name to the index of its scale tensor
	quantized []bool         // by tensor: it gets codes, or has them
}

// pairScales finds the scale of each FP8 weight and refuses what lacks its
// other half.
func (q *quantizer) pairScales(p *plan.Plan) error {
	for i := range p.Tensors { // first: their scales have names that pair with nothing
		if t := &p.Tensors[i]; t.Meta.Packed() {
			return formats.Invalidf("tensor %q: packed weights of dtype %s: of quantized input only block FP8 can be taken over", t.Name, t.DType)
		}
	}
	var err error
	q.scales, err = plan.PairScales(p)
	return err
}

// decide marks what is quantized: the role says what can be, the options what
// is to be kept, and fused partners go together.
func (q *quantizer) decide(p *plan.Plan) error {
	q.quantized = make([]bool, len(p.Tensors))
	for i := range p.Tensors {
		t := &p.Tensors[i]
		_, isFloat := plan.Elem(t.DType)
		switch {
		case t.DType == safetensors.F8E4M3 && t.Meta.Role != model.Scale:
			q.quantized[i] = true // as it is: nothing is gained by widening it again
		case !isFloat && t.Meta.Role.Linear() && t.Meta.Param == "weight":
			return formats.Invalidf("tensor %q: a %s weight of dtype %s cannot be quantized; only BF16, F16, F32, F64 and block FP8 can", t.Name, t.Meta.Role, t.DType)
		case !t.Meta.Quantize:
		case t.Meta.Fused3D: // splitExperts left it whole
			t.Why = q.keepFused(t)
		case len(t.Shape) != 2 || t.Shape[0] == 0 || t.Shape[1] == 0:
			t.Why = fmt.Sprintf("shape %v is no matrix", t.Shape)
			p.Notes = append(p.Notes, fmt.Sprintf("%s is kept: its %s", t.Name, t.Why))
		default:
			if t.Why = q.keep(t); t.Why == "" {
				q.quantized[i] = true
			}
		}
	}
	q.unmatched(p)
	q.followPartners(p)
	return q.wholeLayers(p)
}

// unmatched remarks on patterns of --keep that no module answers to: a typo
// would otherwise quantize what was to be kept.
func (q *quantizer) unmatched(p *plan.Plan) {
	for _, g := range q.Keep {
		if !slices.ContainsFunc(p.Tensors, func(t plan.Tensor) bool { return glob(g, t.Meta.Module) }) {
			p.Notes = append(p.Notes, fmt.Sprintf("--keep %s matches no module", g))
		}
	}
}

// keep says why an option keeps t, "" if none does.
func (q *quantizer) keep(t *plan.Tensor) string {
	for _, g := range q.Keep {
		if glob(g, t.Meta.Module) {
			return "--keep " + g
		}
	}
	switch {
	case q.KeepMTP && t.Meta.MTP:
		return "--mtp keep"
	case q.KeepRagged && ragged(t.Shape):
		return "--ragged keep"
	}
	return ""
}

func ragged(shape []int64) bool { return shape[0]%fp8.Tile != 0 || shape[1]%fp8.Tile != 0 }

// followPartners keeps whatever an engine fuses with something that is kept: it
// reads such matrices all quantized or none.
func (q *quantizer) followPartners(p *plan.Plan) {
	kept := map[string]string{} // fused module to one kept part
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if f := t.Meta.Fused; f != "" && t.Meta.Param == "weight" && !q.quantized[i] && kept[f] == "" {
			kept[f] = t.Meta.Module
		}
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		first := kept[t.Meta.Fused]
		if t.Meta.Fused == "" || first == "" || !q.quantized[i] || t.DType == safetensors.F8E4M3 {
			continue
		}
		q.quantized[i] = false
		t.Why = "engines fuse it with " + first + ", which is kept"
		p.Notes = append(p.Notes, fmt.Sprintf("%s is kept too: %s", t.Meta.Module, t.Why))
	}
}

// wholeLayers refuses layers of which some routed experts are kept and others
// are not: vLLM takes a kept expert's name as that of all (formats.md §2.1).
func (q *quantizer) wholeLayers(p *plan.Plan) error {
	if q.PartialExpert {
		return nil
	}
	type both struct{ kept, quantized string }
	layers := map[int]*both{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role != model.RoutedExpert || t.Meta.Param != "weight" {
			continue
		}
		b := layers[t.Meta.Layer]
		if b == nil {
			b = &both{}
			layers[t.Meta.Layer] = b
		}
		if q.quantized[i] {
			b.quantized = t.Meta.Module
		} else {
			b.kept = t.Meta.Module
		}
		if b.kept != "" && b.quantized != "" {
			return &UsageError{fmt.Sprintf("layer %d: %s would be kept and %s quantized: engines read such lists differently; keep all experts of a layer or give --allow-partial-experts", t.Meta.Layer, b.kept, b.quantized)}
		}
	}
	return nil
}

// UsageError is a request that makes no sense for this checkpoint, as opposed
// to a checkpoint that is at fault.
type UsageError struct{ Message string }

func (e *UsageError) Error() string { return e.Message }

// rewrite replaces each weight that is quantized by codes and scale.
func (q *quantizer) rewrite(p *plan.Plan) error {
	old := p.Tensors
	used := make(map[int]bool, len(q.scales))
	for _, i := range q.scales {
		used[i] = true
	}
	out := make([]plan.Tensor, 0, 2*len(old))
	for i := range old {
		t := old[i]
		if used[i] {
			continue // it follows its weight
		}
		if !q.quantized[i] {
			out = append(out, t)
			continue
		}
		pair, err := q.codes(t, old)
		if err != nil {
			return err
		}
		out = append(out, pair...)
	}
	p.Tensors = out
	p.Regroup(withWeight(p))
	return nil
}

// withWeight reports whether tensor i is the first or a further scale of the weight
// that it stands behind.
func withWeight(p *plan.Plan) func(i int) bool {
	return func(i int) bool {
		t, before := &p.Tensors[i], &p.Tensors[i-1]
		return isScaleOf(t, before) || t.Meta.Role == model.Scale && t.Meta.ScaleOf != "" && t.Meta.ScaleOf == before.Meta.ScaleOf
	}
}

// isScaleOf reports whether t is a scale of weight w.
func isScaleOf(t, w *plan.Tensor) bool {
	return t.Meta.Role == model.Scale && t.Meta.ScaleOf == w.Name
}

// codes returns the codes and the scale of weight t.
func (q *quantizer) codes(t plan.Tensor, old []plan.Tensor) ([]plan.Tensor, error) {
	w := t
	w.DType, w.Why = safetensors.F8E4M3, ""
	s := plan.Tensor{
		Name: t.Name + "_scale_inv", DType: safetensors.F32, Op: plan.ScaleOf, Source: t.Source,
		Meta: t.Meta, Why: "scale",
	}
	s.Meta.Role, s.Meta.Param, s.Meta.ScaleOf, s.Meta.Quantize, s.Meta.Why = model.Scale, t.Meta.Param+"_scale_inv", t.Name, false, "scale"
	s.Meta.Weights = 0
	if t.DType != safetensors.F8E4M3 {
		w.Op, s.Shape, w.Quant.UE8M0 = plan.Quantize, tiles(t.Shape), q.UE8M0
		return []plan.Tensor{w, s}, q.weigh(&w)
	}
	from := &old[q.scales[t.Name]]
	grid, err := plan.ScaleGrid(&t, from, quantization(q.checkpoint).Tile())
	if err != nil {
		return nil, err
	}
	s.Shape = tiles(t.Shape) // not before: the grid has shown that it is a matrix
	if q.Requantize {
		scale := from.Source
		w.Op, w.Scale, w.Grid, w.Quant.UE8M0 = plan.Requantize, &scale, &grid, q.UE8M0
		return []plan.Tensor{w, s}, q.weigh(&w)
	}
	if !grid.IsTile128() {
		return nil, formats.Invalidf("tensor %q: its scales %q of shape %v are not one for each 128×128 tile; convert it to BF16 first (quern convert --to bf16)", t.Name, from.Name, from.Shape)
	}
	power := from.DType == safetensors.F8E8M0 || from.DType == safetensors.U8 || q.declaredUE8M0()
	if q.UE8M0 && !power {
		return nil, formats.Invalidf("tensor %q: its %s scales %q are no powers of two by their form: --scale-fmt ue8m0 would round the weights a second time (28.4 dB instead of 31.5); leave it out, start from the BF16 original, or accept it with --requantize", t.Name, from.DType, from.Name)
	}
	w.Op, w.Quant.UE8M0 = plan.Copy, power
	s.Op, s.Source = plan.Widen, from.Source
	return []plan.Tensor{w, s}, nil
}

// tiles is the shape of the scale of a matrix.
func tiles(shape []int64) []int64 {
	return []int64{(shape[0] + fp8.Tile - 1) / fp8.Tile, (shape[1] + fp8.Tile - 1) / fp8.Tile}
}

// declaredUE8M0 reports whether the input's config says that its F32 scales are
// powers of two, as DeepSeek-V3.1's does.
func (q *quantizer) declaredUE8M0() bool {
	quant := quantization(q.checkpoint)
	return quant != nil && quant.ScaleFmt == "ue8m0"
}
