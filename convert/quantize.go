package convert

import (
	"fmt"
	"slices"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/scheme"
)

// PlanQuantize plans the form of c that the options name, DeepSeek's block FP8 unless
// they do. Linears of attention, dense MLPs and experts, those of the MTP layer
// included, become codes and scales; everything else is kept. Block FP8 in the input is
// taken over code by code where block FP8 is asked for. Errors that blame the input
// match invalid.Input.
func PlanQuantize(c *hf.Checkpoint, o QuantizeOptions) (*plan.Plan, error) {
	p := plan.New(c)
	if _, err := plan.Unpack(p, c); err != nil {
		return nil, err
	}
	q := quantizer{QuantizeOptions: o, checkpoint: c, listed: listedIn(c)}
	if err := q.choose(p); err != nil {
		return nil, err
	}
	p.Tool, p.Command = tool, "quantize"
	for _, stage := range []plan.Stage{
		q.calibrated, remarks(c), staleWords, dropOrphans, q.keepsMatch, q.rolesMatch, q.splitExperts, q.pairScales, q.decide, q.something,
		q.chooseRange, q.surveys, q.tops, q.rewrite, q.lossless, q.inputScales, q.cacheScales, castKept(o.KeepBF16), checkFinite, coverage, q.config,
	} {
		if err := stage(p); err != nil {
			return nil, err
		}
	}
	o.Range, o.Container = q.Range, q.Container
	p.Options, p.Card = o.list(), true
	if err := p.Pack(o.ShardSize); err != nil {
		return nil, err
	}
	return p, nil
}

// quantizer carries what the stages of a quantization hand on.
type quantizer struct {
	QuantizeOptions
	checkpoint *hf.Checkpoint

	written   map[string]*scheme.Scheme // weight name to the scheme of its codes, but for those asIs and taken over
	survey    map[string]string         // weight name to the survey that it needs
	topped    map[string]bool           // surveys that ask for the largest scale
	scales    map[string]int            // weight name to the index of its scale tensor
	castable  map[string]bool           // FP8 weights whose scales are powers of two
	quantized []bool                    // by tensor: it gets codes, or has them
	listed    *moduleList               // modules that the input's own config says are not quantized
	asIs      map[string]bool           // modules whose codes and scales stay byte for byte
	taken     map[string]bool           // modules whose codes are taken over under the container's names
}

// choose completes what the options leave open.
func (q *quantizer) choose(p *plan.Plan) error {
	q.Scheme = q.scheme()
	name := ""
	if q.Container != nil {
		name = q.Container.Name
	}
	schemes := q.stacked(p)
	c, err := container.For(name, schemes...)
	if err != nil {
		return &UsageError{err.Error()}
	}
	q.Container = c
	if q.StaticActivations && !slices.ContainsFunc(schemes, func(s *scheme.Scheme) bool { return !c.Forms[s.Name].Dynamic }) {
		return &UsageError{fmt.Sprintf("--to %s with --act-scales static: container %s has no fixed scales of activations for it", q.Scheme.Name, c.Name)}
	}
	for _, x := range q.settings() {
		if x.given && !slices.ContainsFunc(q.Schemes(), x.has) {
			return &UsageError{fmt.Sprintf("--to %s with %s: a setting that this scheme does not have", q.Scheme.Name, x.flag)}
		}
	}
	return nil
}

// form is what tensors of a scheme are called.
func (q *quantizer) form(s *scheme.Scheme) *container.Form { return q.Container.Forms[s.Name] }

