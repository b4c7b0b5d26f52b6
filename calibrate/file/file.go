package file

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync"

	"quern/calibrate/sketch"
	"quern/formats/safetensors"
	"quern/internal/blockio"
	"quern/store"
)

// File is an open calibration file whose content was checked. It is safe for
// concurrent use. What is large is read when it is asked for.
type File struct {
	path    string
	f       store.Object
	info    Info
	digest  [32]byte
	offset  int64 // of the data section
	modules map[string]*module
	caches  map[string]float32 // by the name of the tensor
	layers  map[int]*layer

	mu  sync.Mutex
	err error
}

// module is what is known of a module's input.
type module struct {
	amax                    float32
	hasAmax                 bool
	count                   int64
	squares, values, groups *safetensors.Tensor
	total, groupTotal       int64 // of the sketches
}

// layer is what is known of a layer's experts.
type layer struct {
	load, fromTexts []int64 // the latter: the sum of those of the texts
	weight          []float64
	pairs, texts    *safetensors.Tensor
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Path is the name that the file was opened by.
func (f *File) Path() string { return f.path }

// Info is what the file says about itself.
func (f *File) Info() Info { return f.info }

// Identity names the model that was measured, as Identify does.
func (f *File) Identity() string { return f.info.Model }

// Digest is the BLAKE3-256 of the file.
func (f *File) Digest() [32]byte { return f.digest }

// Err is the first error of reading that a method had to answer with nothing.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *File) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

// Modules are the paths of the modules that were reached, sorted.
func (f *File) Modules() []string { return slices.Sorted(maps.Keys(f.modules)) }

// Caches are the largest magnitudes of what attention blocks keep, by the name of the
// tensor (CacheName).
func (f *File) Caches() map[string]float32 { return maps.Clone(f.caches) }

// Layers are the numbers of the layers with routed experts, ascending.
func (f *File) Layers() []int { return slices.Sorted(maps.Keys(f.layers)) }

// Count is how many tokens reached a module, 0 for one that was never reached.
func (f *File) Count(name string) int64 {
	if m := f.modules[name]; m != nil {
		return m.count
	}
	return 0
}

// Channels is the number of input channels of a module, 0 for one that was never
// reached.
func (f *File) Channels(name string) int {
	if m := f.modules[name]; m != nil {
		return int(m.squares.Shape[0])
	}
	return 0
}

// InputAmax is the largest magnitude of what a module is applied to; false if it was
// never reached.
func (f *File) InputAmax(name string) (float32, bool) {
	if m := f.modules[name]; m != nil {
		return m.amax, true
	}
	return 0, false
}

// Squares are, by input channel, the sums of squares of what a module is applied to;
// false if it was never reached or the file cannot be read any more (see Err).
func (f *File) Squares(name string) ([]float64, bool) {
	m := f.modules[name]
	if m == nil {
		return nil, false
	}
	raw, ok := f.read(m.squares)
	if !ok {
		return nil, false
	}
	out := make([]float64, len(raw)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return out, true
}

// MeanSquares are the mean squares of the same: Squares by Count, rounded to float32,
// where what is beyond its range becomes the largest number.
func (f *File) MeanSquares(name string) ([]float32, bool) {
	sums, ok := f.Squares(name)
	if !ok {
		return nil, false
	}
	n := float64(f.modules[name].count)
	out := make([]float32, len(sums))
	for i, s := range sums {
		out[i] = float32(min(s/n, math.MaxFloat32))
	}
	return out, true
}

// CacheAmax is the largest magnitude of what an attention block keeps of tokens, by
// kind: one of CacheKinds.
func (f *File) CacheAmax(attention, kind string) (float32, bool) {
	x, ok := f.caches[CacheName(attention, kind)]
	return x, ok
}

// Load is how many tokens chose each expert of a layer; nil without experts.
func (f *File) Load(number int) []int64 {
	if l := f.layers[number]; l != nil {
		return l.load
	}
	return nil
}

// WeightSum is, for each expert of a layer, the sum of the weights it was chosen
// with; nil without experts.
func (f *File) WeightSum(number int) []float64 {
	if l := f.layers[number]; l != nil {
		return l.weight
	}
	return nil
}

// Sketch is the distribution of the magnitudes that a module is applied to, or with
// groups of the largest ones of groups of 128 channels; false where there is none.
func (f *File) Sketch(name string, groups bool) (sketch.Sketch, bool) {
	m := f.modules[name]
	if m == nil {
		return sketch.Sketch{}, false
	}
	t := m.values
	if groups {
		t = m.groups
	}
	if t == nil {
		return sketch.Sketch{}, false
	}
	n, ok := f.integers(t)
	return sketch.Sketch{Top: sketch.Bucket(m.amax), Counts: n}, ok
}

// Pairs are rows of two experts of a layer and how many tokens chose both; nil where
// that is not known.
func (f *File) Pairs(number int) [][3]int64 {
	l := f.layers[number]
	if l == nil || l.pairs == nil {
		return nil
	}
	n, ok := f.integers(l.pairs)
	if !ok {
		return nil
	}
	out := make([][3]int64, len(n)/3)
	for i := range out {
		out[i] = [3]int64(n[3*i:])
	}
	return out
}

// TextLoads are the loads of a layer by text, in the order of Info; nil where they are
// not known.
func (f *File) TextLoads(number int) [][]int64 {
	l := f.layers[number]
	if l == nil || l.texts == nil {
		return nil
	}
	n, ok := f.integers(l.texts)
	if !ok {
		return nil
	}
	out := make([][]int64, len(f.info.Texts))
	for i := range out {
		out[i] = n[i*len(l.load):][:len(l.load)]
	}
	return out
}

// read returns the bytes of a tensor.
func (f *File) read(t *safetensors.Tensor) ([]byte, bool) {
	raw := make([]byte, t.Bytes())
	if err := blockio.ReadFull(f.f, raw, f.offset+t.Begin); err != nil {
		f.fail(reading(f.path, t, err))
		return nil, false
	}
	return raw, true
}

func (f *File) integers(t *safetensors.Tensor) ([]int64, bool) {
	raw, ok := f.read(t)
	if !ok {
		return nil, false
	}
	out := make([]int64, len(raw)/8)
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
	}
	return out, true
}
