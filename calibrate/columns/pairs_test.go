package columns

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/calibrate/sketch"
	"quern/internal/cpu/cputest"
)

// The numbers of buckets are those of package sketch, whose tables these are.
func TestBuckets(t *testing.T) {
	if Buckets != sketch.Length {
		t.Fatalf("%d buckets, in sketches %d", Buckets, sketch.Length)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		x := make([]float32, Step)
		for i := range x {
			x[i] = float32(math.Ldexp(r.NormFloat64(), r.IntN(280)-140))
		}
		base := r.IntN(2048)
		var table [Buckets * Buckets]uint32
		if rest := Pairs(&table, base, x); len(rest) != 0 {
			t.Fatal(len(rest))
		}
		for i := 0; i < Step; i += 2 {
			a, b := min(max(sketch.Bucket(x[i])-base, 0), Buckets-1), min(max(sketch.Bucket(x[i+1])-base, 0), Buckets-1)
			table[a+Buckets*b]--
		}
		if table != [Buckets * Buckets]uint32{} {
			t.Fatalf("base %d: other buckets for %v", base, x)
		}
	}
}

// Every path counts as the generic one, whatever the numbers.
func TestPairsPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		x := make([]float32, n)
		for i := range x {
			x[i] = draws[n%len(draws)](r)
		}
		base := r.IntN(2048)
		var want [Buckets * Buckets]uint32
		cputest.Use(t, "generic")
		Pairs(&want, base, x)
		for _, p := range paths() {
			cputest.Use(t, p.name)
			var got [Buckets * Buckets]uint32
			if rest := Pairs(&got, base, x); len(rest) != n%Step || len(rest) > 0 && &rest[0] != &x[n/Step*Step] {
				t.Fatalf("%s: %d elements are left of %d", p.name, len(rest), n)
			}
			if got != want {
				t.Fatalf("%s, %d elements, base %d: other counts", p.name, n, base)
			}
		}
	}
}

func BenchmarkPairs(b *testing.B) {
	for _, p := range paths() {
		b.Run(p.name, func(b *testing.B) {
			cputest.Use(b, p.name)
			x := make([]float32, 8192)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			var table [Buckets * Buckets]uint32
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				Pairs(&table, 900, x)
			}
		})
	}
}
