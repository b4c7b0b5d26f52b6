package sketch

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func count(x []float32) Sketch {
	var c Counter
	c.Add(x)
	return c.Sketch()
}

// Percentiles stay within the bound that the package states.
func TestQuantile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	worst := 0.0
	for _, draw := range []func() float64{
		r.NormFloat64, r.ExpFloat64, r.Float64,
		func() float64 { return math.Exp(2 * r.NormFloat64()) },
		func() float64 { return 1 + r.Float64()/16 },
		func() float64 { return -1e-30 * r.NormFloat64() },
	} {
		x := make([]float32, 5001)
		for i := range x {
			x[i] = float32(draw())
		}
		s := count(x)
		for i := range x {
			x[i] = float32(math.Abs(float64(x[i])))
		}
		slices.Sort(x)
		for _, p := range []float64{0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
			want := float64(x[int(math.Ceil(p*float64(len(x))))-1])
			if want < float64(x[len(x)-1])*math.Exp2(-octaves) {
				continue
			}
			e := math.Abs(float64(s.Quantile(p))-want) / want
			worst = max(worst, e)
			if e > Error*(1+1e-6) {
				t.Errorf("p%v is %v instead of %v", 100*p, s.Quantile(p), want)
			}
		}
	}
	t.Logf("largest error %.4f, bound %.4f", worst, Error)
}

// The sketch of a whole is that of its parts, in whatever order they are added.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		parts := make([][]float32, 3)
		var whole []float32
		for i := range parts {
			parts[i] = make([]float32, 1+r.IntN(50))
			for j := range parts[i] {
				if r.IntN(9) > 0 {
					parts[i][j] = float32(math.Ldexp(r.NormFloat64(), r.IntN(60)-50))
				}
			}
			whole = append(whole, parts[i]...)
		}
		want := count(whole)
		a, b, c := count(parts[0]), count(parts[1]), count(parts[2])
		for _, got := range []Sketch{Merge(Merge(a, b), c), Merge(a, Merge(b, c)), Merge(Merge(c, a), b)} {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%v instead of %v", got, want)
			}
		}
		n, ok := want.Total()
		if !ok || n != int64(len(whole)) {
			t.Fatalf("%d values of %d, %v", n, len(whole), ok)
		}
		if len(want.Counts) > Length || len(want.Counts) > 1 && want.Counts[0] == 0 || want.Counts[len(want.Counts)-1] == 0 {
			t.Fatal(want)
		}
	}
}

func TestEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		x    float32
		want int
	}{{0, 0}, {float32(math.Copysign(0, -1)), 0}, {math.SmallestNonzeroFloat32, 0}, {1, 127 * 8}, {-1.124, 127 * 8}, {1.125, 127*8 + 1}, {math.MaxFloat32, 2039}, {inf, 2040}} {
		if got := Bucket(c.x); got != c.want {
			t.Errorf("bucket of %v is %d instead of %d", c.x, got, c.want)
		}
	}
	if s := count([]float32{0, 0, 0}); !reflect.DeepEqual(s, Sketch{Counts: []int64{3}}) || s.Quantile(0.5) != 0 {
		t.Error(s)
	}
	if s := count(nil); !reflect.DeepEqual(s, Sketch{Counts: []int64{0}}) || s.Quantile(1) != 0 {
		t.Error(s)
	}
	if s := count([]float32{1, 0}); len(s.Counts) != Length || s.Counts[0] != 1 || s.Counts[Length-1] != 1 {
		t.Error(s)
	}
	// Nothing overflows at the upper end.
	if s := count([]float32{math.MaxFloat32}); !(s.Quantile(1) < inf) || s.Quantile(1) < math.MaxFloat32*(1-Error) {
		t.Error(s.Quantile(1))
	}
	if _, ok := (Sketch{Counts: []int64{math.MaxInt64, 1}}).Total(); ok {
		t.Error("a total that overflows")
	}
	if _, ok := (Sketch{Counts: []int64{-1}}).Total(); ok {
		t.Error("a negative count")
	}
}

// Pairs of buckets are counted as their elements are.
func TestTake(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var want, got Counter
	var pairs [Length * Length]uint32
	for _, base := range []int{0, 900, keys - Length} {
		for range 1000 {
			i, j := r.IntN(Length), r.IntN(Length)
			pairs[j*Length+i]++
			want.n[base+i]++
			want.n[base+j]++
		}
		got.Take(&pairs, base)
	}
	if got != want || pairs != [Length * Length]uint32{} {
		t.Error("counts differ")
	}
}

func BenchmarkAdd(b *testing.B) {
	x := make([]float32, 128)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	var c Counter
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		c.Add(x)
	}
}
