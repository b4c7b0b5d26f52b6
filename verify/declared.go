package verify

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"quern/convert/modules"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/strictjson"
)

// methods are the words of quant_method under which FP8 codes lie beside their scales,
// with the names that the scales then have (formats-2026 §3).
var methods = map[string][]string{
	"fp8":                {"weight_scale_inv", "weight_scale", "scale", "scale_inv"},
	"mxfp8":              {"weight_scale_inv", "weight_scale"},
	"compressed-tensors": {"weight_scale"},
	"modelopt":           {"weight_scale"},
	"modelopt_mixed":     {"weight_scale"},
	"fbgemm_fp8":         {"weight_scale"},
	"quark":              {"weight_scale"},
}

// declared says what config.json tells of the quantization that the tensors do not
// bear out.
func (s *side) declared() []string {
	root := s.quantizationValue()
	if root == nil && sideFile(s.c, besideName) != nil {
		return nil // it is declared there, see declaredBeside
	}
	return s.declaredBy(s.c.Config.Quant, root, false)
}

// quantizationValue is what config.json says of the quantization; nil if it says nothing.
func (s *side) quantizationValue() *strictjson.Value {
	for _, at := range []*strictjson.Value{&s.c.ConfigValue, s.c.ConfigValue.Get("text_config")} {
		for _, name := range []string{"quantization_config", "compression_config", "quantization"} {
			if v := at.Get(name); v != nil && (name != "quantization" || model.IsMLX(v)) {
				return v
			}
		}
	}
	return nil
}

// besideName is the file of ModelOpt that says again how modules are quantized; some
// engines read it alone.
const besideName = "hf_quant_config.json"

// declaredBeside says the same of that file. Beside a config.json of another program it
// tells of the modules that it lists, and config.json of the others: DeepSeek-V4's in FP8
// beside experts in NVFP4 (formats-2026 §4.1).
func (s *side) declaredBeside() []string {
	f := sideFile(s.c, besideName)
	if f == nil {
		return nil
	}
	v, err := parseSide(s.c, f)
	if err != nil {
		return []string{err.Error()}
	}
	q, err := model.ParseQuantization(v)
	if err != nil {
		return []string{err.Error()}
	}
	if in := v.Get("quantization"); in != nil {
		v = in
	}
	some := q.Algo == "MIXED_PRECISION" && s.quantizationValue() != nil && !strings.HasPrefix(s.c.Config.Quant.Method, "modelopt")
	return s.declaredBy(q, v, some)
}

// declaredBy holds q, which was read from root, against the tensors: if some is set against
// those of modules that it lists.
func (s *side) declaredBy(q *model.Quantization, root *strictjson.Value, some bool) []string {
	d := declaration{side: s, q: q, root: root}
	for i := range s.tensors {
		if !some || d.layer(s.tensors[i].Meta.Module) != nil {
			d.add(&s.tensors[i])
		}
	}
	coded := len(d.codes) + len(d.packed)
	switch {
	case len(s.packed) > len(d.packed) && coded == 0:
		return nil // nothing here knows those
	case d.q == nil && coded == 0:
		return nil
	case d.q == nil:
		first, what := slices.Concat(d.codes, d.packed)[0], "FP8 codes"
		if len(d.codes) == 0 {
			what = "codes"
		}
		return []string{fmt.Sprintf("no quantization_config, but %d modules have %s, %s first: engines would read them as weights", coded, what, first.Meta.Module)}
	case coded == 0 && slices.ContainsFunc(s.tensors, func(t plan.Tensor) bool { return isCodes(&t) }):
		return nil // of an embedding (modules_to_convert): no linear is said to have any
	case coded == 0:
		return []string{fmt.Sprintf("quantization_config says %q, but no weight has codes", d.q.Method)}
	}
	if len(d.codes) > 0 {
		d.method()
		d.block()
		d.activations()
	}
	d.written()
	d.list()
	return d.problems
}

// declaration holds quantization_config against the tensors.
type declaration struct {
	side     *side
	q        *model.Quantization
	root     *strictjson.Value // that q was read from
	codes    []*plan.Tensor    // FP8 weights
	packed   []*plan.Tensor    // weights whose codes lie under no grid
	kept     []*plan.Tensor    // linears that are not quantized
	inputs   map[string]bool
	problems []string
}

