package convert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/fp8"
	"quern/group"
	"quern/scheme"
)

// Version is the program's version. Output bytes may differ between versions.
const Version = "0.1.0"

// tool is what manifests say of the program.
const tool = "quern " + Version

// QuantizeOptions are the choices of a quantization that affect bytes. The zero
// value is DeepSeek's recipe.
type QuantizeOptions struct {
	Scheme        *scheme.Scheme       // how linears are written; nil: scheme.BlockFP8
	Roles         []RoleScheme         // roles that are written in another way
	Container     *container.Container // how they are laid out; nil: the schemes' default
	UE8M0         bool                 // scales are powers of two
	Search        fp8.Search           // how each tile's scale is chosen
	MXScale       group.ScaleRule      // MXFP4: how a group's power of two is chosen
	Range         *group.Range         // INT4: what a group's largest weight becomes; nil: as the weights ask, see [quantizer.chooseRange]
	Keep          []string             // globs of module paths that stay as they are; * crosses dots
	PartialExpert bool                 // allow Keep to name some experts of a layer only
	KeepBF16      bool                 // kept F32, F16 and F64 matrices and norms become BF16
	KeepMTP       bool                 // the multi-token prediction layer stays as it is
	KeepRagged    bool                 // matrices that tiles do not divide stay as they are
	Requantize    bool                 // FP8 input gets new scales: a second rounding
	Lossless      bool                 // codes of the input whose values a cast would change are an error, and so is all that rounds
	ShardSize     int64                // bytes of data a file; 0: plan.DefaultShardSize

	// What goes by a calibration: SearchWeighted, and
	StaticActivations bool // linears get fixed scales of their input (input_scale)
	CacheScales       bool // attention gets scales of keys and values (k_scale, v_scale)
	// Calibration is only looked at where one of these asks for it. Identify names
	// checkpoints as Calibration.Identity does.
	Calibration Calibration
	Identify    func(*hf.Checkpoint) (string, error)
}

// list is the form in which options enter plan and manifest.
func (o QuantizeOptions) list() []plan.Option {
	pick := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	list := []plan.Option{
		{Name: "act-scales", Value: pick(o.StaticActivations, "static", "dynamic")},
		{Name: "allow-partial-experts", Value: strconv.FormatBool(o.PartialExpert)},
		{Name: "keep", Value: strings.Join(o.Keep, " ")},
		{Name: "keep-dtype", Value: pick(o.KeepBF16, "bf16", "source")},
		{Name: "kv-scales", Value: strconv.FormatBool(o.CacheScales)},
		{Name: "mtp", Value: pick(o.KeepMTP, "keep", "quantize")},
		{Name: "ragged", Value: pick(o.KeepRagged, "keep", "quantize")},
		{Name: "requantize", Value: strconv.FormatBool(o.Requantize)},
		{Name: "scale-fmt", Value: pick(o.UE8M0, "ue8m0", "float")},
		{Name: "search", Value: searches[o.Search]},
		{Name: "shard-size", Value: shardSize(o.ShardSize)},
	}
	// Block FP8 in DeepSeek's form goes without saying, as when there was nothing else.
	if s := o.scheme(); s != scheme.BlockFP8 {
		list = append(list, plan.Option{Name: "to", Value: s.Name})
	}
	if o.Container != nil && o.Container != container.DeepSeek {
		list = append(list, plan.Option{Name: "container", Value: o.Container.Name})
	}
	if o.Lossless {
		list = append(list, plan.Option{Name: "lossless", Value: "true"})
	}
	// Settings that others do not have.
	if slices.Contains(o.Schemes(), scheme.MXFP4) {
		list = append(list, plan.Option{Name: "mx-scale", Value: o.MXScale.String()})
	}
	if o.Range != nil && slices.Contains(o.Schemes(), scheme.INT4) {
		list = append(list, plan.Option{Name: "int4-range", Value: o.Range.String()})
	}
	if len(o.Roles) > 0 {
		list = append(list, plan.Option{Name: "role", Value: o.roleText()})
	}
	slices.SortStableFunc(list, func(a, b plan.Option) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// scheme is how linears are written.
func (o *QuantizeOptions) scheme() *scheme.Scheme {
	if o.Scheme == nil {
		return scheme.BlockFP8
	}
	return o.Scheme
}

// roleText is all of Roles, sorted: their order changes nothing.
func (o *QuantizeOptions) roleText() string {
	var list []string
	for _, r := range o.Roles {
		list = append(list, r.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// A setting is an option that schemes have or have not.
type setting struct {
	flag  string
	given bool
	set   func(*scheme.Params)
}

// settings are those that schemes may have.
func (o *QuantizeOptions) settings() []setting {
	return []setting{
		{"--scale-fmt", o.UE8M0, func(p *scheme.Params) { p.UE8M0 = o.UE8M0 }},
		{"--search", o.Search != fp8.SearchNone, func(p *scheme.Params) { p.Search = o.Search }},
		{"--mx-scale", o.MXScale != 0, func(p *scheme.Params) { p.Rule = o.MXScale }},
		{"--int4-range", o.Range != nil, func(p *scheme.Params) { p.Range = *o.Range }},
	}
}

// has reports whether a scheme has a setting. It asks with a square that every grain and
// group divides, so that nothing else can be wrong.
func (x *setting) has(s *scheme.Scheme) bool {
	var p scheme.Params
	x.set(&p)
	return s.Check(p, 1<<12, 1<<12) == nil
}

// Searches reports whether any of the schemes can choose its scales by a search.
func (o *QuantizeOptions) Searches() bool {
	x := setting{set: func(p *scheme.Params) { p.Search = fp8.SearchWeighted }}
	return slices.ContainsFunc(o.Schemes(), x.has)
}

// ByCalibration reports whether anything goes by a calibration.
func (o *QuantizeOptions) ByCalibration() bool {
	return o.Search == fp8.SearchWeighted || o.StaticActivations || o.CacheScales
}

// params are the settings of a scheme in the form that a container has for it. Those
// that it does not have are another's, see choose.
func (o *QuantizeOptions) params(s *scheme.Scheme, form *container.Form) scheme.Params {
	p := form.Params()
	for _, x := range o.settings() {
		if x.given && x.has(s.Plain()) {
			x.set(&p)
		}
	}
	return p
}

// searches are the names of the searches.
var searches = [...]string{fp8.SearchNone: "none", fp8.SearchMSE: "mse", fp8.SearchWeighted: "weighted"}

func shardSize(n int64) string {
	if n <= 0 {
		n = plan.DefaultShardSize
	}
	return fmt.Sprint(n)
}
