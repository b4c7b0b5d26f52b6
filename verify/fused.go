package verify

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/scheme"
)

// fusedScales looks at the scales of tensors that multiply, or divide, those of groups.
// Engines make one matrix of gate and up, and of q, k and v, with one such scale for all:
// vLLM and SGLang take the first part's or the largest, and TensorRT-LLM refuses, so
// parts whose scales differ come out wrong by their ratio (formats-2026.md §4.1).
type fusedScales struct {
	sets  map[string][]*scalarCheck // by fused module, in the order of the files
	order []string
}

// scalarCheck keeps the value of a tensor of one F32.
type scalarCheck struct {
	tensor *plan.Tensor
	raw    [4]byte
}

func (c *scalarCheck) piece(_ context.Context, _ *worker, p []byte, at int64) error {
	if at < int64(len(c.raw)) {
		copy(c.raw[at:], p)
	}
	return nil
}

func (c *scalarCheck) value() float32 { return f32(c.raw[:]) }

// newFusedScales gives the jobs of such scales their check. jobs are by tensor of s.
func newFusedScales(s *side, jobs []*job) *fusedScales {
	fused := map[string]string{} // name of a scale to the module that engines make
	for i := range s.tensors {
		t := &s.tensors[i]
		w := s.written[t.Name]
		if w == nil || t.Meta.Fused == "" {
			continue
		}
		form, err := scheme.Find(w.Scheme)
		if err != nil {
			continue
		}
		for n, o := range form.Outputs(w.Params, w.Rows, w.Cols) {
			if o.Kind == scheme.TensorScale && w.Scales[n-1].Bytes() == 4 {
				fused[w.Scales[n-1].Name] = t.Meta.Fused
			}
		}
	}
	x := &fusedScales{sets: map[string][]*scalarCheck{}}
	for i, j := range jobs {
		at, ok := fused[s.tensors[i].Name]
		if !ok {
			continue
		}
		c := &scalarCheck{tensor: j.tensor}
		j.checks = append(j.checks, c)
		if x.sets[at] == nil {
			x.order = append(x.order, at)
		}
		x.sets[at] = append(x.sets[at], c)
	}
	return x
}

// gate says how many of how many sets differ; it has no name where there is no set of
// several parts.
func (x *fusedScales) gate() Gate {
	t := tally{name: "fused_scales"}
	all := 0
	for _, at := range x.order {
		set := x.sets[at]
		if len(set) < 2 {
			continue
		}
		all++
		if slices.ContainsFunc(set, func(c *scalarCheck) bool { return c.raw != set[0].raw }) {
			t.fail("%s", difference(at, set))
		}
	}
	if all == 0 {
		return Gate{}
	}
	g := t.gate()
	if t.count > 0 {
		g.Failures = append([]string{fmt.Sprintf("%d of %d sets of matrices that engines fuse have different scales of tensors: engines take one for all, or refuse", t.count, all)}, g.Failures...)
	}
	return g
}

// difference says how the scales of a set differ.
func difference(fused string, set []*scalarCheck) string {
	least, most := math.Inf(1), 0.0
	var parts []string
	for _, c := range set {
		v := math.Abs(float64(c.value()))
		least, most = min(least, v), max(most, v)
		parts = append(parts, fmt.Sprintf("%s is %v", c.tensor.Name, c.value()))
	}
	return fmt.Sprintf("%s: %s, a ratio of %.3g", fused, strings.Join(parts, ", "), most/least)
}
