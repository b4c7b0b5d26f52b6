package verify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/convert"
	"quern/formats/synth"
	"quern/scheme"
)

// Blocks whose scale is subnormal are counted, zeros and other schemes are not.
func TestLowBlocks(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	v := synth.Tiny()
	v.Hidden, v.MoEInter, v.Layers, v.Dense, v.Experts, v.ShardBytes = 144, 80, 1, 0, 3, 1<<30
	if err := v.Write(src); err != nil {
		t.Fatal(err)
	}
	if r := integrity(t, quantized(t, src, convert.QuantizeOptions{})); r.LowBlocks != nil {
		t.Errorf("block FP8 has blocks of NVFP4: %+v", r.LowBlocks)
	}
	out := quantized(t, src, convert.QuantizeOptions{Scheme: scheme.NVFP4})
	all := int64(2*3*3*144*80) / 16 // of the layer, and of multi-token prediction
	before := integrity(t, out).LowBlocks
	if before == nil || before.Blocks != all || before.Low != 0 || before.Share != 0 || before.Worst != "" || !strings.HasPrefix(before.String(), "none of ") {
		t.Fatalf("%+v", before)
	}
	ck := open(t, out)
	for r := range ck.Classified() {
		if !strings.HasSuffix(r.Tensor.Name, "experts.1.up_proj.weight_scale") {
			continue
		}
		f, err := os.OpenFile(r.File.Path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0, 1, 7, 8, 0x7e, 0x83}, r.File.Header.DataOffset+r.Tensor.Begin); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got := integrity(t, out).LowBlocks
	if got.Blocks != all || got.Low != 6 || got.Share != 6/float64(all) || !strings.HasSuffix(got.Worst, "experts.1.up_proj.weight") || got.WorstShare != 3/float64(80*9) {
		t.Errorf("%+v", got)
	}
	if s := got.String(); !strings.Contains(s, "6 of 12,960 blocks (0.0463 %)") || !strings.Contains(s, "(0.417 %)") {
		t.Errorf("%s", s)
	}
}