// pairScales finds the scale of each FP8 weight and refuses what lacks its
// other half.
func (q *quantizer) pairScales(p *plan.Plan) error {
	for i := range p.Tensors { // first: their scales have names that pair with nothing
		if t := &p.Tensors[i]; t.Meta.Packed() {
			return invalid.Errorf("tensor %q: packed weights of dtype %s: of quantized input only block FP8 can be taken over", t.Name, t.DType)
		}
	}
	var err error
	if q.scales, err = plan.PairScales(p); err != nil {
		return err
	}
	q.castable = map[string]bool{}
	for weight, i := range q.scales {
		from := &p.Tensors[i]
		q.castable[weight] = scheme.PowersOfTwo(from.DType) || q.declaredUE8M0()
	}
	return nil
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

// surveys is the stage that lists the largest magnitudes that the scheme begins with:
// of each weight, or of all that engines fuse.
func (q *quantizer) surveys(p *plan.Plan) error {
	q.survey = map[string]string{}
	at := map[string]int{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if s := q.written[t.Name]; s == nil || !s.Survey {
			continue
		}
		name := t.Meta.Fused
		if name == "" {
			name = t.Name
		}
		if _, ok := at[name]; !ok {
			at[name] = len(p.Surveys)
			p.Surveys = append(p.Surveys, plan.Survey{Name: name})
		}
		r := t.Reading()
		if t.Coded() {
			from := &p.Tensors[q.scales[t.Name]]
			grid, err := plan.ScaleGrid(t, from, quantization(q.checkpoint).Tile())
			if err != nil {
				return err
			}
			scale := from.Source
			r.Scale, r.Grid = &scale, &grid
		}
		s := &p.Surveys[at[name]]
		s.Of = append(s.Of, r)
		q.survey[t.Name] = name
	}
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
	return t.Meta.Role == model.Scale && t.Meta.ScaleOf != "" && (t.Meta.ScaleOf == w.Name || t.Meta.ScaleOf+"_packed" == w.Name || t.Meta.ScaleOf+"_blocks" == w.Name)
}

// codes returns the codes and the scales of weight t.
func (q *quantizer) codes(t plan.Tensor, old []plan.Tensor) ([]plan.Tensor, error) {
	if t.Written != nil {
		return q.recast(t)
	}
	if !t.Coded() {
		t.Op = plan.Quantize
		return q.coding(t)
	}
	from := &old[q.scales[t.Name]]
	grid, err := plan.ScaleGrid(&t, from, quantization(q.checkpoint).Tile())
	if err != nil {
		return nil, err
	}
	power := scheme.PowersOfTwo(from.DType) || q.declaredUE8M0()
	if q.asIs[t.Meta.Module] {
		t.Op, t.Quant.UE8M0, t.Why = plan.Copy, power, ""
		return []plan.Tensor{t, *from}, nil
	}
	if len(t.Shape) != 2 {
		return nil, invalid.Errorf("tensor %q: FP8 experts in one tensor of shape %v are divided only for qwen3_5_moe; convert it to BF16 first (quern convert --to bf16)", t.Name, t.Shape)
	}
	if q.written[t.Name] != nil {
		scale := from.Source
		t.Op, t.Scale, t.Grid = plan.Requantize, &scale, &grid
		if q.castable[t.Name] && scheme.CanCast(scheme.BlockFP8.Name, q.written[t.Name].Name) && (grid.TileCols%32 == 0 || grid.Cols == 1) {
			t.Op = plan.Recast
		}
		return q.coding(t)
	}
	if own := scheme.ByGrid(grid, from.DType); own != scheme.BlockFP8 && q.taken[t.Meta.Module] {
		return q.takeOver(t, from, own)
	}
	if !grid.IsTile128() {
		return nil, invalid.Errorf("tensor %q: its scales %q of shape %v are not one for each 128×128 tile; convert it to BF16 first (quern convert --to bf16)", t.Name, from.Name, from.Shape)
	}
	if q.UE8M0 && !power {
		return nil, invalid.Errorf("tensor %q: its %s scales %q are no powers of two by their form: --scale-fmt ue8m0 would round the weights a second time (28.4 dB instead of 31.5); leave it out, start from the BF16 original, or accept it with --requantize", t.Name, from.DType, from.Name)
	}
	t.Op, t.Quant.UE8M0, t.Why = plan.Copy, power, ""
	form := q.form(scheme.BlockFP8)
	s := output(form, &t, 1, &scheme.BlockFP8.Outputs(scheme.Params{Expanded: form.Expanded}, t.Shape[0], t.Shape[1])[1])
	s.Op, s.Source = plan.Widen, from.Source
	return []plan.Tensor{t, s}, nil
}

// coding makes weight t, whose Op says from what, the codes of the scheme, and returns
// it with its scales.
func (q *quantizer) coding(t plan.Tensor) ([]plan.Tensor, error) {
	is := q.written[t.Name]
	form := q.form(is)
	if form == nil {
		return nil, invalid.Errorf("tensor %q: container %s does not hold %s", t.Name, q.Container.Name, is.Name)
	}
	params := q.params(is, form)
	r := t.Reading()
	rows, cols := r.Matrix()
	if t.Meta.Whole {
		params.Each = t.Shape[1]
	}
	if err := is.Check(params, rows, cols); err != nil {
		also := ""
		if t.Meta.Role == model.RoutedExpert && t.Meta.Expert >= 0 && !q.PartialExpert {
			also = "; of experts --keep has to name all of a layer, or --allow-partial-experts is given too"
		}
		return nil, fmt.Errorf("tensor %q: %w%s", t.Name, err, also)
	}
	outputs := is.Outputs(params, rows, cols)
	list := make([]plan.Tensor, len(outputs))
	for n := range outputs {
		list[n] = output(form, &t, n, &outputs[n])
	}
	w := &list[0]
	if is != scheme.BlockFP8 {
		w.Quant.Scheme = is.Name
	}
	if t.Op == plan.Recast {
		// Scales are those of the codes, powers of two.
		params = scheme.Params{UE8M0: is == scheme.BlockFP8, Expanded: form.Expanded && is == scheme.BlockFP8, Packing: scheme.Packing{Each: params.Each}}
	}
	w.Quant.Params, w.Quant.Survey = params, q.survey[t.Name]
	return list, q.weigh(w)
}

// output is tensor n of what weight t becomes, under the names of form.
func output(form *container.Form, t *plan.Tensor, n int, o *scheme.Output) plan.Tensor {
	suffix := form.Suffixes[o.Kind]
	if n == 0 {
		w := *t
		w.Name, w.DType, w.Shape, w.Why = t.Name+suffix, o.DType, o.Shape, ""
		w.Meta.Param += suffix
		return w
	}
	s := plan.Tensor{Name: t.Name + suffix, DType: o.DType, Shape: o.Shape, Op: plan.ScaleOf, Nth: n - 1, Source: t.Source, Meta: t.Meta, Why: "scale"}
	s.Meta.Role, s.Meta.Param, s.Meta.ScaleOf, s.Meta.Quantize, s.Meta.Why = model.Scale, t.Meta.Param+suffix, t.Name, false, "scale"
	s.Meta.Weights = 0
	return s
}

// declaredUE8M0 reports whether the input's config says that its F32 scales are
// powers of two, as DeepSeek-V3.1's does.
func (q *quantizer) declaredUE8M0() bool {
	quant := quantization(q.checkpoint)
	return quant != nil && quant.ScaleFmt == "ue8m0"
}