func (d *declaration) fail(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

// add files a tensor. Linears are what engines have a linear layer for, the head and
// routers among them; whether they make one of FP8 is for the list to say.
func (d *declaration) add(t *plan.Tensor) {
	switch t.Meta.Role {
	case model.Scale:
		if plan.IsInputScale(t.Meta.Param) {
			if d.inputs == nil {
				d.inputs = map[string]bool{}
			}
			d.inputs[t.Meta.Module] = true
		}
		return
	case model.Head, model.MTPHead, model.Router, model.SharedExpertGate, model.MTPProjection, model.IndexerGate, model.LinearAttentionGate:
	default:
		if !t.Meta.Role.Linear() {
			return
		}
	}
	if d.side.written[t.Name] != nil {
		d.packed = append(d.packed, t)
	} else if _, float := plan.Elem(t.DType); isCodes(t) {
		d.codes = append(d.codes, t)
	} else if float && len(t.Shape) == 2 && t.Meta.Param == "weight" {
		d.kept = append(d.kept, t)
	}
}

// method checks the words for the format.
func (d *declaration) method() {
	suffixes, known := methods[d.q.Method]
	if !known {
		d.fail("quant_method %q is none under which weights are FP8 codes with scales, as %s is", d.q.Method, d.codes[0].Name)
		return
	}
	for _, t := range d.codes {
		scale := d.side.scales[t.Name]
		if scale != nil && !t.Meta.Fused3D && !slices.Contains(suffixes, scale.Meta.Param) {
			d.fail("quant_method %q has scales named %s, and here is %q", d.q.Method, strings.Join(suffixes, " or "), scale.Name)
			break
		}
	}
	switch d.q.Fmt {
	case "", "e4m3", "float8_e4m3fn":
	default:
		d.fail("fmt %q, but codes are E4M3", d.q.Fmt)
	}
	switch d.q.ScaleFmt {
	case "", "ue8m0", "float":
	default:
		d.fail("scale_fmt %q is none that is known: ue8m0, or none", d.q.ScaleFmt)
	}
	if d.q.Method == "compressed-tensors" && !slices.ContainsFunc(d.q.Groups, func(g model.QuantGroup) bool { return g.NumBits == 8 && g.Type == "float" }) {
		d.fail("compressed-tensors without a group of 8-bit floats, but %d modules have FP8 codes", len(d.codes))
	}
	if strings.HasPrefix(d.q.Method, "modelopt") && !strings.Contains(d.q.Algo, "FP8") && d.q.Algo != "MIXED_PRECISION" {
		d.fail("quant_algo %q, but %d modules have FP8 codes", d.q.Algo, len(d.codes))
	}
}

// block checks weight_block_size.
func (d *declaration) block() {
	block := d.side.block
	wrong, first := 0, ""
	for _, t := range d.codes {
		scale := d.side.scales[t.Name]
		if scale == nil || len(t.Shape) != 2 {
			continue
		}
		g, err := scaleGrid(t, scale, block)
		switch {
		case err != nil:
		case len(block) == 2 && (g.TileRows != block[0] || g.TileCols != block[1]):
		case len(block) == 0 && g.IsTile128() && g.Rows*g.Cols > 1 && d.q.Method == "fp8":
		default:
			continue
		}
		if wrong++; wrong == 1 {
			first = fmt.Sprintf("%q of shape %v for %v", scale.Name, scale.Shape, t.Shape)
		}
	}
	switch {
	case wrong == 0:
	case len(block) == 0:
		d.fail("no weight_block_size, but %d weights have scales by tile, first %s", wrong, first)
	default:
		d.fail("weight_block_size %v, which the scales of %d weights do not have, first %s", block, wrong, first)
	}
}

// activations checks activation_scheme.
func (d *declaration) activations() {
	if d.q.Method != "fp8" {
		return
	}
	lacks, first := 0, ""
	for _, t := range d.codes {
		if !d.inputs[t.Meta.Module] {
			if lacks++; lacks == 1 {
				first = t.Meta.Module
			}
		}
	}
	switch d.q.ActivationScheme {
	case "static":
		if lacks > 0 {
			d.fail("activation_scheme static, but %d of %d modules with codes have no input_scale, %s first", lacks, len(d.codes), first)
		}
	case "dynamic", "":
		if n := len(d.codes) - lacks; n > 0 {
			d.fail("activation_scheme %q, but %d modules have an input_scale", d.q.ActivationScheme, n)
		}
	default:
		d.fail("activation_scheme %q is neither dynamic nor static", d.q.ActivationScheme)
	}
}

// listKeys are the names of the list of modules that are not quantized.
var listKeys = []string{"modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules"}

// list checks the list of modules that are not quantized: there has to be an engine's
// way of matching under which each linear gets its verdict. Without a list engines
// spare heads and routers by what they are.
func (d *declaration) list() {
	if unlisted[d.q.Method] {
		return
	}
	present := slices.ContainsFunc(listKeys, func(key string) bool {
		v := d.root.Get(key)
		return v != nil && v.Kind == strictjson.KindArray
	})
	if !present {
		for _, t := range d.kept {
			if t.Meta.Role.Linear() && d.reaches(t) {
				d.fail("no list of modules that are not converted, but %s has no codes", t.Meta.Module)
				return
			}
		}
		return
	}
	var best *misread
	for _, match := range matchers(d.q.NotConverted) {
		m := misread{}
		for _, t := range slices.Concat(d.codes, d.packed) {
			if match(t.Meta.Module) {
				m.note("%s has codes and is listed as not converted", t.Meta.Module)
			}
		}
		for _, t := range d.kept {
			if !match(t.Meta.Module) && d.reaches(t) {
				m.note("%s has no codes and is not listed as not converted", t.Meta.Module)
			}
		}
		if best == nil || m.count < best.count {
			best = &m
		}
	}
	if best.count > 0 {
		d.fail("under no engine's way of matching does the list of modules that are not converted fit the tensors: under the best %d are taken for the other kind, first: %s", best.count, best.first)
	}
}

// unlisted are methods whose programs go by the tensors, or take the same modules
// whatever a list says.
var unlisted = map[string]bool{"": true, "awq": true, "gptq": true, "mxfp4": true, "quark": true}

// reaches reports whether a linear without codes would be taken for a quantized one unless
// a list says otherwise.
func (d *declaration) reaches(t *plan.Tensor) bool {
	if len(d.packed) > 0 && !t.Meta.Role.Linear() {
		return false // of routers and heads engines make no packed layer
	}
	switch {
	case d.q.Method == "compressed-tensors" && len(d.q.Groups) > 0:
		return d.target(t.Meta.Module) != nil
	case d.q.Algo == "MIXED_PRECISION":
		return d.layer(t.Meta.Module) != nil
	}
	return true
}

// misread counts the modules that a way of matching takes for the other kind.
type misread struct {
	count int
	first string
}

func (m *misread) note(format string, module string) {
	if m.count++; m.count == 1 {
		m.first = fmt.Sprintf(format, module)
	}
}

// matchers are the engines' ways of matching a list against the path of a module.
func matchers(entries []string) []func(module string) bool {
	m := modules.NewMatcher(entries)
	return []func(string) bool{m.Exact, m.Prefix, m.Suffix, m.Substring, patterns(entries, m)}
}

// patterns is compressed-tensors' and ModelOpt's way: "re:" and a regular expression
// that matches from the start, a shell pattern, or the path itself.
func patterns(entries []string, m *modules.Matcher) func(module string) bool {
	var expressions []*regexp.Regexp
	var globs []string
	for _, e := range entries {
		if text, ok := strings.CutPrefix(e, "re:"); ok {
			if x, err := regexp.Compile("^(?:" + text + ")"); err == nil {
				expressions = append(expressions, x)
			}
		} else if strings.ContainsAny(e, "*?[") {
			globs = append(globs, e)
		}
	}
	return func(module string) bool {
		return m.Exact(module) ||
			slices.ContainsFunc(expressions, func(x *regexp.Regexp) bool { return x.MatchString(module) }) ||
			slices.ContainsFunc(globs, func(g string) bool { ok, _ := path.Match(g, module); return ok })
	}
}
