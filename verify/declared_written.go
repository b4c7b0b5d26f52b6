package verify

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/strictjson"
	"quern/scheme"
)

// saying is what a config says of the codes of one module; zero values say nothing.
type saying struct {
	schemes []string // that would be so
	bits    int      // of a code
	group   int64    // weights that share a scale; -1: a row has one
	zeros   *bool    // whether there are zero points
	order   *bool    // whether inputs have groups in any order
	words   string   // the config's own
}

// sayings are how configs speak of codes that lie under no grid, by quant_method. ok is
// false where one says nothing of a module.
var sayings = map[string]func(d *declaration, t *plan.Tensor) (s saying, ok bool){
	"compressed-tensors": ofGroups,
	"modelopt":           ofAlgorithms,
	"modelopt_fp4":       ofAlgorithms,
	"modelopt_mixed":     ofAlgorithms,
	"awq":                ofAWQ,
	"gptq":               ofGPTQ,
	"mxfp4":              ofMXFP4,
	"fp8":                ofFP4Experts,
	"":                   ofMLX,
}

// fixed are bits and groups that a scheme always has.
var fixed = map[string]struct {
	bits  int
	group int64
}{
	scheme.NVFP4.Name: {4, 16}, scheme.NVFP4Turned.Name: {4, 16}, scheme.NVFP4Stack.Name: {4, 16}, scheme.NVFP4Plain.Name: {4, 16},
	scheme.MXFP4.Name: {4, 32}, scheme.MXFP4Turned.Name: {4, 32}, scheme.MXFP8.Name: {8, 32}, scheme.MLXFP8.Name: {8, 32},
	scheme.INT4.Name: {4, 32},
}

// numbers are the bits and the group of codes as they lie there, -1 for whole rows.
func numbers(w *plan.Written) (bits int, group int64) {
	bits, group = w.Params.Bits, w.Params.Group
	if f, ok := fixed[w.Scheme]; ok {
		bits, group = f.bits, f.group
	}
	if group == 0 || group >= w.Cols {
		group = -1
	}
	return bits, group
}

// written checks what the config says of codes that lie under no grid.
func (d *declaration) written() {
	says, known := sayings[d.q.Method]
	if !known {
		return // of a program whose config nothing here knows
	}
	problems := map[string]*misread{} // by kind
	var kinds []string
	note := func(kind, format string, args ...any) {
		if problems[kind] == nil {
			problems[kind] = new(misread)
			kinds = append(kinds, kind)
		}
		if p := problems[kind]; p.count == 0 {
			p.first = fmt.Sprintf(format, args...)
		}
		problems[kind].count++
	}
	for _, t := range d.packed {
		w := d.side.written[t.Name]
		s, ok := says(d, t)
		bits, group := numbers(w)
		if s.group == 0 && s.bits == 0 {
			s.group = group
		} else if s.group >= w.Cols {
			s.group = -1
		}
		switch {
		case !ok:
			note("none", "%s is %s, which the config does not say", t.Meta.Module, w.Scheme)
		case w.Scheme == scheme.NVFP4.Name && w.Divides != (d.q.Method == "compressed-tensors"):
			note("names", "%s has the scales of another container, but quant_method is %s", t.Meta.Module, d.q.Method)
		case len(s.schemes) > 0 && !slices.Contains(s.schemes, w.Scheme):
			note("scheme", "%s is %s, but %s", t.Meta.Module, w.Scheme, s.words)
		case s.bits > 0 && s.bits != bits:
			note("bits", "%s has codes of %d bits, but %s", t.Meta.Module, bits, s.words)
		case s.group != 0 && s.group != group:
			note("group", "%s has scales for %s, but %s", t.Meta.Module, groupWords(group), s.words)
		case s.zeros != nil && *s.zeros != w.Params.Zeros:
			note("zeros", "%s has %s, but %s", t.Meta.Module, withWithout(w.Params.Zeros, "zero points"), s.words)
		case s.order != nil && *s.order != w.Params.Order:
			note("order", "%s has %s, but %s", t.Meta.Module, withWithout(w.Params.Order, "an order of inputs (g_idx)"), s.words)
		}
	}
	for _, kind := range kinds {
		p := problems[kind]
		more := ""
		if p.count > 1 {
			more = fmt.Sprintf(", and %d more", p.count-1)
		}
		d.fail("%s%s", p.first, more)
	}
}

func groupWords(n int64) string {
	if n == -1 {
		return "whole rows"
	}
	return fmt.Sprintf("%d weights", n)
}

