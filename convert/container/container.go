// Package container knows the forms in which checkpoints with codes are laid out: what
// the tensors of each scheme are called, and what config.json and files beside it say.
// A container is a row of [All] and a file; stages of package convert ask it and nothing
// else.
package container

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quern/convert/modules"
	"quern/convert/plan"
	"quern/internal/strictjson"
	"quern/scheme"
)

// Container is a layout of checkpoints.
type Container struct {
	Name string // as in --container

	// Forms are the schemes that it holds, by name.
	Forms map[string]*Form
	// Mixes: it holds several schemes in one checkpoint.
	Mixes bool

	// Config is the quantization_config of config.json.
	Config func(d *Described) strictjson.Value
	// Beside are the files that go with config.json; nil: none.
	Beside func(d *Described) []plan.File
	// ExpertDType is what the field expert_dtype of DeepSeek-V4 says, whose engines take
	// FP4 without it; "" takes the field out.
	ExpertDType string
}

// Form says what the tensors of a weight are called in a scheme.
type Form struct {
	// Suffixes are appended to the weight's name, X.weight, by kind of output.
	Suffixes map[scheme.Kind]string
	// Divides: scales of tensors are stored inverse (scheme.Params.Divides).
	Divides bool
	// Expanded: scales of tiles have four dimensions (scheme.Params.Expanded).
	Expanded bool
	// Vector: the scale of a tensor has the shape [1] (scheme.Params.Vector).
	Vector bool
	// Dynamic: inputs are always scaled as they come, or not at all, whatever a calibration
	// has met.
	Dynamic bool
	// Reach is the largest magnitude of an input that its scale 1 stands for, by which
	// the calibration's is divided.
	Reach float32
	// InputScale is the scale of inputs where no calibration gives one; 0: none is
	// written then.
	InputScale float32
	// Input is the parameter that has the scale of inputs, "" for input_scale; with a
	// leading _ what is appended to the weight's own. Whether it has the inverse goes by its
	// name (plan.InverseInputScale).
	Input string
}

// Params are the settings of a scheme that a form stands for.
func (f *Form) Params() scheme.Params {
	return scheme.Params{Divides: f.Divides, Expanded: f.Expanded, Vector: f.Vector && !f.Divides}
}

// InputScaleOf is the parameter that holds the scale of inputs of the weight in param, its
// value where that is scale, and its shape.
func (f *Form) InputScaleOf(weight string, scale float32) (param string, value float32, shape []int64) {
	param, shape = cmp.Or(f.Input, "input_scale"), []int64{}
	if param[0] == '_' {
		param = weight + param
	}
	if f.Vector {
		shape = []int64{1}
	}
	if plan.InverseInputScale(param) {
		scale = 1 / scale
	}
	return param, scale, shape
}

// Described is what a container has to say of an output.
type Described struct {
	Plan    *plan.Plan
	Scheme  *scheme.Scheme            // of what is quantized; nil where schemes are mixed
	Schemes map[string]*scheme.Scheme // by module with codes, and by the names in Modules that stand for one
	Banks   map[string]string         // module of an expert, and another name of one without codes, to that of all experts of its layer
	Modules *modules.List
	Static  bool // inputs have fixed scales
	Powers  bool // all scales are powers of two
	Caches  bool // attention has scales of keys and values
	// Over is what the input's config says of its quantization, where all but the routed
	// experts stays as that has it; nil elsewhere. Only DeepSeek-V4's readers know such
	// checkpoints.
	Over *strictjson.Value
}

// All are the containers. The first that holds a scheme is its default.
var All = []*Container{DeepSeek, MXFP8, ModelOpt, CompressedTensors, GptOss}

// Names are the names of all containers.
func Names() []string {
	names := make([]string, len(All))
	for i, c := range All {
		names[i] = c.Name
	}
	return names
}

// Holds reports whether a container can have matrices of all schemes side by side.
func (c *Container) Holds(schemes ...*scheme.Scheme) bool {
	return (c.Mixes || len(schemes) < 2) && !slices.ContainsFunc(schemes, func(s *scheme.Scheme) bool { return c.Forms[s.Name] == nil })
}

// Named is the container of a name that holds all schemes, or what [Scheme.Stacked] makes
// of some; nil for "". What a checkpoint has of them is not known here.
func Named(name string, schemes ...*scheme.Scheme) (*Container, error) {
	c, err := For(name, schemes...)
	for i := 0; err != nil && i < len(schemes); i++ {
		if s := schemes[i].Stacked(); s != nil {
			list := slices.Clone(schemes)
			list[i] = s
			if other, no := For(name, list...); no == nil {
				c, err = other, nil
			}
		}
	}
	if name == "" {
		c = nil
	}
	return c, err
}

// For returns the container of a name that holds all schemes, each of which is named
// once; "" is their default.
func For(name string, schemes ...*scheme.Scheme) (*Container, error) {
	var holding, what []string
	for _, s := range schemes {
		what = append(what, s.Name)
	}
	for _, c := range All {
		if !c.Holds(schemes...) {
			continue
		}
		if holding = append(holding, c.Name); name == "" || name == c.Name {
			return c, nil
		}
	}
	switch {
	case name != "" && !slices.Contains(Names(), name):
		return nil, fmt.Errorf("there is no container %q: known are %s", name, strings.Join(Names(), ", "))
	case len(holding) == 0:
		return nil, fmt.Errorf("no container holds %s", strings.Join(what, " beside "))
	}
	return nil, fmt.Errorf("container %s does not hold %s: %s does", name, strings.Join(what, " beside "), strings.Join(holding, " or "))
}
