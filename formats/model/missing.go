package model

import (
	"iter"
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
	rows := a.shapes[key]
	if rows == nil {
		for other := range spellings(key) {
			if rows = a.shapes[other]; rows != nil {
				break
			}
		}
	}
	if p.layer < 0 {
		if p.inMTP {
			key = "mtp." + key
		}
		rows = a.outside[key]
	}
	// Of several rows the one that the layer, or else the stored orientation, has.
	var shape []int64
	for _, r := range rows {
		fits := r.fits(a.config, &t)
		if !fits && shape != nil {
			continue
		}
		if s, ok := r.dims(a.config, t.Layer); ok {
			if shape = s; fits {
				break
			}
		}
	}
	return shape, shape != nil
}

// dims are the dimensions of a row in a layer, if the config determines them.
func (r *row) dims(c *Config, layer int) ([]int64, bool) {
	shape := make([]int64, len(r.shape))
	for i, d := range r.shape {
		n := d(c, layer)
		if n <= 0 {
			return nil, false
		}
		shape[i] = int64(n)
	}
	return shape, true
}

// fits reports whether a row is that of a tensor, and not of one with the same key in
// other layers or in the other orientation.
func (r *row) fits(c *Config, t *Tensor) bool {
	if t.Fused3D && r.transposed != t.Transposed {
		return false
	}
	return r.in == nil || r.in(c, t.Layer)
}

// Lack is what a checkpoint lacks of the tensors of its config.
type Lack struct {
	First []string // the first ten
	Count int
	// Partial is set when the config asks for so many that counting ended early:
	// Count is then a lower bound.
	Partial bool
	// MTP is how many of Count belong to layers of multi-token prediction: transformers
	// saves checkpoints without them, and their configs still declare them.
	MTP int
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
var roots = []string{"model.", "model.language_model.", "language_model.model.", "backbone.", "language_model.backbone.", "", "language_model."}

// Missing returns which tensors of the config a checkpoint lacks, given whether it
// has one of a name. It knows the tensors of the families in the table, and finds
// nothing to be missing for others.
func (a *Arch) Missing(has func(name string) bool) Lack {
	c := a.config
	m := lacks{has: has, arch: a}
	m.root = m.findRoot(c)
	for _, set := range a.family.rows {
		for i := range set {
			if r := &set[i]; r.root && applies(r, c, -1) {
				before := m.Count
				if m.outside(r); strings.HasPrefix(r.key, "mtp.") {
					m.MTP += m.Count - before
				}
			}
		}
	}
	for l := range c.NumHiddenLayers {
		m.layer(l, m.root+"layers."+strconv.Itoa(l)+".")
	}
	before := m.Count
	for i := range c.NumMTPLayers * c.MTPStep() {
		l := c.NumHiddenLayers + i
		prefix := m.root + "layers." + strconv.Itoa(l) + "."
		if !a.family.mtpLayers {
			if a.family.mtpPrefix == "" {
				break
			}
			prefix = a.family.mtpPrefix + strconv.Itoa(i) + "."
		}
		m.has = func(name string) bool {
			if has(name) {
				return true
			}
			rest, inside := strings.CutPrefix(name, prefix)
			return inside && slices.ContainsFunc(a.family.mtpAlso, func(other string) bool {
				return has(strings.Replace(other, "#", strconv.Itoa(i), 1) + rest)
			})
		}
		m.layer(l, prefix)
	}
	m.MTP += m.Count - before
	return m.Lack
}

// applies reports whether a layer has to have the tensor of a row.
func applies(r *row, c *Config, layer int) bool {
	return !r.optional && (r.in == nil || r.in(c, layer))
}

// lacks collects what is missing.
type lacks struct {
	Lack
	arch    *Arch
	has     func(string) bool
	root    string
	lookups int
}

// findRoot returns the spelling of the path to the layers, by the first tensor of
// the model that is there: people convert parts of checkpoints.
func (m *lacks) findRoot(c *Config) string {
	for _, root := range roots {
		for key := range m.arch.outside {
			if !strings.Contains(key, "head") && m.has(root+key) { // heads lie outside of what has a root
				return root
			}
		}
		for l := range c.NumHiddenLayers {
			for _, key := range []string{"input_layernorm.weight", "attn_norm.weight", "attention_norm.weight", "norm.weight"} {
				if m.has(root + "layers." + strconv.Itoa(l) + "." + key) {
					return root
				}
			}
		}
	}
	return roots[0]
}

// layer looks for the tensors of one layer.
func (m *lacks) layer(l int, prefix string) {
	c := m.arch.config
	for _, set := range m.arch.family.rows {
		for i := range set {
			r := &set[i]
			if m.Partial || r.root || !applies(r, c, l) {
				continue
			}
			before, after, each := strings.Cut(r.key, "#")
			if !each {
				if r.also == "" || !m.stored(prefix+r.also) {
					m.want(prefix, r.key, r.key)
				}
				continue
			}
			n := c.NumExperts
			if r.count != nil {
				n = r.count(c, l)
			} else if m.fused(prefix, before) {
				continue
			}
			for e := range n {
				m.want(prefix, before+strconv.Itoa(e)+after, r.key)
				if m.Partial {
					return
				}
			}
		}
	}
}

// fused reports whether the experts of a layer lie in one tensor.
func (m *lacks) fused(prefix, path string) bool {
	one := func(path string) bool {
		for _, part := range []string{"gate_up_proj", "gate_up_proj.weight", "up_proj"} { // up alone: Nemotron-H
			if m.stored(prefix + path + part) {
				return true
			}
		}
		return m.stored(prefix + strings.TrimSuffix(path, "experts.") + switched + ".gate_proj.weight")
	}
	if one(path) {
		return true
	}
	for other := range spellings(path) {
		if one(other) {
			return true
		}
	}
	return false
}

// want notes a tensor of a layer that is missing: alone and within the one that engines
// fuse it into, in all spellings of its block. key is its row's.
func (m *lacks) want(prefix, name, key string) {
	if m.lookups++; m.lookups <= maxLookups && m.stored(prefix+name) {
		return
	}
	fused := m.arch.vocabulary.layer[strings.TrimSuffix(key, ".weight")].fused
	there := func(name string) bool {
		if m.lookups++; m.lookups > maxLookups {
			m.Partial = true
		}
		return m.Partial || m.stored(prefix+name) || fused != "" && m.stored(prefix+sibling(strings.TrimSuffix(name, ".weight"), fused)+".weight")
	}
	if there(name) {
		return
	}
	for other := range spellings(name) {
		if there(other) {
			return
		}
	}
	m.add(prefix + name)
}

// spellings yields a name behind the layer with the other names that its block has
// elsewhere: exporters differ in them.
func spellings(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		first, rest, _ := strings.Cut(name, ".")
		for _, same := range bases {
			if !slices.Contains(same, first) {
				continue
			}
			for _, b := range same {
				if b != first && !yield(b+"."+rest) {
					return
				}
			}
		}
	}
}

// outside notes a tensor outside of layers that is missing under every root.
func (m *lacks) outside(r *row) {
	key := r.key
	for _, root := range roots {
		if m.stored(root+key) || r.also != "" && m.stored(root+r.also) {
			return
		}
	}
	if !strings.HasPrefix(key, "lm_head.") && !strings.HasPrefix(key, "mtp.") {
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
