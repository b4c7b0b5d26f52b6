package runner

import (
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/invalid"
)

// key names a tensor by what it is.
type key struct {
	role   model.Role
	layer  int
	expert int // of a routed expert, from 1: the zero value is none
	part   string
	piece  int    // of parts that a layer has twice (LongCat)
	param  string // of biases of routers, which have two kinds; else ""
}

// builder finds the tensors of a model and remembers the first that it lacks.
type builder struct {
	c       *hf.Checkpoint
	tensors map[key]*plan.Tensor
	scales  map[string]*plan.Tensor
	inputs  map[string]*plan.Tensor // static scales of inputs, by module
	all     []plan.Tensor
	used    map[string]bool // names of tensors that were asked for
	fed     []*matrix       // weights whose inputs engines round, or that have such a scale
	block   []int64
	// lacksMTP is set when the config declares multi-token prediction that is not stored.
	lacksMTP bool
	err      error
}

func newBuilder(c *hf.Checkpoint) (*builder, error) {
	arch := c.Arch()
	// transformers saves checkpoints without multi-token prediction, which their configs
	// still declare.
	lack := arch.Missing(c.Has)
	if lack.Count > lack.MTP || lack.Count > 0 && hasMTP(c) {
		return nil, invalid.Errorf("%q: tensors of the config are missing: %s", c.Path, lack)
	}
	p := plan.New(c)
	if _, err := plan.Unpack(p, c); err != nil {
		return nil, err
	}
	scales, err := plan.PairScales(p)
	if err != nil {
		return nil, err
	}
	b := &builder{c: c, lacksMTP: lack.Count > 0, tensors: make(map[key]*plan.Tensor, len(p.Tensors)), scales: make(map[string]*plan.Tensor, len(scales)), inputs: map[string]*plan.Tensor{}, all: p.Tensors, used: map[string]bool{}, block: c.Config.Quant.Tile()}
	for weight, i := range scales {
		b.scales[weight] = &p.Tensors[i]
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if plan.IsInputScale(t.Meta.Param) {
			b.inputs[t.Meta.Module] = t
		}
		if want, ok := arch.ExpectedShape(t.Meta); ok && !slices.Equal(want, t.Shape) {
			return nil, invalid.Errorf("tensor %q: shape %v, but the config says %v", t.Name, t.Shape, want)
		}
		k := key{role: t.Meta.Role, layer: t.Meta.Layer, expert: t.Meta.Expert + 1, part: t.Meta.Part, piece: t.Meta.Piece}
		if t.Meta.Role == model.RouterBias && t.Meta.Param == "bias" {
			k.param = "bias"
		}
		if t.Meta.Role == model.Bias && k.part == "" {
			// Of norms, whose parts are the names of their modules.
			k.part = t.Meta.Module[strings.LastIndexByte(t.Meta.Module, '.')+1:]
		}
		if t.Meta.MTP && k.layer < 0 {
			k.layer = c.Config.NumHiddenLayers // Qwen: mtp.fc beside mtp.layers.0
		}
		b.tensors[k] = t
		if err := b.divide(t); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// hasMTP reports whether a checkpoint has any tensor of multi-token prediction.
func hasMTP(c *hf.Checkpoint) bool {
	for _, t := range c.Classified() {
		if t.MTP {
			return true
		}
	}
	return false
}

// divide finds the matrices of single experts in a tensor that holds all of a layer. Where
// gate and up alternate (gpt_oss) nothing is divided.
func (b *builder) divide(t *plan.Tensor) error {
	if t.Coded() {
		return b.divideCodes(t)
	}
	if _, ok := plan.Elem(t.DType); !ok || !t.Meta.Fused3D || len(t.Shape) != 3 || t.Meta.Interleaved {
		return nil
	}
	parts, err := plan.ExpertParts(*t)
	c := b.c.Config
	for i := range parts {
		m := &parts[i].Meta
		want := []int64{int64(c.ExpertSize()), int64(c.ExpertWidth())}
		if m.Part == "down" {
			slices.Reverse(want)
		}
		if !slices.Equal(parts[i].Shape, want) {
			return invalid.Errorf("tensor %q: shape %v holds experts whose %s is %v, but the config says %v", t.Name, t.Shape, m.Part, parts[i].Shape, want)
		}
		b.tensors[key{role: m.Role, layer: m.Layer, expert: m.Expert + 1, part: m.Part}] = &parts[i]
	}
	return err
}

func (b *builder) has(k key) bool { return b.tensors[k] != nil }

// find returns the tensor of k, or nil having noted that there is none.
func (b *builder) find(k key) *plan.Tensor {
	t := b.tensors[k]
	if t == nil && b.err == nil {
		what := k.role.String()
		if k.part != "" {
			what += " " + k.part
		}
		if k.expert > 0 {
			b.err = invalid.Errorf("%q: layer %d has no tensor for %s of expert %d", b.c.Path, k.layer, what, k.expert-1)
		} else {
			b.err = invalid.Errorf("%q: layer %d has no tensor for %s", b.c.Path, k.layer, what)
		}
	}
	if t != nil {
		b.used[t.Name], b.used[t.Source.Name] = true, true
	}
	return t
}

// matrix returns the weight of k; after an error an empty one.
func (b *builder) matrix(k key) *matrix {
	t := b.find(k)
	if t == nil {
		return &matrix{}
	}
	m, err := newMatrix(t, b.scales[t.Name], b.block)
	if err != nil {
		if b.err == nil {
			b.err = err
		}
		return &matrix{}
	}
	b.feed(m, &t.Meta)
	return m
}

// vector returns the vector of k with n elements.
func (b *builder) vector(k key, n int) *vector { return b.numbers(k, n) }

// numbers returns what k stores in a shape, as kernels of convolutions have, one number
// after the other.
func (b *builder) numbers(k key, shape ...int) *vector {
	t := b.find(k)
	if t == nil {
		return &vector{}
	}
	n, want := 1, make([]int64, len(shape))
	for i, d := range shape {
		n, want[i] = n*d, int64(d)
	}
	if _, ok := plan.Elem(t.DType); !ok || !slices.Equal(t.Shape, want) {
		if b.err == nil {
			b.err = invalid.Errorf("tensor %q: %s of shape %v instead of %d numbers", t.Name, t.DType, t.Shape, n)
		}
		return &vector{}
	}
	return &vector{view: t.Source, n: n}
}

// flat returns the n numbers of k, in whatever shape they are stored.
func (b *builder) flat(k key, n int) *vector {
	if t := b.tensors[k]; t != nil && len(t.Shape) > 1 {
		shape, count := make([]int, len(t.Shape)), int64(1)
		for i, d := range t.Shape {
			shape[i], count = int(d), count*d
		}
		if count == int64(n) {
			return b.numbers(k, shape...)
		}
	}
	return b.vector(k, n)
}

// optional returns the vector of k, nil when there is none.
func (b *builder) optional(k key, n int) *vector {
	if !b.has(k) {
		return nil
	}
	return b.vector(k, n)
}

// slice makes matrix or vector of expert e of a tensor that holds all of them.
func slice(v plan.View, e int, shape ...int64) plan.View {
	n := v.Bytes() / v.Shape[0]
	v.Offset += int64(e) * n
	v.Shape = shape
	return v
}
