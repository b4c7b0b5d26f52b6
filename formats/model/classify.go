package model

import (
	"strconv"
	"strings"

	"quern/formats/safetensors"
)

// Arch is an architecture with the numbers of one config: it says what tensors are.
// It is safe for concurrent use.
type Arch struct {
	family     *family
	config     *Config
	vocabulary vocabulary
	// shapes are the rows by key: of tensors within layers, and outside of them.
	shapes, outside map[string][]*row
}

// Lookup returns the architecture of a config: by its model_type, that of a wrapper
// around it, or the first of its classes that is known. For others, and for a nil
// config, it returns generic rules with Known() false.
func Lookup(c *Config) *Arch {
	if c == nil {
		c = new(Config)
	}
	a := &Arch{family: findFamily(c), config: c, vocabulary: common}
	if a.family.layer != nil || a.family.root != nil {
		layer := append(append([]entry(nil), layerEntries...), a.family.layer...)
		root := append(append([]entry(nil), rootEntries...), a.family.root...)
		a.vocabulary = compile(layer, root)
	}
	a.shapes, a.outside = make(map[string][]*row), make(map[string][]*row)
	for _, set := range a.family.rows {
		for i := range set {
			rows := a.shapes
			if set[i].root {
				rows = a.outside
			}
			rows[set[i].key] = append(rows[set[i].key], &set[i])
			if also := set[i].also; also != "" {
				rows[also] = append(rows[also], &set[i])
			}
		}
	}
	return a
}

// Name is the family's name ("deepseek_v3"), "unknown" for the generic rules.
func (a *Arch) Name() string { return a.family.name }

// Known reports whether the tables have the architecture.
func (a *Arch) Known() bool { return a.family != &generic }

// ExpertsInFP4 reports whether engines take routed experts of the architecture for
// FP4 unless the config's expert_dtype says otherwise.
func (a *Arch) ExpertsInFP4() bool { return a.family.packsI8 }

// Config returns what the architecture was looked up with; never nil.
func (a *Arch) Config() *Config { return a.config }

// Classify says what the tensor of a name is.
func (a *Arch) Classify(name string, dtype safetensors.DType, shape []int64) Tensor {
	t := Tensor{Layer: -1, Expert: -1, Param: name}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		t.Module, t.Param = name[:i], name[i+1:]
	}
	var p place
	locate(t.Module, &p)
	a.setLayer(&t, &p)
	r, kind, ok := a.resolve(name, &t, &p, dtype)
	t.Role = role(&t, &p, r, kind, ok, len(shape))
	t.Part, t.Multiplies = r.part, kind == multiplier
	a.byShape(&t, &r, shape)
	if t.Part == "" && (t.Role == Norm || t.Role == Bias) && !ok {
		t.Part = lastSegment(t.Module)
	}
	t.ByExpert = r.flags&byExpert != 0
	t.Fused3D = r.flags&fused3D != 0 && t.Role == RoutedExpert
	t.MTP = t.MTP || r.flags&mtpOnly != 0
	if r.flags&expert != 0 {
		t.Expert = p.number
	}
	if r.flags&piece != 0 {
		t.Piece = p.number
	}
	if t.Role.Linear() && r.fused != "" {
		t.Fused = sibling(t.Module, r.fused)
	}
	t.Weights = a.weightsPer(&t, kind, dtype)
	if r.flags&noWeight != 0 {
		t.Weights = 0
	}
	if t.Fused3D {
		a.orient(&t, kind, shape)
	}
	t.Why = a.kept(&t, dtype, shape)
	t.Quantize = t.Why == ""
	return t
}

// byShape sets right what a name alone says of tensors whose shape tells more.
func (a *Arch) byShape(t *Tensor, r *rule, shape []int64) {
	switch {
	case t.Role == Attention && r.flags&headGate != 0 && len(shape) == 2 && a.config.NumHeads > 1 && shape[0] == int64(a.config.NumHeads):
		t.Role, r.fused = LinearAttentionGate, ""
	case t.Role == Attention && isLinear(a.config, t.Layer): // Kimi's delta attention has the names of the other
		t.Role = LinearAttention
	case t.Role == DenseMLP && len(shape) == 3: // Step: moe.gate_proj.weight [experts, out, in]
		t.Role, r.fused = RoutedExpert, ""
		r.flags |= fused3D | byExpert
	}
}

// setLayer sets Layer and MTP by where the module lies.
func (a *Arch) setLayer(t *Tensor, p *place) {
	t.MTP = p.inMTP
	if p.layer < 0 {
		return
	}
	last := a.config.NumHiddenLayers
	t.Layer = p.layer
	if p.inMTP {
		t.Layer += last
	} else if last > 0 && p.layer >= last && (a.family.mtpLayers || a.config.NumMTPLayers > 0) {
		t.MTP = true
	}
}

// role combines what the module's rule and the parameter's name say.
func role(t *Tensor, p *place, r rule, kind paramKind, ok bool, rank int) Role {
	switch {
	case kind == scale || kind == multiplier || kind == cacheScale:
		return Scale
	case p.tower || p.n == 0 && towers[t.Param]:
		return Vision
	case kind == bias && r.role == Router:
		return RouterBias
	case kind == bias:
		return Bias
	case ok && kind != plain:
		return r.role
	}
	// Norms and convolutions are named alike everywhere and are never quantized, so
	// that guessing them cannot do harm.
	last := lastSegment(t.Module)
	switch {
	case p.n < 0:
		return Unknown
	case rank <= 1 && (strings.Contains(last, "norm") || strings.HasPrefix(last, "ln_")):
		return Norm
	case strings.Contains(last, "conv"):
		return Conv
	}
	return Unknown
}

