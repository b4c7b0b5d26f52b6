package verify_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/formats/synth"
	"quern/scheme"
	"quern/verify"
)

// Every pair of gate and up that has two scales is counted, out of how many there are, in
// quern's form and in that of others; down stands alone.
func TestScalesOfFusedParts(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	v := synth.Tiny()
	v.Hidden, v.MoEInter, v.Layers, v.Dense, v.Experts, v.ShardBytes = 144, 80, 1, 0, 3, 1<<30
	if err := v.Write(src); err != nil {
		t.Fatal(err)
	}
	if has(integrity(t, src)) || has(integrity(t, quantized(t, src, convert.QuantizeOptions{}))) {
		t.Error("a gate of what is not there")
	}
	for _, c := range []*container.Container{container.ModelOpt, container.CompressedTensors} {
		if c.Forms[scheme.NVFP4.Name] == nil {
			continue
		}
		out := quantized(t, src, convert.QuantizeOptions{Scheme: scheme.NVFP4, Container: c})
		if g := gate(t, integrity(t, out), "fused_scales"); !g.Passed || g.Skipped != "" || g.Value != 0 {
			t.Errorf("%s: %+v", c.Name, g)
		}
		damaged := 0
		ck := open(t, out)
		for r, m := range ck.Classified() {
			if name := r.Tensor.Name; m.Expert == 1 && (strings.HasSuffix(name, "weight_scale_2") || strings.HasSuffix(name, "global_scale")) && m.Part != "gate" {
				f, err := os.OpenFile(r.File.Path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				var raw [4]byte
				at := r.File.Header.DataOffset + r.Tensor.Begin
				if _, err := f.ReadAt(raw[:], at); err != nil {
					t.Fatal(err)
				}
				x := math.Float32frombits(binary.LittleEndian.Uint32(raw[:]))
				binary.LittleEndian.PutUint32(raw[:], math.Float32bits(4*x))
				if _, err := f.WriteAt(raw[:], at); err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				damaged++
			}
		}
		g := gate(t, integrity(t, out), "fused_scales")
		if damaged == 0 || g.Passed || len(g.Failures) != 1+int(g.Value) {
			t.Fatalf("%s, %d damaged: %+v", c.Name, damaged, g)
		}
		if want := fmt.Sprintf("%d of 6 sets", int(g.Value)); !strings.Contains(g.Failures[0], want) || !strings.Contains(g.Failures[1], "a ratio of 4") {
			t.Errorf("%s: %q, want %q", c.Name, g.Failures, want)
		}
	}
}

func has(r *verify.Report) bool {
	return slices.ContainsFunc(r.Gates, func(g verify.Gate) bool { return g.Name == "fused_scales" })
}
