package difference

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/safetensors"
)

// Manifests says in what two checkpoints differ, by what quern wrote down of them.
type Manifests struct {
	A         Made     `json:"a"`
	B         Made     `json:"b"`
	SameInput bool     `json:"same_input"` // files and config are the same
	Options   []Option `json:"options"`    // those that differ
	// Same says that both have the same tensors with the same bytes, in whatever files.
	Same    bool `json:"same"`
	Equal   int  `json:"equal"`   // tensors with the same name and bytes
	Changed int  `json:"changed"` // with the same name and other bytes
	OnlyA   int  `json:"only_a"`  // tensors whose name B lacks
	OnlyB   int  `json:"only_b"`
	// Renamed are those of OnlyA whose bytes B has under another name: experts that were
	// renumbered, a prefix that was dropped.
	Renamed int     `json:"renamed"`
	Groups  []Group `json:"groups"` // by name
	Moved   []Moved `json:"moved"`  // tensors whose error changed most, at most 10
}

// Made is how one of them came to be.
type Made struct {
	Name    string `json:"name"` // as it was given
	Tool    string `json:"tool"`
	Command string `json:"command"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"` // of the tensors' data
	Files   int    `json:"files"`
	Plan    string `json:"plan"`
}

// Option is a setting that is not the same; one that a side does not have is "" there.
type Option struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Group are the tensors of modules whose names differ in numbers only: weights with
// their scales.
type Group struct {
	Name  string `json:"name"`  // of the modules, * for a number
	Equal int    `json:"equal"` // tensors
	A     Side   `json:"a"`
	B     Side   `json:"b"`
}

// Side is what a group holds in one of the checkpoints.
type Side struct {
	Tensors int      `json:"tensors"`
	Bytes   int64    `json:"bytes"`
	DType   string   `json:"dtype"`                    // that takes most bytes
	SQNR    *float64 `json:"median_sqnr_db,omitempty"` // of those that were quantized with an error
	Worst   *float64 `json:"worst_sqnr_db,omitempty"`

	sqnr   []float64
	dtypes map[string]int64 // bytes
}

// Moved is a tensor whose ratio of signal to noise is another, in dB.
type Moved struct {
	Name string  `json:"name"`
	A    float64 `json:"a_sqnr_db"`
	B    float64 `json:"b_sqnr_db"`
}

const maxMoved = 10

var numbers = regexp.MustCompile(`\b\d+\b`)

func manifests(a, b *Record) *Manifests {
	d := &Manifests{A: made(a), B: made(b), SameInput: sameInput(&a.Manifest.Input, &b.Manifest.Input), Options: options(a.Manifest.Options, b.Manifest.Options), Groups: []Group{}, Moved: []Moved{}}
	groups := map[string]*Group{}
	group := func(t *manifest.Tensor) *Group {
		name := numbers.ReplaceAllString(strings.TrimSuffix(t.Name, path.Ext(t.Name)), "*")
		g := groups[name]
		if g == nil {
			g = &Group{Name: name}
			groups[name] = g
		}
		return g
	}
	ofB := map[string]*manifest.Tensor{}
	left := map[string][]*manifest.Tensor{} // what only B has, by digest
	for i := range b.Manifest.Tensors {
		t := &b.Manifest.Tensors[i]
		ofB[t.Name] = t
		group(t).B.add(t)
	}
	ofA := map[string]bool{}
	for i := range a.Manifest.Tensors {
		ofA[a.Manifest.Tensors[i].Name] = true
	}
	for name, t := range ofB {
		if !ofA[name] {
			d.OnlyB++
			left[t.BLAKE3] = append(left[t.BLAKE3], t)
		}
	}
	for i := range a.Manifest.Tensors {
		t := &a.Manifest.Tensors[i]
		g := group(t)
		g.A.add(t)
		other := ofB[t.Name]
		switch {
		case other == nil:
			d.OnlyA++
			if slices.ContainsFunc(left[t.BLAKE3], func(o *manifest.Tensor) bool { return alike(t, o) }) {
				d.Renamed++
			}
		case alike(t, other):
			d.Equal++
			g.Equal++
		default:
			d.Changed++
			if t.Error != nil && other.Error != nil && t.Error.SQNR != nil && other.Error.SQNR != nil && *t.Error.SQNR != *other.Error.SQNR {
				d.Moved = append(d.Moved, Moved{t.Name, *t.Error.SQNR, *other.Error.SQNR})
			}
		}
	}
	d.Same = d.Changed == 0 && d.OnlyA == 0 && d.OnlyB == 0
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		g.A.sum()
		g.B.sum()
		d.Groups = append(d.Groups, *g)
	}
	slices.SortStableFunc(d.Moved, func(x, y Moved) int {
		return cmp.Or(cmp.Compare(abs(y.B-y.A), abs(x.B-x.A)), cmp.Compare(x.Name, y.Name))
	})
	d.Moved = d.Moved[:min(len(d.Moved), maxMoved)]
	return d
}

func abs(x float64) float64 { return max(x, -x) }

// alike reports whether two tensors have the same bytes and the same meaning.
func alike(a, b *manifest.Tensor) bool {
	return a.BLAKE3 == b.BLAKE3 && a.DType == b.DType && slices.Equal(a.Shape, b.Shape)
}

func made(r *Record) Made {
	m := r.Manifest
	files := map[string]bool{}
	x := Made{Name: r.Name, Tool: m.Tool, Command: m.Command, Plan: m.Plan, Tensors: len(m.Tensors)}
	for i := range m.Tensors {
		files[m.Tensors[i].File] = true
		x.Bytes += bytesOf(&m.Tensors[i])
	}
	x.Files = len(files)
	return x
}

// bytesOf is the size of a tensor's data; 0 of a shape that no tensor can have.
func bytesOf(t *manifest.Tensor) int64 {
	n, err := safetensors.SizeOf(t.DType, t.Shape)
	if err != nil {
		return 0
	}
	return n
}

// sameInput compares what was read, but for the names of the files.
func sameInput(a, b *plan.Input) bool {
	return a.Config == b.Config && slices.EqualFunc(a.Files, b.Files, func(x, y plan.InputFile) bool {
		return x.Size == y.Size && x.Header == y.Header
	})
}

func options(a, b []plan.Option) []Option {
	both := map[string]Option{}
	for _, o := range a {
		both[o.Name] = Option{o.Name, o.Value, ""}
	}
	for _, o := range b {
		both[o.Name] = Option{o.Name, both[o.Name].A, o.Value}
	}
	list := []Option{}
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if o := both[name]; o.A != o.B {
			list = append(list, o)
		}
	}
	return list
}

func (s *Side) add(t *manifest.Tensor) {
	s.Tensors++
	s.Bytes += bytesOf(t)
	if s.dtypes == nil {
		s.dtypes = map[string]int64{}
	}
	s.dtypes[t.DType.String()] += bytesOf(t)
	if t.Error != nil && t.Error.SQNR != nil {
		s.sqnr = append(s.sqnr, *t.Error.SQNR)
	}
}

func (s *Side) sum() {
	for _, d := range slices.Sorted(maps.Keys(s.dtypes)) {
		if s.DType == "" || s.dtypes[d] > s.dtypes[s.DType] {
			s.DType = d
		}
	}
	if len(s.sqnr) == 0 {
		return
	}
	slices.Sort(s.sqnr)
	s.Worst, s.SQNR = &s.sqnr[0], &s.sqnr[len(s.sqnr)/2]
}