// lastSegment is what is behind the last dot of a path.
func lastSegment(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// orient sets the layout of a tensor that holds all experts of a layer.
func (a *Arch) orient(t *Tensor, kind paramKind, shape []int64) {
	l := a.family.fused
	if t.Switched() {
		return
	}
	// MXFP4 blocks run along the input, so they are never transposed.
	t.Transposed = l.transposed && kind == weight
	t.Whole = l.whole && kind == weight
	t.Interleaved = l.interleaved && t.Part == "gate_up"
	if l.either && t.Transposed {
		if turned, ok := a.turned(t.Part, shape); ok {
			t.Transposed = turned
		}
	}
}

// turned reports whether experts of a shape are [experts, in, out], and whether the
// shape tells: it does not where both dimensions may be the hidden size.
func (a *Arch) turned(part string, shape []int64) (turned, ok bool) {
	if len(shape) != 3 {
		return false, false
	}
	hidden := int64(a.config.HiddenSize)
	in, out := shape[2] == hidden, shape[1] == hidden
	if part == "down" {
		in, out = out, in
	}
	return out, in != out
}

// Partner returns the name of the tensor of the same experts whose shape tells the
// orientation of t, where both are published and that of t does not; "" otherwise.
func (a *Arch) Partner(t *Tensor, shape []int64) string {
	if _, ok := a.turned(t.Part, shape); ok || !t.Fused3D || !a.family.fused.either || len(shape) != 3 {
		return ""
	}
	if t.Part == "down" {
		return sibling(t.Name(), strings.Replace(t.Param, "down", "gate_up", 1))
	}
	return sibling(t.Name(), strings.Replace(t.Param, "gate_up", "down", 1))
}

// Orient gives t, whose shape is shape, the orientation of its partner.
func (a *Arch) Orient(t *Tensor, dtype safetensors.DType, shape, partner []int64) {
	other := "gate_up"
	if t.Part == "gate_up" {
		other = "down"
	}
	if turned, ok := a.turned(other, partner); ok {
		t.Transposed = turned
		t.Why = a.kept(t, dtype, shape)
		t.Quantize = t.Why == ""
	}
}

// kept says why a tensor is not quantized, "" when it is.
func (a *Arch) kept(t *Tensor, dtype safetensors.DType, shape []int64) string {
	switch {
	case t.Role >= numRoles:
		return "invalid role"
	case !t.Role.Linear():
		return roleText[t.Role].why
	case t.Fused3D:
		if why := a.keptFused(t, dtype, shape); why != "" {
			return why
		}
	case len(shape) != 2:
		return "not a matrix"
	}
	switch {
	case t.Packed():
		return "packed already: " + strconv.FormatInt(t.Weights, 10) + " weights in each " + dtype.String()
	case !quantizable[dtype]:
		return "dtype " + dtype.String() + " is not quantized"
	}
	for _, n := range shape {
		if n == 0 {
			return "empty"
		}
	}
	return ""
}

// quantizable are the types that block FP8 is made from. FP8 itself is among them: it is a
// matrix that the output has in FP8.
var quantizable = map[safetensors.DType]bool{
	safetensors.BF16: true, safetensors.F16: true, safetensors.F32: true, safetensors.F64: true,
	safetensors.F8E4M3: true, safetensors.F8E5M2: true,
}

// keptFused says why the experts of a layer in one tensor are kept.
func (a *Arch) keptFused(t *Tensor, dtype safetensors.DType, shape []int64) string {
	l := a.family.fused
	if l.why != "" {
		return l.why
	}
	if len(shape) != 3 {
		return "not a matrix for each expert"
	}
	// The layout is the family's, but exporters differ: what contradicts it is
	// kept rather than cut along the wrong dimension.
	width, experts := int64(a.config.ExpertWidth()), int64(a.config.NumExperts)
	in, rows := shape[2], shape[1]
	if t.Part == "down" {
		in = shape[1]
	}
	if t.Transposed {
		in, rows = shape[1]+shape[2]-in, shape[2]
	}
	if width > 0 && in != width || experts > 0 && shape[0] != experts || t.Part == "gate_up" && rows%2 != 0 {
		return "fused experts whose shape is not the one that " + a.family.name + " has"
	}
	if t.Transposed && dtype.Bits() == 8 {
		return "codes of experts stored [experts, in, out] are not turned round"
	}
	return ""
}

// switched is the module in which MLX keeps the experts of a layer, those of one part in
// one tensor, whatever the family stores.
const switched = "switch_mlp"

// Switched reports whether the tensor holds experts as MLX stores them.
func (t *Tensor) Switched() bool { return t.Fused3D && strings.Contains(t.Module, switched) }

// ExpertModule returns the path of the module that one part ("gate", "up", "down")
// of one expert has when a tensor of all experts is divided.
func (t *Tensor) ExpertModule(expert int, part string) string {
	base := t.Module
	if t.Switched() {
		base = strings.Replace(base, switched, "experts", 1)
	}
	if i := strings.LastIndex(base, "experts"); i >= 0 {
		base = base[:i+len("experts")] // experts.gate_up_proj.weight
	}
	return base + "." + strconv.Itoa(expert) + "." + part + "_proj"
}
