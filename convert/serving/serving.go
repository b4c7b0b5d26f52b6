// Package serving says what named engines will do with a checkpoint, from a
// table of rules with their sources: which shapes they refuse, which they read
// wrongly without a word, which parts they leave out.
package serving

import (
	"fmt"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
)

// Severity orders notes by what they mean for the user.
type Severity string

const (
	Misreads Severity = "misreads" // wrong numbers, silently
	Refuses  Severity = "refuses"  // does not load
	Limits   Severity = "limits"   // loads in some set-ups only
	Informs  Severity = "informs"  // good to know
)

// Note is one consequence for one engine.
type Note struct {
	Engine   string   `json:"engine"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Tensors  int      `json:"tensors,omitempty"` // how many are affected
	Example  string   `json:"example,omitempty"` // the first of them
	Remedy   string   `json:"remedy,omitempty"`
	Source   string   `json:"source"`
}

// checkpoint is what the rules look at.
type checkpoint struct {
	matrices []matrix // block-FP8 weights
	ue8m0    bool     // all scales are powers of two
	static   bool     // linears have scales of their input
	caches   bool     // attention has scales of keys and values
	mtp      bool
	arch     string
	fused    map[string][]matrix // by fused module
	part     map[string][2]int   // by fused module: parts quantized, parts kept
}

type matrix struct {
	name       string
	rows, cols int64
	scaleRows  int64 // as stored
	scaleCols  int64
	meta       model.Tensor
}

// Notes applies every rule to the output of a plan.
func Notes(p *plan.Plan, arch string) []Note {
	c := &checkpoint{arch: arch, ue8m0: true, fused: map[string][]matrix{}, part: map[string][2]int{}}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		c.mtp = c.mtp || t.Meta.MTP
		c.static = c.static || plan.IsInputScale(t.Meta.Param)
		c.caches = c.caches || plan.IsCacheScale(&t.Meta)
		if t.Meta.Param == "weight" && t.Meta.Fused != "" {
			n := c.part[t.Meta.Fused]
			if t.DType == safetensors.F8E4M3 {
				n[0]++
			} else {
				n[1]++
			}
			c.part[t.Meta.Fused] = n
		}
		if t.DType != safetensors.F8E4M3 || len(t.Shape) != 2 {
			continue
		}
		m := matrix{name: t.Name, rows: t.Shape[0], cols: t.Shape[1], meta: t.Meta, scaleRows: (t.Shape[0] + 127) / 128, scaleCols: (t.Shape[1] + 127) / 128}
		c.matrices = append(c.matrices, m)
		c.ue8m0 = c.ue8m0 && t.Quant.UE8M0
		if f := t.Meta.Fused; f != "" {
			c.fused[f] = append(c.fused[f], m)
		}
	}
	if len(c.matrices) == 0 {
		return nil
	}
	var notes []Note
	for _, r := range rules {
		if n, ok := r.apply(c); ok {
			n.Engine, n.Severity, n.Source = r.engine, r.severity, r.source
			if n.Remedy == "" {
				n.Remedy = r.remedy
			}
			notes = append(notes, n)
		}
	}
	return notes
}

// each is the note of a rule that concerns single matrices.
func each(text string, hit func(m matrix) bool) func(*checkpoint) (Note, bool) {
	return func(c *checkpoint) (Note, bool) {
		n := Note{Text: text}
		for _, m := range c.matrices {
			if hit(m) {
				if n.Tensors == 0 {
					n.Example = fmt.Sprintf("%s [%d %d]", m.name, m.rows, m.cols)
				}
				n.Tensors++
			}
		}
		return n, n.Tensors > 0
	}
}
