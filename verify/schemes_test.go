package verify_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/formats/hf"
	"quern/formats/synth"
	"quern/fp8"
	"quern/group"
	"quern/scheme"
	"quern/verify"
)

// whole writes a checkpoint whose rows are whole groups of every scheme.
func whole(t *testing.T) string {
	t.Helper()
	v := synth.Tiny()
	v.Hidden, v.Inter, v.MoEInter, v.QLora, v.KVLora = 160, 192, 96, 64, 32
	dir := filepath.Join(t.TempDir(), "whole")
	if err := v.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// recipes are settings of each scheme that are tried.
func recipes() map[string]convert.QuantizeOptions {
	seven := group.Range7
	list := map[string]convert.QuantizeOptions{
		"mxfp4 rceil":   {Scheme: scheme.MXFP4, MXScale: group.ScaleCeil},
		"mxfp4 floor":   {Scheme: scheme.MXFP4, MXScale: group.ScaleFloor},
		"int4 range 7":  {Scheme: scheme.INT4, Range: &seven},
		"int4 searched": {Scheme: scheme.INT4, Search: fp8.SearchMSE},

		"mxfp8 in modelopt":                    {Scheme: scheme.MXFP8, Container: container.ModelOpt},
		"fp8-tensor in compressed-tensors":     {Scheme: scheme.TensorFP8, Container: container.CompressedTensors},
		"nvfp4 in compressed-tensors":          {Scheme: scheme.NVFP4, Container: container.CompressedTensors},
		"nvfp4 searched in compressed-tensors": {Scheme: scheme.NVFP4, Container: container.CompressedTensors, Search: fp8.SearchMSE},
		"a mix in modelopt": {Scheme: scheme.NVFP4, Roles: []convert.RoleScheme{
			{Role: "attention", Scheme: scheme.MXFP8}, {Role: "shared", Scheme: scheme.BlockFP8}, {Role: "dense", Scheme: scheme.TensorFP8},
		}},
		"a mix in compressed-tensors": {Scheme: scheme.NVFP4, Roles: []convert.RoleScheme{
			{Role: "attention", Scheme: scheme.ChannelFP8}, {Role: "shared", Scheme: scheme.INT4}, {Role: "dense", Scheme: scheme.MXFP4}, {Role: "mtp", Scheme: scheme.TensorFP8},
		}},
	}
	for _, s := range scheme.All {
		list[s.Name] = convert.QuantizeOptions{Scheme: s}
	}
	return list
}

// Every scheme passes against what it was made from, as its own rule has it.
func TestEveryScheme(t *testing.T) {
	src := whole(t)
	for name, o := range recipes() {
		t.Run(name, func(t *testing.T) {
			r := compare(t, src, quantized(t, src, o))
			if !r.Passed {
				t.Errorf("%+v", r.Gates)
			}
			if f := r.Weights.Fresh; f == nil || !f.Equal || f.Checked != r.Weights.Quantized || len(f.Unchecked) > 0 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A damaged code, a damaged scale, and codes of another rule than the manifest says are
// told from sound ones, in every scheme.
func TestDamagedSchemes(t *testing.T) {
	src := whole(t)
	for name, o := range recipes() {
		t.Run(name, func(t *testing.T) {
			out := quantized(t, src, o)
			c := open(t, out)
			codes := codesOf(t, c)
			damage(t, out, codes, func(p []byte) { p[17] ^= 3 })
			r := compare(t, src, out)
			if g := gateOf(r, "codes"); g.Passed || len(g.Failures) != 1 || !strings.Contains(g.Failures[0], codes) {
				t.Errorf("codes: %+v", g)
			}
			if f := r.Weights.Fresh; f.Equal || f.Different != 1 || f.First[0].Name != codes {
				t.Errorf("fresh: %+v", f)
			}
			damage(t, out, codes, func(p []byte) { p[17] ^= 3 })
			if r := compare(t, src, out); !r.Passed {
				t.Fatalf("repaired: %+v", r.Gates)
			}
			scale := strings.TrimSuffix(codes, "_packed") + "_scale"
			if !c.Has(scale) {
				scale += "_inv"
			}
			damage(t, out, scale, func(p []byte) { p[len(p)-1] ^= 1 })
			r = compare(t, src, out)
			if f := r.Weights.Fresh; f.Equal || f.Different != 1 || f.First[0].Scales == 0 {
				t.Errorf("a changed scale: %+v", f)
			}
			if g := gateOf(r, "codes"); g.Passed {
				t.Error("codes under a changed scale pass")
			}
		})
	}
}

// What was decoded is the codes' values, and is no damage; the other way it is told.
func TestDecodedAgainstCodes(t *testing.T) {
	src := whole(t)
	for _, s := range []*scheme.Scheme{scheme.MXFP4, scheme.INT4, scheme.NVFP4, scheme.MXFP8} {
		out := quantized(t, src, convert.QuantizeOptions{Scheme: s})
		back := dequantized(t, out)
		r := compare(t, out, back)
		if g := gateOf(r, "kept"); !g.Passed {
			t.Errorf("%s: %+v", s.Name, g)
		}
		damage(t, back, expert, func(p []byte) { p[17] ^= 64 })
		if g := gateOf(compare(t, out, back), "kept"); g.Passed || !strings.Contains(fmt.Sprint(g.Failures), expert) {
			t.Errorf("%s: %+v", s.Name, g)
		}
	}
}

// codesOf is the codes of the expert that is damaged.
func codesOf(t *testing.T, c *hf.Checkpoint) string {
	t.Helper()
	for _, name := range []string{expert + "_packed", expert} {
		if c.Has(name) {
			return name
		}
	}
	t.Fatal("no expert")
	return ""
}

func gateOf(r *verify.Report, name string) verify.Gate {
	return r.Gates[slices.IndexFunc(r.Gates, func(g verify.Gate) bool { return g.Name == name })]
}