func withWithout(has bool, what string) string {
	if has {
		return what
	}
	return "no " + strings.TrimPrefix(what, "an ")
}

// member reads a member of the config as text; "" where it has none.
func (d *declaration) member(path ...string) string {
	v := d.root
	for _, key := range path {
		v = v.Get(key)
	}
	if v == nil || v.Kind == strictjson.KindNull {
		return ""
	}
	return v.Text
}

// truth reads a member that is true or false; nil where it says neither.
func (d *declaration) truth(path ...string) *bool {
	v := d.root
	for _, key := range path {
		v = v.Get(key)
	}
	if v == nil || v.Kind != strictjson.KindBool {
		return nil
	}
	b := v.Text == "true"
	return &b
}

// packings are the formats of compressed-tensors for codes that lie under no grid, with
// what a group of each says of its numbers (compressed_tensors/compressors/format.py,
// infer_module_format, 0.20).
var packings = map[string][]string{
	"nvfp4-pack-quantized": {scheme.NVFP4.Name},
	"mxfp4-pack-quantized": {scheme.MXFP4.Name},
	"pack-quantized":       {scheme.INT4.Name, scheme.PackQuantized.Name},
	"int-quantized":        {scheme.INT8.Name},
}

// target finds the group of compressed-tensors that takes a module: one that names it
// comes before one that names all linears.
func (d *declaration) target(module string) *model.QuantGroup {
	var all *model.QuantGroup
	for i := range d.q.Groups {
		g := &d.q.Groups[i]
		if matchers(g.Targets)[4](module) {
			return g
		}
		if slices.Contains(g.Targets, "Linear") && all == nil {
			all = g
		}
	}
	return all
}

func ofGroups(d *declaration, t *plan.Tensor) (s saying, ok bool) {
	g := d.target(t.Meta.Module)
	if g == nil || g.NumBits == 0 {
		return s, false
	}
	format := g.Format
	if format == "" {
		format = d.q.Format
	}
	s = saying{bits: g.NumBits, group: int64(g.GroupSize), words: fmt.Sprintf("%s says %s, %d bits of %s by %s", g.Name, format, g.NumBits, g.Type, g.Strategy)}
	if g.GroupSize > 0 {
		s.words += fmt.Sprintf(" of %d", g.GroupSize)
	} else if g.Strategy == "channel" {
		s.group = -1
	}
	switch {
	case g.Type == "float" && g.NumBits == 4 && g.GroupSize == 16:
		s.schemes = []string{scheme.NVFP4.Name}
	case g.Type == "float" && g.NumBits == 4:
		s.schemes = []string{scheme.MXFP4.Name}
	case g.Type == "float":
		s.schemes = []string{scheme.MXFP8.Name}
	default:
		s.schemes = []string{scheme.INT4.Name, scheme.PackQuantized.Name, scheme.INT8.Name}
		if symmetric := d.truth("config_groups", g.Name, "weights", "symmetric"); symmetric != nil {
			zeros := !*symmetric
			s.zeros = &zeros
			s.words += fmt.Sprintf(", symmetric %v", *symmetric)
		}
		order := d.member("config_groups", g.Name, "weights", "actorder") == "group"
		s.order = &order
	}
	if in, known := packings[format]; known {
		s.schemes = slices.DeleteFunc(s.schemes, func(n string) bool { return !slices.Contains(in, n) })
	}
	if _, known := packings[format]; len(s.schemes) == 0 || !known && format != "" && format != "mixed-precision" {
		s.schemes = []string{format} // which no codes are, or not those of the numbers
	}
	return s, true
}

// algorithmSchemes are ModelOpt's names of codes that lie under no grid.
var algorithmSchemes = map[string][]string{
	"NVFP4":       {scheme.NVFP4.Name, scheme.NVFP4Stack.Name, scheme.NVFP4Turned.Name},
	"W4A16_NVFP4": {scheme.NVFP4.Name, scheme.NVFP4Stack.Name, scheme.NVFP4Turned.Name},
	"NVFP4_AWQ":   {scheme.NVFP4.Name, scheme.NVFP4Stack.Name, scheme.NVFP4Turned.Name},
}

