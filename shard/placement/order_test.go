package placement

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
)

// gnu-sort.json was made with std::sort of GNU's C++ library: weights with many
// equals, and one list that drives it to its heapsort.
func TestOrderOfEquals(t *testing.T) {
	raw, err := os.ReadFile("testdata/gnu-sort.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		W     []float32
		Order []int
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got := falling(c.W); !reflect.DeepEqual(got, c.Order) {
			t.Errorf("%v: %v, want %v", c.W, got, c.Order)
		}
	}
}

func TestOrderSorts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 300 {
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(r.IntN(n/3 + 1))
		}
		order := falling(w)
		if !slices.IsSortedFunc(order, func(a, b int) int { return int(w[b] - w[a]) }) {
			t.Fatalf("%v: %v", w, order)
		}
		slices.Sort(order)
		for i, x := range order {
			if i != x {
				t.Fatalf("no permutation of %d items", n)
			}
		}
	}
}
