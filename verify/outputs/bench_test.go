package outputs

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// BenchmarkCompare counts bytes of both files.
func BenchmarkCompare(b *testing.B) {
	for _, vocab := range []int{2048, 129280} {
		b.Run(fmt.Sprint(vocab), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			c := random(r, vocab, 1<<20/vocab)
			dir := b.TempDir()
			c.write(b, filepath.Join(dir, "base"))
			c.noisy(r).write(b, filepath.Join(dir, "quant"))
			base, quant := mustOpen(b, filepath.Join(dir, "base")), mustOpen(b, filepath.Join(dir, "quant"))
			b.SetBytes(2 * base.in.Size())
			for b.Loop() {
				if _, err := Compare(b.Context(), base, quant, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
