package model

import (
	"iter"
	"math/bits"
	"strconv"
	"strings"

	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Declared is a tensor that a checkpoint of a config has, in BF16 and with an expert to a
// tensor.
type Declared struct {
	Tensor
	Name  string
	Shape []int64 // nil where the config does not determine it
	Count int64   // it and those like it: the experts of a layer. Name is the first of them.
}

// Declared yields the tensors of the config, those of multi-token prediction included:
// nothing for architectures that the table lacks.
func (a *Arch) Declared() iter.Seq[Declared] {
	return func(yield func(Declared) bool) {
		for d := range a.declaredRows() {
			shape, ok := d.row.dims(a.config, d.layer)
			if !ok {
				shape = nil
			}
			// A shape that is not known still has its number of dimensions.
			like := shape
			if like == nil {
				like = make([]int64, len(d.row.shape))
			}
			before, after, each := strings.Cut(d.row.key, "#")
			name, n := d.prefix+d.row.key, 1
			if each {
				name, n = d.prefix+before+"0"+after, a.config.NumExperts
				if d.row.count != nil {
					n = d.row.count(a.config, d.layer)
				}
			}
			if n > 0 && !yield(Declared{a.Classify(name, safetensors.BF16, like), name, shape, int64(n)}) {
				return
			}
		}
	}
}

// declaredRow is a row as a layer has it.
type declaredRow struct {
	row    *row
	layer  int // −1 outside of layers
	prefix string
}

// declaredRows yields the rows that the config asks for.
func (a *Arch) declaredRows() iter.Seq[declaredRow] {
	return func(yield func(declaredRow) bool) {
		c := a.config
		of := func(layer int, prefix string) bool {
			for _, set := range a.family.rows {
				for i := range set {
					r := &set[i]
					if r.root == (layer < 0) && applies(r, c, layer) && !yield(declaredRow{r, layer, prefix}) {
						return false
					}
				}
			}
			return true
		}
		if !of(-1, "") {
			return
		}
		for l := range c.NumHiddenLayers + c.NumMTPLayers*c.MTPStep() {
			prefix := "layers." + strconv.Itoa(l) + "."
			if i := l - c.NumHiddenLayers; i >= 0 && !a.family.mtpLayers {
				if a.family.mtpPrefix == "" {
					return
				}
				prefix = a.family.mtpPrefix + strconv.Itoa(i) + "."
			}
			if !of(l, prefix) {
				return
			}
		}
	}
}

// Sizes are the parameters of a checkpoint that has all tensors of the config and nothing
// else: what publishers print of a model, its text part. open names tensors whose shape
// the config does not determine, which are not counted. Architectures that the table lacks
// and sizes beyond all numbers are errors that match invalid.Input.
func (a *Arch) Sizes() (p Parameters, open []string, err error) {
	if !a.Known() {
		return p, nil, invalid.Errorf("model_type %q is not in the table of architectures: its tensors are not known", a.config.ModelType)
	}
	const most = uint64(1) << 53
	sum := uint64(0)
	p = a.Parameters(func(yield func(Tensor, int64) bool) {
		for d := range a.Declared() {
			if d.Shape == nil {
				open = append(open, d.Name)
				continue
			}
			n := uint64(d.Count)
			for _, k := range d.Shape {
				var over uint64
				if over, n = bits.Mul64(n, uint64(k)); over > 0 || n > most {
					err = invalid.Errorf("tensor %q of %v: too large to be counted", d.Name, d.Shape)
					return
				}
			}
			if sum += n; sum > most {
				err = invalid.Errorf("tensor %q: all up to it have more weights than can be counted", d.Name)
				return
			}
			if !yield(d.Tensor, int64(n)) {
				return
			}
		}
	})
	if err != nil {
		p = Parameters{}
	}
	return p, open, err
}
