// Package plan is the data at the centre of every conversion: what the output
// checkpoint holds and how each of its tensors is made from the input's.
//
// A [Plan] is made from headers alone. [New] starts with one that copies
// everything; a [Stage] rewrites it (quantize, regroup, …); [Plan.Pack] divides
// the result into shards. The engine of package convert is the only code that
// executes one. A plan holds no path, host, time or worker count: equal inputs
// and options give equal plans, and [Plan.Digest] names them.
package plan

import (
	"fmt"

	"quern/formats/model"
	"quern/formats/safetensors"
)

// Stage rewrites a plan. It never touches tensor data.
type Stage func(*Plan) error

// Plan describes one output checkpoint.
type Plan struct {
	Tool    string   `json:"tool"`    // name and version of the program: bytes may differ between versions
	Command string   `json:"command"` // the command that made the plan, for people
	Options []Option `json:"options"` // those that affect bytes, sorted by name

	Input Input `json:"input"`
	// Calibration is the BLAKE3-256 of the file of activation statistics that
	// bytes depend on, in hexadecimal; "" if they depend on none.
	Calibration string `json:"calibration,omitempty"`

	Config string `json:"config,omitempty"` // config.json of the output; "" for an input without one

	// Beside are files that stages have made to go with the shards, by name.
	Beside []File `json:"beside,omitempty"`

	// Card: README.md begins with what quern says of the output (convert/card).
	Card bool `json:"card,omitempty"`

	// Tensors are the outputs in the order of the data that they are made
	// from, so that the input is read front to back. A scale follows the
	// weight it belongs to.
	Tensors []Tensor `json:"tensors"`

	// Surveys are what codings have to know of the input before they begin.
	Surveys []Survey `json:"surveys,omitempty"`

	// Shards divide Tensors into files; nil before Pack.
	Shards []Shard `json:"shards"`

	Notes []string `json:"-"` // for people: what was decided and why; not part of the digest
}

// Option is a setting that affects output bytes.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Input identifies what a plan reads.
type Input struct {
	Files  []InputFile `json:"files"`
	Config string      `json:"config,omitempty"` // BLAKE3-256 of config.json in hexadecimal; "" without one
	Side   []SideFile  `json:"side,omitempty"`
}

// InputFile is a weight file.
type InputFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	Header string `json:"header"` // BLAKE3-256 of the header, hexadecimal
	Data   int64  `json:"data"`   // offset of the data section; follows from the header
}

// SideFile is copied as it is (tokenizer, licence, remote code, …).
type SideFile struct {
	Name string `json:"name"` // slash-separated, relative to the checkpoint folder
	Size int64  `json:"size"`
}

// File is a file beside the shards that is not copied but made.
type File struct {
	Name string `json:"name"` // plain, of the output folder
	Data string `json:"data"`
}

// Tensor is an output tensor and the recipe that makes it.
type Tensor struct {
	Name  string            `json:"name"`
	DType safetensors.DType `json:"dtype"`
	Shape []int64           `json:"shape"`

	Op     Op    `json:"op"`
	Source View  `json:"source"`          // what Op reads
	Scale  *View `json:"scale,omitempty"` // Dequantize and Requantize: the scales of Source
	Grid   *Grid `json:"grid,omitempty"`  // how Scale lies over Source
	// Written is set instead of Scale and Grid where codes have another form.
	Written *Written `json:"written,omitempty"`
	Quant   Quant    `json:"quant,omitzero"`
	// Nth says of a ScaleOf which of the scales it is that the coding in its group
	// makes, from 0.
	Nth    int  `json:"nth,omitempty"`
	Finite bool `json:"finite,omitempty"` // Copy: NaN and infinity, or NaN codes, are errors

	Value float32 `json:"value,omitempty"` // Constant: every element

	// Uncovered marks what the calibration was asked for and did not reach: a
	// weight that is searched without channel weights, an input scale that is
	// the largest one of its layer's experts.
	Uncovered bool `json:"uncovered,omitempty"`

	// Group ties outputs that must share a file: a weight and its scale have
	// the same number, other tensors one of their own.
	Group int `json:"group"`

	// What the tensor is, for reports and for rules about its neighbours.
	Meta model.Tensor `json:"-"`
	Why  string       `json:"-"` // why it is not quantized; "" if it is
}

// Bytes is the size of the tensor's data in the output.
func (t *Tensor) Bytes() int64 {
	n, err := safetensors.SizeOf(t.DType, t.Shape)
	if err != nil {
		panic(fmt.Sprintf("plan: tensor %q: %v", t.Name, err)) // sizes were checked when the header was read
	}
	return n
}

// Op says how an output tensor is made.
type Op uint8

const (
	Copy       Op = iota + 1 // the bytes of Source
	Cast                     // Source (F16, F32, F64) rounded to BF16
	Widen                    // Source (scales of any known dtype) as F32, exactly
	Quantize                 // Source (BF16, F16, F32, F64 matrix) as the codes of Quant's scheme
	Requantize               // the values of Source's codes in float32, then as Quantize
	ScaleOf                  // a further output of the Quantize or Requantize in its group
	Dequantize               // the values of Source's codes, rounded to BF16
	Constant                 // Value; nothing is read, and Source is that of a tensor it goes with
	Recast                   // the codes of Source as those of Quant's scheme that stand for the same values
)

var opNames = [...]string{Copy: "copy", Cast: "cast", Widen: "widen", Quantize: "quantize", Requantize: "requantize", ScaleOf: "scale of", Dequantize: "dequantize", Constant: "constant", Recast: "recast"}

// String returns the name used in dry runs and errors.
func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return fmt.Sprintf("op %d", uint8(o))
}

// Quantizes reports whether o makes codes.
func (o Op) Quantizes() bool { return o == Quantize || o == Requantize || o == Recast }

// Shard is an output file.
type Shard struct {
	Name    string  `json:"name"`
	Tensors []int   `json:"tensors"` // indices into Plan.Tensors, in file order
	Header  []byte  `json:"-"`       // the file's first bytes; follow from the tensors
	Offsets []int64 `json:"-"`       // of each tensor, from the start of the file
	Size    int64   `json:"size"`    // of the file
}
