package calibrate

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"quern/calibrate/file"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner"
)

// recorder is behind the hooks of a run.
type recorder struct {
	path       string // of the model, for errors
	info       *file.Info
	corpus     *tokens
	observer   *observer
	state      *state
	trace      *trace // or nil
	checkpoint time.Duration
	resumable  func(layer int) bool
	last       int // number of the last layer
	mtp        int // that of the layer of multi-token prediction, or −1

	// What was seen since the last layer was done.
	inputs  map[string]*input // by the first of the modules
	caches  map[string]float32
	experts map[int]*experts
	spare   []*distribution // empty ones: their memory is used again

	saved      time.Time       // of the last commit
	layerBegan time.Time       // when the layer under way did
	asked      context.Context // whose end is waited for behind each layer; or nil
	err        error           // the first one: hooks that return none have told it
}

func (r *recorder) hooks() *runner.Hooks {
	r.clear()
	return &runner.Hooks{Input: r.input, Cached: r.cached, Route: r.route, Done: r.done}
}

// clear forgets what was seen.
func (r *recorder) clear() {
	for _, s := range r.inputs {
		if s.distribution != nil {
			*s.distribution = distribution{}
			r.spare = append(r.spare, s.distribution)
		}
	}
	r.inputs, r.caches, r.experts = map[string]*input{}, map[string]float32{}, map[int]*experts{}
}

func (r *recorder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *recorder) input(a *runner.Activations) {
	if r.err != nil {
		return
	}
	s := r.inputs[a.Modules[0]]
	if s == nil {
		s = &input{modules: a.Modules, squares: make([]float64, a.Width)}
		if r.info.Options.Sketches {
			s.distribution = r.distribution()
		}
		r.inputs[a.Modules[0]] = s
	}
	if bad := r.observer.add(s, a.X, a.Rows); bad >= 0 {
		r.fail(r.nonFinite("the input of "+a.Modules[0], a, bad))
	}
}

// distribution returns an empty one.
func (r *recorder) distribution() *distribution {
	n := len(r.spare) - 1
	if n < 0 {
		return &distribution{}
	}
	d := r.spare[n]
	r.spare = r.spare[:n]
	return d
}

func (r *recorder) cached(kind string, a *runner.Activations) {
	if r.err != nil {
		return
	}
	m := vec.AbsMax(a.X[:a.Rows*a.Width])
	if math.Float32bits(m) >= infinity {
		r.fail(r.nonFinite(fmt.Sprintf("what %s keeps (%s)", a.Modules[0], kind), a, firstNonFinite(a.X)))
		return
	}
	name := file.CacheName(a.Modules[0], kind)
	r.caches[name] = max(r.caches[name], m)
}

// nonFinite is the error about element i of activations.
func (r *recorder) nonFinite(what string, a *runner.Activations, i int) error {
	sequence, position := a.Place(i / a.Width)
	name, at := r.corpus.where(sequence, position)
	token := r.corpus.ids[sequence][position]
	place := fmt.Sprintf("position %d (token %d)", at, token)
	if at < 0 {
		place = fmt.Sprintf("the token %d that sequences begin with", token)
	}
	return invalid.Errorf("%q: %s is %v at channel %d, for text %q, %s: the model computes no number there", r.path, what, a.X[i], i%a.Width, name, place)
}

func (r *recorder) route(layer, first int, ids []int32, weights []float32, k int) {
	if r.err != nil {
		return
	}
	e := r.experts[layer]
	if e == nil {
		texts := 0
		if r.info.Options.TextLoads {
			texts = len(r.info.Texts)
		}
		e = newExperts(r.info.Experts, texts, r.info.Options.Pairs)
		r.experts[layer] = e
	}
	r.corpus.each(layer == r.mtp, first, len(ids)/k, func(text, at, n int) {
		e.add(text, ids[at*k:][:n*k], weights[at*k:][:n*k], k)
	})
	if r.trace != nil {
		if err := r.trace.add(layer, first, ids); err != nil {
			r.fail(err)
		}
	}
}

// longLayers is how many layers of one save interval are so long that states are saved
// behind each of them: a run that ends within one loses no other then.
const longLayers = 6

// done writes the statistics of a layer, and now and then what is needed to go on
// behind it.
func (r *recorder) done(layer int, x *runner.Rows) error {
	if r.err != nil {
		return r.err
	}
	blobs, data := r.blobs()
	if err := r.state.layer(layer, blobs, data); err != nil {
		return err
	}
	r.clear()
	took := time.Since(r.layerBegan)
	r.layerBegan = time.Now()
	canceled := r.asked != nil && r.asked.Err() != nil
	switch {
	case layer == r.last:
		x, canceled = nil, false // the rest takes no time
	case !r.resumable(layer + 1):
		return nil // what follows needs more than hidden states
	case canceled, took >= r.checkpoint/longLayers, time.Since(r.saved) >= r.checkpoint:
	default:
		return nil
	}
	if err := r.trace.sync(); err != nil {
		return err
	}
	if err := r.state.save(layer, x); err != nil {
		return err
	}
	r.saved = time.Now()
	if canceled {
		return r.asked.Err()
	}
	return nil
}

// blobs are the tensors of what was seen since the last layer, and their bytes.
func (r *recorder) blobs() ([]blob, []byte) {
	var out []blob
	var data []byte
	add := func(k file.Kind, names []string, raw []byte, shape ...int64) {
		if shape == nil {
			shape = []int64{}
		}
		out = append(out, blob{Names: names, DType: k.DType().String(), Shape: shape, Bytes: int64(len(raw))})
		data = append(data, raw...)
	}
	var raw []byte
	for _, key := range slices.Sorted(maps.Keys(r.inputs)) {
		s := r.inputs[key]
		names := func(k file.Kind) (n []string) {
			for _, m := range s.modules {
				n = append(n, k.Name(m))
			}
			return n
		}
		raw = appendFloat(raw[:0], s.amax)
		add(file.InputAmax, names(file.InputAmax), raw)
		raw = appendDoubles(raw[:0], s.squares...)
		add(file.InputSquares, names(file.InputSquares), raw, int64(len(s.squares)))
		raw = appendIntegers(raw[:0], s.count)
		add(file.InputCount, names(file.InputCount), raw)
		if s.distribution == nil {
			continue
		}
		for _, x := range []struct {
			kind   file.Kind
			counts []int64
		}{{file.InputSketch, s.values.Sketch().Counts}, {file.InputGroupSketch, s.groups.Sketch().Counts}} {
			raw = appendIntegers(raw[:0], x.counts...)
			add(x.kind, names(x.kind), raw, int64(len(x.counts)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.caches)) {
		raw = appendFloat(raw[:0], r.caches[name])
		add(file.CacheAmax, []string{name}, raw)
	}
	for _, layer := range slices.Sorted(maps.Keys(r.experts)) {
		e := r.experts[layer]
		n := int64(len(e.load))
		name := func(k file.Kind) []string { return []string{k.LayerName(layer)} }
		add(file.ExpertLoad, name(file.ExpertLoad), appendIntegers(nil, e.load...), n)
		add(file.ExpertWeightSum, name(file.ExpertWeightSum), appendDoubles(nil, e.weight...), n)
		if e.pairs != nil {
			p := e.sparse()
			add(file.ExpertPairs, name(file.ExpertPairs), appendIntegers(nil, p...), int64(len(p)/3), 3)
		}
		if e.texts != nil {
			add(file.ExpertTextLoad, name(file.ExpertTextLoad), appendIntegers(nil, slices.Concat(e.texts...)...), int64(len(e.texts)), n)
		}
	}
	return out, data
}