func ofAlgorithms(d *declaration, t *plan.Tensor) (s saying, ok bool) {
	algo, size := d.q.Algo, d.q.GroupSize
	if len(d.q.Groups) > 0 && size == 0 {
		size = d.q.Groups[0].GroupSize
	}
	if algo == "MIXED_PRECISION" {
		entry := d.layer(t.Meta.Module)
		if entry == nil {
			return s, false
		}
		algo, size = "", 0
		if v := entry.Get("quant_algo"); v != nil {
			algo = v.Text
		}
		if v := entry.Get("group_size"); v != nil {
			_, _ = fmt.Sscan(v.Text, &size)
		}
	}
	s = saying{group: int64(size), words: fmt.Sprintf("quant_algo is %s", algo)}
	if s.schemes = algorithmSchemes[strings.ToUpper(algo)]; s.schemes == nil {
		s.schemes = []string{algo}
	}
	if size > 0 {
		s.bits = 4
		s.words += fmt.Sprintf(" with groups of %d", size)
	}
	return s, true
}

// layer is the entry of a module in quantized_layers, its own or that of all experts of
// its layer; nil if there is none.
func (d *declaration) layer(module string) *strictjson.Value {
	list := d.root.Get("quantized_layers")
	for name := module; name != ""; {
		if v := list.Get(name); v != nil {
			return v
		}
		at := strings.LastIndexByte(name, '.')
		name = name[:max(at, 0)]
	}
	return nil
}

func ofAWQ(d *declaration, _ *plan.Tensor) (saying, bool) {
	s := saying{schemes: []string{scheme.AWQ.Name}, bits: d.q.Bits, group: int64(d.q.GroupSize), zeros: d.truth("zero_point")}
	s.words = fmt.Sprintf("quant_method is awq, %d bits in groups of %d", d.q.Bits, d.q.GroupSize)
	if s.zeros != nil {
		s.words += fmt.Sprintf(", zero_point %v", *s.zeros)
	}
	return s, true
}

func ofGPTQ(d *declaration, _ *plan.Tensor) (saying, bool) {
	s := saying{schemes: []string{scheme.GPTQ.Name}, bits: d.q.Bits, group: int64(d.q.GroupSize)}
	if d.q.Checkpoint == "gptq_v2" {
		s.schemes = []string{scheme.GPTQv2.Name}
	}
	s.words = fmt.Sprintf("quant_method is gptq, %d bits in groups of %d", d.q.Bits, d.q.GroupSize)
	if act := d.truth("desc_act"); act != nil && *act { // without it g_idx may be there as well, in order
		s.order, s.words = act, s.words+", desc_act true"
	}
	return s, true
}

func ofMXFP4(_ *declaration, t *plan.Tensor) (saying, bool) {
	return saying{schemes: []string{scheme.MXFP4Turned.Name, scheme.MXFP4.Name}, words: "quant_method is mxfp4"}, t.Meta.Role == model.RoutedExpert
}

// ofFP4Experts is DeepSeek-V4's: experts in FP4 beside FP8.
func ofFP4Experts(d *declaration, t *plan.Tensor) (saying, bool) {
	if algo := d.member("moe_quant_algo"); algo != "" {
		return saying{schemes: algorithmSchemes[strings.ToUpper(algo)], words: "moe_quant_algo is " + algo}, t.Meta.Role == model.RoutedExpert
	}
	return saying{schemes: []string{scheme.MXFP4.Name}, words: "quant_method fp8 has experts of MXFP4 beside it"}, t.Meta.Role == model.RoutedExpert
}

// modes are MLX's names of forms.
var modes = map[string][]string{
	"": {scheme.MLXAffine.Name}, "affine": {scheme.MLXAffine.Name},
	"mxfp4": {scheme.MXFP4.Name}, "mxfp8": {scheme.MLXFP8.Name}, "nvfp4": {scheme.NVFP4Plain.Name},
}

func ofMLX(d *declaration, t *plan.Tensor) (s saying, ok bool) {
	bits, group, mode := d.q.Bits, d.q.GroupSize, d.q.Mode
	if v := d.root.Get(t.Meta.Module); v != nil && v.Kind == strictjson.KindObject { // of this module
		for key, at := range map[string]any{"bits": &bits, "group_size": &group, "mode": &mode} {
			if x := v.Get(key); x != nil {
				_, _ = fmt.Sscan(x.Text, at)
			}
		}
	}
	s = saying{schemes: modes[mode], bits: bits, group: int64(group), words: fmt.Sprintf("quantization says %d bits in groups of %d, mode %q", bits, group, mode)}
	if s.schemes == nil {
		s.schemes = []string{mode}
	}
	return s, true
}
