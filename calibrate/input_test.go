package calibrate

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"quern/calibrate/sketch"
)

func newInput(width int, sketches bool) *input {
	s := &input{squares: make([]float64, width)}
	if sketches {
		s.distribution = &distribution{}
	}
	return s
}

// What is observed does not depend on how rows are divided, nor on the number of
// workers, and is what its definition says.
func TestObserver(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, width := range []int{1, 24, 64, 128, 200, 700} {
		rows := 4*worthwhile/width + 37
		x := make([]float32, rows*width)
		for i := range x {
			x[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()))
			if r.IntN(50) == 0 {
				x[i] *= float32(math.Ldexp(1, -r.IntN(40))) // below what a sketch keeps
			}
		}
		want := newInput(width, true)
		for row := range rows {
			for first := 0; first < width; first += 128 {
				group := x[row*width:][first:min(first+128, width)]
				most := float32(0)
				for c, v := range group {
					want.squares[first+c] += float64(v) * float64(v)
					most = max(most, v, -v)
				}
				want.groups.Add([]float32{most})
				want.amax = max(want.amax, most)
			}
		}
		want.values.Add(x)
		want.count = int64(rows)
		for _, workers := range []int{1, 2, 3, 7} {
			o := newObserver(workers)
			got := newInput(width, true)
			for at := 0; at < rows; {
				n := rows - at
				if r.IntN(3) > 0 {
					n = min(n, 1+r.IntN(rows))
				}
				if bad := o.add(got, x[at*width:], n); bad >= 0 {
					t.Fatalf("element %d is no number", bad)
				}
				at += n
			}
			if got.count != want.count || got.amax != want.amax || !slices.Equal(got.squares, want.squares) ||
				!reflect.DeepEqual(got.values.Sketch(), want.values.Sketch()) || !reflect.DeepEqual(got.groups.Sketch(), want.groups.Sketch()) {
				t.Errorf("rows of %d, %d workers: something else was seen", width, workers)
			}
		}
		plain := newInput(width, false)
		newObserver(2).add(plain, x, rows)
		if !reflect.DeepEqual(plain.squares, want.squares) || plain.amax != want.amax || plain.distribution != nil {
			t.Errorf("rows of %d, without sketches: something else was seen", width)
		}
		at := r.IntN(len(x))
		x[at] = float32(math.Inf(-1))
		if bad := newObserver(3).add(newInput(width, true), x, rows); bad != at {
			t.Errorf("rows of %d: an infinity at %d is reported at %d", width, at, bad)
		}
	}
}

func TestObserverKeepsNothing(t *testing.T) {
	// After a NaN the next input starts clean.
	o := newObserver(2)
	x := make([]float32, 4*worthwhile)
	x[3] = float32(math.NaN())
	o.add(newInput(64, true), x, len(x)/64)
	x[3] = 2
	s := newInput(64, true)
	if bad := o.add(s, x, len(x)/64); bad >= 0 || s.amax != 2 || !reflect.DeepEqual(s.values.Sketch(), sketch.Sketch{Top: sketch.Bucket(2), Counts: s.values.Sketch().Counts}) {
		t.Error(bad, s.amax)
	}
	if n, _ := s.values.Sketch().Total(); n != int64(len(x)) {
		t.Errorf("%d magnitudes of %d", n, len(x))
	}
}
