package shard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/shard/placement"
)

// file is an output file in the making.
type file struct {
	readers []int // ranks; nil: all, and it holds no single expert
	members []int // indices into plan.Tensors, in file order
}

// divide assigns the tensors of p to files.
func divide(p *plan.Plan, c *model.Config, pl *placement.Placement, size int64) ([]file, error) {
	if size <= 0 {
		size = plan.DefaultShardSize
	}
	d := &division{plan: p, config: c, size: size}
	experts, err := d.collect(pl)
	if err != nil {
		return nil, err
	}
	d.common()
	d.experts(pl, experts)
	return d.files, nil
}

// division is a set of files that is being filled.
type division struct {
	plan   *plan.Plan
	config *model.Config
	size   int64   // limit of a file
	rest   [][]int // tensors that belong to no expert, by module
	files  []file
}

// expert is a routed expert of a layer.
type expert struct{ layer, number int }

// collect finds the tensors of each expert, and of each other module.
func (d *division) collect(pl *placement.Placement) (map[expert][]int, error) {
	experts, modules := map[expert][]int{}, map[string]int{}
	placed := make(map[int]bool, len(pl.Layers))
	for i := range pl.Layers {
		placed[pl.Layers[i].Number] = true
	}
	together := 0
	for i := range d.plan.Tensors {
		t := &d.plan.Tensors[i]
		if t.Meta.Expert >= 0 && placed[t.Meta.Layer] && !d.config.SpareExpert(t.Meta.Expert) {
			if t.Meta.Expert >= pl.Shape.Experts {
				return nil, invalid.Errorf("tensor %q: expert %d of a layer that has %d", t.Name, t.Meta.Expert, pl.Shape.Experts)
			}
			e := expert{t.Meta.Layer, t.Meta.Expert}
			experts[e] = append(experts[e], i)
			continue
		}
		if t.Meta.Fused3D {
			together++
		}
		at, ok := modules[t.Meta.Module]
		if !ok || t.Meta.Module == "" {
			at = len(d.rest)
			modules[t.Meta.Module] = at
			d.rest = append(d.rest, nil)
		}
		d.rest[at] = append(d.rest[at], i)
	}
	if together > 0 {
		d.plan.Notes = append(d.plan.Notes, fmt.Sprintf("%d tensors hold all experts of a layer and lie in common files: every rank reads them whole", together))
	}
	return experts, nil
}

// bytes is the size of tensors.
func (d *division) bytes(members []int) int64 {
	n := int64(0)
	for _, i := range members {
		n += d.plan.Tensors[i].Bytes()
	}
	return n
}

// common makes the files that all ranks read, laid out as those of an output that is
// not regrouped.
func (d *division) common() {
	room := int64(-1)
	first := len(d.files)
	for _, unit := range d.rest {
		n := d.bytes(unit)
		if room < n {
			d.files = append(d.files, file{})
			room = d.size
		}
		room -= n
		f := &d.files[len(d.files)-1]
		f.members = append(f.members, unit...)
	}
	for i := first; i < len(d.files); i++ {
		slices.SortFunc(d.files[i].members, d.canonical)
	}
}

// canonical is the order within an expert, and within common files: by descending
// alignment, then name.
func (d *division) canonical(i, j int) int {
	a, b := &d.plan.Tensors[i], &d.plan.Tensors[j]
	return cmp.Or(cmp.Compare(b.DType.Alignment(), a.DType.Alignment()), strings.Compare(a.Name, b.Name))
}

// experts makes the files of ranks.
func (d *division) experts(pl *placement.Placement, tensors map[expert][]int) {
	type class struct {
		readers []int
		layers  [][][]int // by layer, by expert: tensors
		last    int       // number of the layer that was added last
	}
	per := pl.Slots / pl.Config.Ranks
	var classes []*class
	at := map[string]*class{}
	for i := range pl.Layers {
		l := &pl.Layers[i]
		seen := make([]bool, pl.Shape.Experts)
		for _, e := range l.Phy2Log {
			if seen[e] {
				continue
			}
			seen[e] = true
			members := tensors[expert{l.Number, e}]
			if len(members) == 0 { // fused, or of a checkpoint that is a part
				continue
			}
			var readers []int
			for _, s := range l.Log2Phy[e] {
				readers = append(readers, s/per)
			}
			slices.Sort(readers)
			readers = slices.Compact(readers)
			key := fmt.Sprint(readers)
			c := at[key]
			if c == nil {
				c = &class{readers: readers, last: -1}
				at[key] = c
				classes = append(classes, c)
			}
			slices.SortFunc(members, d.canonical)
			if c.last != l.Number {
				c.layers, c.last = append(c.layers, nil), l.Number
			}
			at := len(c.layers) - 1
			c.layers[at] = append(c.layers[at], members)
		}
	}
	slices.SortFunc(classes, func(a, b *class) int {
		return cmp.Or(a.readers[0]-b.readers[0], cmp.Compare(min(len(a.readers), 2), min(len(b.readers), 2)), slices.Compare(a.readers, b.readers))
	})
	for _, c := range classes {
		d.cut(c.readers, c.layers)
	}
}

// cut divides the experts of the same readers into files: where the next would
// exceed the limit, and before a layer that only fits a file of its own.
func (d *division) cut(readers []int, layers [][][]int) {
	first := len(d.files)
	room := int64(-1)
	for _, experts := range layers {
		total := int64(0)
		for _, members := range experts {
			total += d.bytes(members)
		}
		if room < total && total <= d.size {
			room = -1
		}
		for _, members := range experts {
			n := d.bytes(members)
			if room < n {
				d.files = append(d.files, file{readers: readers})
				room = d.size
			}
			room -= n
			f := &d.files[len(d.files)-1]
			f.members = append(f.members, members...)
		}
	}
	for i := first; i < len(d.files); i++ {
		d.align(d.files[i].members)
	}
}

// align orders a file by alignment first, if as it is a tensor would lie at an offset
// that is no multiple of its element size.
func (d *division) align(members []int) {
	offset := int64(0)
	for _, i := range members {
		t := &d.plan.Tensors[i]
		if offset%t.DType.Alignment() != 0 {
			slices.SortStableFunc(members, func(a, b int) int {
				return cmp.Compare(d.plan.Tensors[b].DType.Alignment(), d.plan.Tensors[a].DType.Alignment())
			})
			return
		}
		offset += t.Bytes()
	}
}
