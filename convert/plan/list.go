package plan

import (
	"strconv"
	"strings"

	"quern/formats/safetensors"
)

// Row is a tensor of a dry run.
type Row struct {
	Name  string  `json:"name"`
	Op    string  `json:"op"`
	From  string  `json:"from"` // dtype of the source
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Bytes int64   `json:"bytes"`
	File  string  `json:"file"`
	Role  string  `json:"role"`
	Why   string  `json:"why,omitempty"` // why it is not quantized
}

// Group is a set of tensors of a dry run that differ only in the numbers of
// layers and experts.
type Group struct {
	Pattern string  `json:"pattern"` // the name with * for those numbers
	Tensors int     `json:"tensors"`
	Op      string  `json:"op"`
	From    string  `json:"from"`
	DType   string  `json:"dtype"`
	Shape   []int64 `json:"shape"` // of each
	Bytes   int64   `json:"bytes"` // of all
	Role    string  `json:"role"`
	Why     string  `json:"why,omitempty"`
	Coded   bool    `json:"-"` // weights of codes
	Scheme  string  `json:"-"` // in which they are quantized, as Quant has it
}

// Rows lists all tensors, file by file.
func (p *Plan) Rows() []Row {
	rows := make([]Row, 0, len(p.Tensors))
	for k := range p.Shards {
		for _, i := range p.Shards[k].Tensors {
			rows = append(rows, p.row(&p.Tensors[i], p.Shards[k].Name))
		}
	}
	return rows
}

func (p *Plan) row(t *Tensor, file string) Row {
	return Row{Name: t.Name, Op: t.Op.String(), From: t.from().String(), DType: t.DType.String(), Shape: t.Shape, Bytes: t.Bytes(), File: file, Role: t.Meta.Role.String(), Why: t.Why}
}

// from is the dtype that t is made from: of a constant its own.
func (t *Tensor) from() safetensors.DType {
	if t.Op == Constant {
		return t.DType
	}
	return t.Source.DType
}

// Groups lists all tensors, those that differ only in numbers together, in the
// order in which their first members come.
func (p *Plan) Groups() []Group {
	var groups []Group
	seen := map[string]int{}
	var key []byte
	for i := range p.Tensors {
		t := &p.Tensors[i]
		name, why := pattern(t.Name), t.Why
		if !strings.HasPrefix(why, "--") { // an option is quoted as it was given
			why = pattern(why)
		}
		key = append(append(append(key[:0], name...), byte(t.Op), byte(t.DType), byte(t.from())), why...)
		for _, n := range t.Shape {
			key = strconv.AppendInt(append(key, ' '), n, 10)
		}
		at, ok := seen[string(key)]
		if !ok {
			at = len(groups)
			seen[string(key)] = at
			groups = append(groups, Group{Pattern: name, Op: t.Op.String(), From: t.from().String(), DType: t.DType.String(), Shape: t.Shape, Role: t.Meta.Role.String(), Why: why, Coded: t.Coded(), Scheme: t.Quant.Scheme})
		}
		groups[at].Tensors++
		groups[at].Bytes += t.Bytes()
	}
	return groups
}

// pattern replaces the segments of a name that are numbers by *.
func pattern(name string) string {
	parts := strings.Split(name, ".")
	for i, s := range parts {
		if s != "" && strings.Trim(s, "0123456789") == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, ".")
}
