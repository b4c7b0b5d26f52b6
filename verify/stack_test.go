package verify_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/runner"
	"quern/scheme"
)

// Experts of gpt-oss in one tensor pass against what they were made from, byte for byte;
// a damaged code or scale is found; and the model computes with NVFP4 that was cast what
// it computes with the MXFP4 that is released.
func TestStackedExperts(t *testing.T) {
	const released, experts = "../runner/testdata/quantized/gpt_oss_mxfp4", "model.layers.1.mlp.experts.gate_up_proj"
	wide := dequantized(t, released)
	for s, names := range map[*scheme.Scheme][2]string{scheme.MXFP4: {"_blocks", "_scales"}, scheme.NVFP4: {"", "_weight_scale"}} {
		out := quantized(t, wide, convert.QuantizeOptions{Scheme: s})
		sound := func(what string) {
			r := compare(t, wide, out)
			if f := r.Weights.Fresh; !r.Passed || !f.Equal || f.Checked != 8 || r.Weights.Quantized != 8 {
				t.Errorf("%s %s: %+v, %+v", s.Name, what, r.Gates, f)
			}
		}
		sound("as written")
		damage(t, out, experts+names[0], func(p []byte) { p[1000] ^= 4 })
		r := compare(t, wide, out)
		if g := gateOf(r, "sqnr"); !g.Passed { // what one code costs hides above the floor, however exact the rest is
			t.Errorf("%s: %+v", s.Name, g)
		}
		if g := gateOf(r, "codes"); g.Passed || !strings.Contains(g.Failures[0], "model.layers.1.mlp.experts.gate_up_proj") {
			t.Errorf("%s: a changed code: %+v", s.Name, g)
		}
		damage(t, out, experts+names[0], func(p []byte) { p[1000] ^= 4 })
		damage(t, out, experts+names[1], func(p []byte) { p[100] ^= 1 })
		if g := gateOf(compare(t, wide, out), "codes"); g.Passed {
			t.Errorf("%s: codes under a changed scale pass", s.Name)
		}
		damage(t, out, experts+names[1], func(p []byte) { p[100] ^= 1 })
		sound("repaired")
	}
	cast := quantized(t, released, convert.QuantizeOptions{Scheme: scheme.NVFP4, Lossless: true})
	var states [2][]float32
	for i, dir := range []string{released, cast} {
		m, err := runner.Open(open(t, dir), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e, err := m.Evaluate(context.Background(), [][]int{{5, 17, 300, 2, 77, 140, 9, 31, 8, 64, 255, 101}}, runner.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if states[i], err = e.Hidden.View(0, e.Hidden.Len(), make([]float32, e.Hidden.Len()*e.Hidden.Width())); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(states[0], states[1]) {
		t.Error("NVFP4 that was cast computes something else than the released MXFP4")
	}
}
