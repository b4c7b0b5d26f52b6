package convert_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"quern/convert"
	"quern/formats/synth"
)

// BenchmarkRun converts 0.6 GB of BF16 end to end, disk included.
func BenchmarkRun(b *testing.B) {
	v := synth.V3{Hidden: 2048, Layers: 2, Dense: 1, Experts: 16, Inter: 5632, MoEInter: 1024, Vocab: 8000, Heads: 16, QLora: 768, KVLora: 256, ShardBytes: 900 << 20}
	dir := b.TempDir()
	if err := v.Write(dir); err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				c := open(b, dir)
				p := mustPlan(b, c, convert.QuantizeOptions{})
				b.SetBytes(c.Bytes())
				out := filepath.Join(b.TempDir(), "out")
				if _, err := convert.Run(context.Background(), c, p, out, convert.RunOptions{Workers: workers}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
