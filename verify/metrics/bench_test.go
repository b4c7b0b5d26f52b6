package metrics

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkRow scores rows in tiles of 2048 logits and reports the time of a pair.
func BenchmarkRow(b *testing.B) {
	for _, n := range []int{2048, 129280} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			base, quant := rows(rand.New(rand.NewPCG(1, 2)), n, 3, 0.1)
			var r Row
			for b.Loop() {
				r.Reset(n / 2)
				for i := 0; i < n; i += 2048 {
					j := min(i+2048, n)
					r.Add(base[i:j], quant[i:j], i)
				}
				if _, err := r.Score(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/pair")
		})
	}
}

// BenchmarkScan is the search for the highest logits alone.
func BenchmarkScan(b *testing.B) {
	const n = 129280
	base, _ := rows(rand.New(rand.NewPCG(1, 2)), n, 3, 0.1)
	for b.Loop() {
		var t top
		t.scan(base, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/logit")
}

func BenchmarkMaxAbsDiff(b *testing.B) {
	const n = 129280
	base, quant := rows(rand.New(rand.NewPCG(1, 2)), n, 3, 0.1)
	for b.Loop() {
		MaxAbsDiff(base, quant)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/pair")
}
