package convert

import (
	"fmt"
	"slices"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/scheme"
)

// decide marks what is quantized: the role says what can be, the options what
// is to be kept, and fused partners go together.
func (q *quantizer) decide(p *plan.Plan) error {
	q.quantized, q.asIs = make([]bool, len(p.Tensors)), map[string]bool{}
	q.written, q.taken = map[string]*scheme.Scheme{}, map[string]bool{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		_, isFloat := plan.Elem(t.DType)
		switch {
		case t.Coded():
			q.quantized[i] = true // nothing is gained by widening it again
			if err := q.again(p, t); err != nil {
				return err
			}
		case !isFloat && t.Meta.Role.Linear() && t.Meta.Param == "weight":
			return invalid.Errorf("tensor %q: a %s weight of dtype %s cannot be quantized; only BF16, F16, F32, F64 and block FP8 can", t.Name, t.Meta.Role, t.DType)
		case t.Meta.Whole && len(t.Shape) == 3:
			if err := q.stack(p, i); err != nil {
				return err
			}
		case !t.Meta.Quantize:
		case t.Meta.Fused3D: // splitExperts left it whole
			t.Why = q.keepFused(t)
		case len(t.Shape) != 2 || t.Shape[0] == 0 || t.Shape[1] == 0:
			t.Why = fmt.Sprintf("shape %v is no matrix", t.Shape)
			p.Notes = append(p.Notes, fmt.Sprintf("%s is kept: its %s", t.Name, t.Why))
		default:
			if t.Why = q.keep(t); t.Why == "" {
				q.quantized[i], q.written[t.Name] = true, q.schemeOf(&t.Meta)
			}
		}
	}
	q.followPartners(p)
	return q.wholeLayers(p)
}

// again decides what becomes of FP8 codes that the input has.
func (q *quantizer) again(p *plan.Plan, t *plan.Tensor) error {
	s := q.schemeOf(&t.Meta)
	from := &p.Tensors[q.scales[t.Name]]
	grid, err := plan.ScaleGrid(t, from, quantization(q.checkpoint).Tile())
	if err != nil {
		return err
	}
	own := scheme.ByGrid(grid, from.DType)
	switch kept := q.keepCodes(t); {
	case kept && (q.Container == container.DeepSeek || q.overFP8()): // whose form they have
		q.asIs[t.Meta.Module] = true
	case kept && q.form(own) == nil:
		return invalid.Errorf("tensor %q: it has FP8 codes that are to be kept, and container %s does not hold %s: %sconvert it to BF16 first (quern convert --to bf16)", t.Name, q.Container.Name, own.Name, q.holders(own))
	case kept: // taken over code by code, under the container's names
		q.taken[t.Meta.Module] = true
	case q.Requantize, scheme.CanCast(scheme.BlockFP8.Name, s.Name) && q.castable[t.Name]:
		q.written[t.Name] = s
	case s == own: // it is what was asked for
		q.taken[t.Meta.Module] = true
	case s != scheme.BlockFP8:
		return invalid.Errorf("tensor %q: it has FP8 codes, and %s is made from the weights that were rounded to them: start from the BF16 original, convert it to BF16 first (quern convert --to bf16), keep it with --keep, or accept a second rounding with --requantize", t.Name, s.Name)
	}
	return nil
}

// keepsMatch is the stage that refuses patterns of --keep that no module answers to:
// a typo would quantize what was to be kept.
func (q *quantizer) keepsMatch(p *plan.Plan) error {
	for _, g := range q.Keep {
		if !slices.ContainsFunc(p.Tensors, func(t plan.Tensor) bool { return glob(g, t.Meta.Module) || splitMatches(g, &t) }) {
			return &UsageError{fmt.Sprintf("--keep %s matches no module of %s; --tensors of quern inspect lists them", g, q.checkpoint.Path)}
		}
	}
	return nil
}

// splitMatches reports whether a pattern names a module that an expert of a fused
// tensor has once it is divided.
func splitMatches(pattern string, t *plan.Tensor) bool {
	if !t.Meta.Fused3D || len(t.Shape) != 3 {
		return false
	}
	names := []string{t.Meta.Part}
	if t.Meta.Part == "gate_up" {
		names = []string{"gate", "up"}
	}
	for e := range min(t.Shape[0], 1<<16) {
		for _, name := range names {
			if glob(pattern, t.Meta.ExpertModule(int(e), name)) {
				return true
			}
		}
	}
	return false
}

// keepCodes reports whether codes that the input has stay with their scales as they
// are, byte for byte.
func (q *quantizer) keepCodes(t *plan.Tensor) bool {
	two := *t
	if len(t.Shape) != 2 { // whether tiles divide it is asked of matrices only
		two.Shape = []int64{0, 0}
	}
	return q.option(&two) != ""
}

// keep says why t is kept: by an option, or by the config of an FP8 input; "" if it
// is not.
func (q *quantizer) keep(t *plan.Tensor) string {
	why := q.option(t)
	if why == "" && q.listed.has(t.Meta.Module) {
		why = "the input's config lists it as not quantized"
	}
	return why
}

// option says which option keeps t, "" if none does.
func (q *quantizer) option(t *plan.Tensor) string {
	for _, g := range q.Keep {
		if glob(g, t.Meta.Module) {
			return "--keep " + g
		}
	}
	switch {
	case q.spared(t) != "":
		return q.spared(t)
	case q.KeepMTP && t.Meta.MTP:
		return "--mtp keep"
	case q.KeepRagged && q.schemeOf(&t.Meta).Grain == scheme.BlockFP8.Grain && ragged(t.Shape):
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
		if t.Meta.Fused == "" || first == "" || !q.quantized[i] || t.Coded() {
			continue
		}
		q.quantized[i] = false
		delete(q.written, t.Name)
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
