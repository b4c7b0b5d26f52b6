package calibrate

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"quern/calibrate/file"
	"quern/calibrate/sketch"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/internal/outfile"
)

// Merge writes to path what the calibrations of paths say together: maxima, sums and
// counts of all of them. It does not matter in which order they are given. Files of
// different models, and a file given twice, match invalid.Input. fs nil is the
// machine's file system.
func Merge(fs blockio.FS, path string, paths []string) (*Result, error) {
	out := outfile.File{Flag: "-o", Path: path, Kind: outfile.Calibration}
	if err := (outfile.Command{Reads: paths}).Check(out); err != nil {
		return nil, err
	}
	m := &merger{}
	defer m.close()
	for _, p := range paths {
		f, err := file.Open(p)
		if err != nil {
			return nil, err
		}
		m.files = append(m.files, f)
	}
	// The order of sums, and of texts, is that of the files' digests.
	slices.SortFunc(m.files, func(a, b *file.File) int {
		x, y := a.Digest(), b.Digest()
		return bytes.Compare(x[:], y[:])
	})
	info, err := m.info()
	if err != nil {
		return nil, err
	}
	entries, err := m.entries(info.Options)
	if err != nil {
		return nil, err
	}
	digest, err := file.Write(fs, path, info, entries)
	if err != nil {
		return nil, err
	}
	return &Result{Info: *info, Digest: digest}, nil
}

type merger struct{ files []*file.File }

func (m *merger) close() {
	for _, f := range m.files {
		_ = f.Close()
	}
}

// info is what the merged file says about itself.
func (m *merger) info() (*file.Info, error) {
	a := m.files[0]
	out := a.Info()
	out.Texts = slices.Clone(out.Texts)
	for i, b := range m.files[1:] {
		x := b.Info()
		switch {
		case a.Identity() != b.Identity():
			return nil, invalid.Errorf("%q is of model %s, %q of model %s: calibrations of different models are not merged", a.Path(), a.Identity(), b.Path(), b.Identity())
		case b.Digest() == m.files[i].Digest():
			return nil, invalid.Errorf("%q and %q are the same: their tokens would count twice", m.files[i].Path(), b.Path())
		case out.Options.AllExperts != x.Options.AllExperts:
			return nil, invalid.Errorf("of %q and %q one measured the inputs of experts with every token (--all-experts), the other with those that chose the expert: they are not merged", a.Path(), b.Path())
		case out.Experts != x.Experts || !slices.Equal(out.MTPLayers, x.MTPLayers):
			return nil, invalid.Errorf("%q and %q say different things of their model's experts", a.Path(), b.Path())
		}
		if x.Tool != out.Tool {
			out.Tool = max(out.Tool, x.Tool)
		}
		if x.Options.Compute != out.Options.Compute {
			out.Options.Compute = "mixed"
		}
		// What one of them lacks the whole lacks.
		out.Options.Sketches = out.Options.Sketches && x.Options.Sketches
		out.Options.Pairs = out.Options.Pairs && x.Options.Pairs
		out.Options.TextLoads = out.Options.TextLoads && x.Options.TextLoads
		out.Texts = append(out.Texts, x.Texts...)
	}
	out.Options.TextLoads = out.Options.TextLoads && len(out.Texts) <= maxTexts
	return &out, nil
}

