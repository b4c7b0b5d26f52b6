package plan

import (
	"encoding/hex"

	"quern/formats/hf"
	"quern/internal/blake3"
)

// New returns the plan that copies every tensor of c.
func New(c *hf.Checkpoint) *Plan {
	p := &Plan{}
	for _, f := range c.Files {
		p.Input.Files = append(p.Input.Files, InputFile{Name: f.Name, Size: f.Size, Header: hex.EncodeToString(f.Header.Digest[:]), Data: f.Header.DataOffset})
	}
	if c.HasConfig {
		sum := blake3.Sum256(c.ConfigRaw)
		p.Input.Config = hex.EncodeToString(sum[:])
		p.Config = string(c.ConfigRaw)
	}
	for _, s := range c.Side {
		p.Input.Side = append(p.Input.Side, SideFile{Name: s.Name, Size: s.Size})
	}
	for fi, f := range c.Files {
		for i := range f.Header.Tensors {
			t := &f.Header.Tensors[i]
			m := c.Classify(t)
			p.Tensors = append(p.Tensors, Tensor{
				Name: t.Name, DType: t.DType, Shape: t.Shape, Op: Copy,
				Source: View{Name: t.Name, File: fi, DType: t.DType, Shape: t.Shape, Offset: t.Begin},
				Group:  len(p.Tensors), Meta: m, Why: m.Why,
			})
		}
	}
	return p
}

// Regroup renumbers the groups after a stage has added or removed tensors:
// together gives for each tensor whether it stays with the one before it.
func (p *Plan) Regroup(together func(i int) bool) {
	g := -1
	for i := range p.Tensors {
		if i == 0 || !together(i) {
			g++
		}
		p.Tensors[i].Group = g
	}
}

// MarshalText gives o its name in JSON.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
