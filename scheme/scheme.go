package scheme

import (
	"fmt"
	"strings"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
	"quern/scheme/rounding"
)

// Scheme is one way of writing the numbers of a matrix.
type Scheme struct {
	Name    string // as in --to, manifest and plan
	Title   string // for people, behind "quantized,"
	Experts bool   // asked for alone it means the routed experts only, as such checkpoints are released
	Survey  bool   // a coding begins with the largest magnitude, see Job.Amax
	Grain   Grain

	// Check says why a matrix of this shape, none of whose dimensions is 0, cannot be
	// written with these settings; nil if it can. The error says what would do.
	Check func(p Params, rows, cols int64) error
	// Outputs are the tensors of a matrix that Check has passed, codes first.
	Outputs func(p Params, rows, cols int64) []Output
	// Coder begins a coding. nil in [Forms].
	Coder func(j *Job) (Coder, error)

	// Decode writes the values of a part as elements of type elem, ElemBF16 or ElemF32,
	// row r of it from element r·stride on. in has the bytes of the part of each
	// output, as a coder makes them, and those of outputs of the whole matrix. nil where
	// codes are E4M3 and scales lie over them by a [Grid].
	Decode func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error

	// Recode writes to in[0] the codes that are nearest to the weights of a part under
	// the scales in in, which is laid out as for Decode: what a gate holds codes against,
	// whoever has chosen the scales. nil where codes are E4M3, or nothing is known.
	Recode func(p Params, in [][]byte, m fp8.Matrix, part Part) error

	// Recognise tells that a weight in a checkpoint is written so, and with which
	// settings and neighbours. nil where E4M3 codes with a scale are all there is to
	// see, see [Recognise].
	Recognise func(w *Stored, beside Beside) (Found, bool)

	// Inputs is the rule by which engines round what the weight is applied to; nil, or
	// where it gives nil: not at all. See [Scheme.Rounds].
	Inputs func(f Fed) *rounding.Rule

	// Floor is the signal-to-noise ratio in dB that no gate asks more than. Below it a
	// gate works out what the rule gives for the weights at hand and asks for Allowed
	// less.
	Floor float64
}

// Allowed is how much of the ratio that the same rule gives a tensor may lack, in dB.
const Allowed = 0.1

// All are the schemes in the order in which people are told of them.
var All = []*Scheme{BlockFP8, ChannelFP8, TensorFP8, MXFP8, NVFP4, MXFP4, INT4}

// Find returns the scheme of a name, one of All or of [Forms]. "" is block FP8: plans wrote no name when there was
// no other.
func Find(name string) (*Scheme, error) {
	if name == "" {
		return BlockFP8, nil
	}
	for _, list := range [][]*Scheme{All, Forms} {
		for _, s := range list {
			if s.Name == name {
				return s, nil
			}
		}
	}
	return nil, fmt.Errorf("there is no scheme %q: known are %s", name, strings.Join(Names(), ", "))
}

// Names are the names of all schemes.
func Names() []string {
	names := make([]string, len(All))
	for i, s := range All {
		names[i] = s.Name
	}
	return names
}

// Params are the settings of a scheme that change bytes. The zero value is a scheme's
// plain rule; what a scheme has no use for is refused by its Check.
type Params struct {
	UE8M0   bool            `json:"ue8m0,omitempty"`   // block FP8: scales are powers of two
	Search  fp8.Search      `json:"search,omitempty"`  // how scales are chosen
	Rule    group.ScaleRule `json:"rule,omitempty"`    // MXFP4: from the largest magnitude of a group
	Range   group.Range     `json:"range,omitempty"`   // INT4: what the largest magnitude becomes
	Divides bool            `json:"divides,omitempty"` // NVFP4: the tensor's scale is stored inverse (compressed-tensors)
	// Expanded, of block FP8: scales have the four dimensions [⌈o/128⌉,1,⌈i/128⌉,1] of
	// ModelOpt's FP8_PB_WO.
	Expanded bool `json:"expanded,omitempty"`

	// Vector, of FP8 by tensor, is for compressed-tensors, where its scale has the shape [1];
	// so has that of NVFP4 with Divides.
	Vector bool `json:"vector,omitempty"`

	// Packing is that of one of Forms.
	Packing `json:"packing,omitzero"`
}

// Grain is what the rows and columns of a part are multiples of, but for the last ones
// of the matrix. Cols 0: parts hold whole rows.
type Grain struct{ Rows, Cols int64 }

// Takes says why a weight of this dtype and shape cannot be written; nil if it can.
func (s *Scheme) Takes(p Params, dtype safetensors.DType, shape []int64) error {
	if _, ok := Elem(dtype); !ok {
		return invalid.Errorf("dtype %s is no float that %s is made from", dtype, s.Name)
	}
	if len(shape) != 2 || shape[0] < 1 || shape[1] < 1 {
		return invalid.Errorf("shape %v is no matrix", shape)
	}
	return s.Check(p, shape[0], shape[1])
}

// Bytes is what a matrix takes, scales included.
func (s *Scheme) Bytes(p Params, rows, cols int64) int64 {
	n := int64(0)
	for _, o := range s.Outputs(p, rows, cols) {
		size, _ := safetensors.SizeOf(o.DType, o.Shape)
		n += size
	}
	return n
}
