package model

import (
	"slices"
	"strconv"
	"strings"
)

// ExpectedShape returns the shape that the config gives a tensor, and false where it
// does not determine it. Packed tensors have another, and none here.
func (a *Arch) ExpectedShape(t Tensor) ([]int64, bool) {
	if len(a.shapes) == 0 || t.Packed() || t.Role == Scale || t.Role == Vision {
		return nil, false
	}
	var p place
	locate(t.Module, &p)
	key := string(p.with(t.Param))
	if p.inMTP && p.layer < 0 {
		key = "mtp." + key
	}
	r := a.shapes[key]
	if r == nil {
		return nil, false
	}
	shape := make([]int64, len(r.shape))
	for i, d := range r.shape {
		n := d(a.config)
		if n <= 0 {
			return nil, false
		}
		shape[i] = int64(n)
	}
	return shape, true
}

// Lack is what a checkpoint lacks of the tensors of its config.
type Lack struct {
	First []string // the first ten
	Count int
	// Partial is set when the config asks for so many that counting ended early:
	// Count is then a lower bound.
	Partial bool
}

// String lists the names for people.
func (l Lack) String() string {
	s := strings.Join(l.First, ", ")
	if n := l.Count - len(l.First); n > 0 {
		s += " and " + strconv.Itoa(n) + " more"
	}
	return s
}

const (
	shownLacks = 10
	// maxLookups ends the comparison with a config that asks for absurdly many
	// experts. Of real models the largest ask for a quarter of a million tensors.
	maxLookups = 1_000_000
)

// roots are what stands before the layers and the tensors outside of them.
var roots = []string{"model.", "model.language_model.", "language_model.model.", "", "language_model."}

// Missing returns which tensors of the config a checkpoint lacks, given whether it
// has one of a name. It knows the tensors of the families in the table, and finds
// nothing to be missing for others.
func (a *Arch) Missing(has func(name string) bool) Lack {
	c := a.config
	m := lacks{has: has}
	m.root = m.findRoot(c)
	for _, set := range a.family.rows {
		for i := range set {
			if r := &set[i]; !isLayerRow(r.key) && applies(r, c, -1) {
				m.outside(r.key)
			}
		}
	}
	for l := range c.NumHiddenLayers {
		m.layer(a, l, m.root+"layers."+strconv.Itoa(l)+".")
	}
	for i := range c.NumMTPLayers {
		l := c.NumHiddenLayers + i
		if a.family.mtpLayers {
			m.layer(a, l, m.root+"layers."+strconv.Itoa(l)+".")
		} else if a.shapes["mtp.fc.weight"] != nil {
			m.layer(a, l, "mtp.layers."+strconv.Itoa(i)+".")
		}
	}
	return m.Lack
}

// isLayerRow tells the two kinds of rows apart.
func isLayerRow(key string) bool {
	return !strings.HasPrefix(key, "mtp.") && !slices.ContainsFunc(outer, func(r row) bool { return r.key == key })
}

// applies reports whether a layer has to have the tensor of a row.
func applies(r *row, c *Config, layer int) bool {
	return !r.optional && (r.in == nil || r.in(c, layer))
}

// lacks collects what is missing.
type lacks struct {
	Lack
	has     func(string) bool
	root    string
	lookups int
}

// findRoot returns the spelling of the path to the layers, by the first tensor of
// any layer that is there: people convert parts of checkpoints.
func (m *lacks) findRoot(c *Config) string {
	for _, root := range roots {
		if m.has(root+"embed_tokens.weight") || m.has(root+"norm.weight") {
			return root
		}
		for l := range c.NumHiddenLayers {
			if m.has(root + "layers." + strconv.Itoa(l) + ".input_layernorm.weight") {
				return root
			}
		}
	}
	return roots[0]
}

// layer looks for the tensors of one layer.
func (m *lacks) layer(a *Arch, l int, prefix string) {
	for _, set := range a.family.rows {
		for i := range set {
			r := &set[i]
			if m.Partial || !isLayerRow(r.key) || !applies(r, a.config, l) {
				continue
			}
			before, after, each := strings.Cut(r.key, "#.")
			if !each {
				m.want(prefix + r.key)
				continue
			}
			if m.fused(prefix + before) {
				continue
			}
			for e := range a.config.NumExperts {
				m.want(prefix + before + strconv.Itoa(e) + "." + after)
				if m.Partial {
					return
				}
			}
		}
	}
}

// fused reports whether the experts of a layer lie in one tensor.
func (m *lacks) fused(prefix string) bool {
	return m.stored(prefix+"gate_up_proj") || m.stored(prefix+"gate_up_proj.weight")
}

// want notes a tensor that is missing.
func (m *lacks) want(name string) {
	if m.lookups++; m.lookups > maxLookups {
		m.Partial = true
	} else if !m.stored(name) {
		m.add(name)
	}
}

// outside notes a tensor outside of layers that is missing under every root.
func (m *lacks) outside(key string) {
	for _, root := range roots {
		if m.stored(root + key) {
			return
		}
	}
	if key != "lm_head.weight" && !strings.HasPrefix(key, "mtp.") {
		key = m.root + key
	}
	m.add(key)
}

func (m *lacks) add(name string) {
	m.Count++
	if len(m.First) < shownLacks {
		m.First = append(m.First, name)
	}
}

// stored reports whether a tensor is there as it is or packed.
func (m *lacks) stored(name string) bool {
	if m.has(name) || m.has(name+"_packed") || m.has(name+"_blocks") {
		return true
	}
	module, ok := strings.CutSuffix(name, ".weight")
	return ok && m.has(module+".qweight")
}