// union is the sorted union of what the files list.
func union[T int | string](files []*file.File, list func(*file.File) []T) []T {
	all := map[T]struct{}{}
	for _, f := range files {
		for _, x := range list(f) {
			all[x] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// entries are the tensors of the merged file. What is large is read when it is
// written.
func (m *merger) entries(o file.Options) ([]file.Entry, error) {
	var out []file.Entry
	add := func(k file.Kind, name string, data func() ([]byte, error), shape ...int64) {
		if shape == nil {
			shape = []int64{}
		}
		out = append(out, file.Entry{Name: name, DType: k.DType(), Shape: shape, Data: func(w io.Writer) error {
			raw, err := data()
			if err == nil {
				_, err = w.Write(raw)
			}
			return err
		}})
	}
	for _, name := range union(m.files, (*file.File).Modules) {
		if err := m.module(name, o, add); err != nil {
			return nil, err
		}
	}
	caches := map[string]float32{}
	for _, f := range m.files {
		for name, x := range f.Caches() {
			caches[name] = max(caches[name], x)
		}
	}
	for name, x := range caches {
		add(file.CacheAmax, name, constant(appendFloat(nil, x)))
	}
	for _, layer := range union(m.files, (*file.File).Layers) {
		if err := m.layer(layer, o, add); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func constant(raw []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return raw, nil }
}

type adder func(k file.Kind, name string, data func() ([]byte, error), shape ...int64)

// module merges what is known of a module's input.
func (m *merger) module(name string, o file.Options, add adder) error {
	amax, count, width := float32(0), int64(0), 0
	for _, f := range m.files {
		n := f.Channels(name)
		if n == 0 {
			continue
		}
		if width != 0 && n != width {
			return invalid.Errorf("reading %q: module %q has %d input channels, %d in another file", f.Path(), name, n, width)
		}
		width = n
		x, _ := f.InputAmax(name)
		amax = max(amax, x)
		if f.Count(name) > math.MaxInt64-count {
			return invalid.Errorf("reading %q: the tokens of module %q overflow", f.Path(), name)
		}
		count += f.Count(name)
	}
	add(file.InputAmax, file.InputAmax.Name(name), constant(appendFloat(nil, amax)))
	add(file.InputCount, file.InputCount.Name(name), constant(appendIntegers(nil, count)))
	add(file.InputSquares, file.InputSquares.Name(name), func() ([]byte, error) { return m.squares(name, width) }, int64(width))
	if !o.Sketches {
		return nil
	}
	for _, k := range []file.Kind{file.InputSketch, file.InputGroupSketch} {
		all, err := m.sketch(name, k == file.InputGroupSketch)
		if err != nil {
			return err
		}
		add(k, k.Name(name), func() ([]byte, error) {
			s, err := m.sketch(name, k == file.InputGroupSketch)
			return appendIntegers(nil, s.Counts...), err
		}, int64(len(all.Counts)))
	}
	return nil
}

// sketch merges a distribution of a module's input.
func (m *merger) sketch(name string, groups bool) (sketch.Sketch, error) {
	all := sketch.Sketch{Counts: []int64{0}}
	for _, f := range m.files {
		if s, ok := f.Sketch(name, groups); ok {
			all = sketch.Merge(all, s)
		}
		if err := f.Err(); err != nil {
			return all, err
		}
	}
	if _, ok := all.Total(); !ok {
		return all, invalid.Errorf("the distribution of module %q overflows", name)
	}
	return all, nil
}

func (m *merger) squares(name string, width int) ([]byte, error) {
	sums := make([]float64, width)
	for _, f := range m.files {
		if f.Count(name) == 0 {
			continue
		}
		x, ok := f.Squares(name)
		if !ok {
			return nil, f.Err()
		}
		for i, v := range x {
			sums[i] += v
		}
	}
	return appendDoubles(nil, sums...), nil
}

// layer merges what is known of a layer's experts.
func (m *merger) layer(number int, o file.Options, add adder) error {
	n := m.files[0].Info().Experts
	e := newExperts(n, 0, o.Pairs)
	for _, f := range m.files {
		for i, x := range f.Load(number) {
			e.load[i] += x
			e.weight[i] += f.WeightSum(number)[i]
		}
		if o.Pairs {
			for _, p := range f.Pairs(number) {
				e.pairs[int(p[0])*n+int(p[1])] += p[2]
			}
		}
		if o.TextLoads {
			loads := f.TextLoads(number)
			if loads == nil { // the layer saw none of these texts
				for range f.Info().Texts {
					loads = append(loads, make([]int64, n))
				}
			}
			e.texts = append(e.texts, loads...)
		}
		if err := f.Err(); err != nil {
			return err
		}
	}
	for i, x := range e.load {
		if x < 0 {
			return fmt.Errorf("the load of expert %d of layer %d overflows", i, number)
		}
	}
	add(file.ExpertLoad, file.ExpertLoad.LayerName(number), constant(appendIntegers(nil, e.load...)), int64(n))
	add(file.ExpertWeightSum, file.ExpertWeightSum.LayerName(number), constant(appendDoubles(nil, e.weight...)), int64(n))
	if o.Pairs {
		p := e.sparse()
		add(file.ExpertPairs, file.ExpertPairs.LayerName(number), constant(appendIntegers(nil, p...)), int64(len(p)/3), 3)
	}
	if o.TextLoads {
		add(file.ExpertTextLoad, file.ExpertTextLoad.LayerName(number), constant(appendIntegers(nil, slices.Concat(e.texts...)...)), int64(len(e.texts)), int64(n))
	}
	return nil
}
