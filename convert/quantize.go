package convert

import (
	"quern/convert/plan"
	"quern/formats/foreign"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
)

// PlanQuantize plans the block-FP8 form of c (design: W ≈ q·s over tiles of
// 128×128). Linears of attention, dense MLPs and experts, those of the MTP
// layer included, become codes X.weight F8_E4M3 [o,i] and scales
// X.weight_scale_inv F32 [⌈o/128⌉,⌈i/128⌉]; everything else is kept. Block FP8
// in the input is taken over code by code. Errors that blame the input match
// invalid.Input.
func PlanQuantize(c *hf.Checkpoint, o QuantizeOptions) (*plan.Plan, error) {
	if err := foreign.Refuse(c); err != nil {
		return nil, err
	}
	p := plan.New(c)
	p.Tool, p.Command, p.Options = tool, "quantize", o.list()
	q := quantizer{QuantizeOptions: o, checkpoint: c, listed: listedIn(c)}
	for _, stage := range []plan.Stage{
		q.calibrated, remarks(c), staleWords, dropOrphans, q.keepsMatch, q.splitExperts, q.pairScales, q.decide, q.something,
		q.rewrite, q.inputScales, q.cacheScales, castKept(o.KeepBF16), checkFinite, coverage, q.config,
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

	scales    map[string]int  // weight name to the index of its scale tensor
	quantized []bool          // by tensor: it gets codes, or has them
	listed    *moduleList     // modules that the input's own config says are not quantized
	asIs      map[string]bool // modules whose codes and scales stay byte for byte
}

// pairScales finds the scale of each FP8 weight and refuses what lacks its
// other half.
func (q *quantizer) pairScales(p *plan.Plan) error {
	for i := range p.Tensors { // first: their scales have names that pair with nothing
		if t := &p.Tensors[i]; t.Meta.Packed() {
			return invalid.Errorf("tensor %q: packed weights of dtype %s: of quantized input only block FP8 can be taken over", t.Name, t.DType)
		}
	}
	var err error
	q.scales, err = plan.PairScales(p)
	return err
}

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
	power := from.DType == safetensors.F8E8M0 || from.DType == safetensors.U8 || q.declaredUE8M0()
	if q.asIs[t.Meta.Module] {
		w.Op, w.Quant.UE8M0 = plan.Copy, power
		return []plan.Tensor{w, *from}, nil
	}
	if len(t.Shape) != 2 {
		return nil, invalid.Errorf("tensor %q: FP8 experts in one tensor of shape %v are divided only for qwen3_5_moe; convert it to BF16 first (quern convert --to bf16)", t.Name, t.Shape)
	}
	s.Shape = tiles(t.Shape) // not before: the grid has shown that it is a matrix
	if q.Requantize {
		scale := from.Source
		w.Op, w.Scale, w.Grid, w.Quant.UE8M0 = plan.Requantize, &scale, &grid, q.UE8M0
		return []plan.Tensor{w, s}, q.weigh(&w)
	}
	if !grid.IsTile128() {
		return nil, invalid.Errorf("tensor %q: its scales %q of shape %v are not one for each 128×128 tile; convert it to BF16 first (quern convert --to bf16)", t.Name, from.Name, from.Shape)
	}
	if q.UE8M0 && !power {
		return nil, invalid.Errorf("tensor %q: its %s scales %q are no powers of two by their form: --scale-fmt ue8m0 would round the weights a second time (28.4 dB instead of 31.5); leave it out, start from the BF16 original, or accept it with --requantize", t.Name, from.DType, from.Name)
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
