package metrics

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/internal/invalid"
)

func TestRouting(t *testing.T) {
	r := Routing{Experts: 6}
	// Three tokens of layer 7: the same set in another order, one expert of two the
	// same, none.
	if err := r.Add(7, 2, []int32{0, 1, 2, 3}, []int32{1, 0, 2, 4}); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(7, 2, []int32{0, 1}, []int32{4, 3}); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(3, 1, []int32{5}, []int32{5}); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r.Report())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"overlap":0.625,"top1":0.5,"identical":0.5,"layers":[` +
		`{"layer":3,"tokens":1,"experts_per_token":1,"overlap":1,"overlap_uncertainty":null,"top1":1,"identical":1,` +
		`"load_base":[0,0,0,0,0,1],"load_quant":[0,0,0,0,0,1],"agreement":[null,null,null,null,null,1]},` +
		`{"layer":7,"tokens":3,"experts_per_token":2,"overlap":0.5,"overlap_uncertainty":0.2886751345948129,"top1":0.3333333333333333,"identical":0.3333333333333333,` +
		`"load_base":[2,2,1,1,0,0],"load_quant":[1,1,1,1,2,0],"agreement":[0.5,0.5,1,0,null,null]}]}`
	if string(raw) != want {
		t.Errorf("%s\nwant %s", raw, want)
	}
	var none Routing
	if raw, err := json.Marshal(none.Report()); err != nil || string(raw) != `{"overlap":null,"top1":null,"identical":null,"layers":[]}` {
		t.Errorf("%s, %v", raw, err)
	}
}

// Counts against sets, and in any order of rows.
func TestRoutingRandom(t *testing.T) {
	const experts, k, n = 23, 5, 400
	r := rand.New(rand.NewPCG(1, 1))
	base, quant := make([]int32, 0, n*k), make([]int32, 0, n*k)
	choose := func() (row []int32) {
		for _, e := range r.Perm(experts)[:k] {
			row = append(row, int32(e))
		}
		return row
	}
	var overlap, top1, same float64
	for range n {
		a := choose()
		b := slices.Clone(a)
		switch r.IntN(3) {
		case 0:
			b = choose()
		case 1:
			b[0], b[k-1] = b[k-1], b[0]
		}
		shared := 0
		for _, e := range a {
			if slices.Contains(b, e) {
				shared++
			}
		}
		overlap += float64(shared) / k / n
		if shared == k {
			same += 1.0 / n
		}
		if a[0] == b[0] {
			top1 += 1.0 / n
		}
		base, quant = append(base, a...), append(quant, b...)
	}
	var forth, back Routing
	if err := forth.Add(0, k, base, quant); err != nil {
		t.Fatal(err)
	}
	for i := n - 1; i >= 0; i-- {
		if err := back.Add(0, k, base[i*k:i*k+k], quant[i*k:i*k+k]); err != nil {
			t.Fatal(err)
		}
	}
	got := forth.Report()
	if !reflect.DeepEqual(got, back.Report()) {
		t.Error("the order of rows matters")
	}
	for name, d := range map[string]float64{"overlap": float64(got.Overlap) - overlap, "top1": float64(got.Top1) - top1, "identical": float64(got.Identical) - same} {
		if math.Abs(d) > 1e-12 {
			t.Errorf("%s is %v off", name, d)
		}
	}
	sum := int64(0)
	for e, load := range got.Layers[0].LoadBase {
		sum += load
		both := 0
		for i := range n {
			if a, b := base[i*k:i*k+k], quant[i*k:i*k+k]; slices.Contains(a, int32(e)) && slices.Contains(b, int32(e)) {
				both++
			}
		}
		if a := float64(got.Layers[0].Agreement[e]); math.Abs(a-float64(both)/float64(load)) > 1e-12 {
			t.Errorf("agreement of expert %d is %v, %d of %d", e, a, both, load)
		}
	}
	if sum != n*k {
		t.Errorf("loads add up to %d", sum)
	}
}

func TestRoutingRefuses(t *testing.T) {
	for want, c := range map[string]struct {
		experts     int
		base, quant []int32
	}{
		"router of layer 4: row 1: expert -1 is not one of 0…7": {8, []int32{0, 1, -1, 2}, []int32{0, 1, 2, 3}},
		"router of layer 4: row 0: expert 8 is not one of 0…7":  {8, []int32{0, 1}, []int32{0, 8}},
		"expert 2147483647 is not one of 0…65535":               {0, []int32{0, math.MaxInt32}, []int32{0, 1}},
		"base names expert 3 twice":                             {0, []int32{3, 3}, []int32{0, 1}},
		"quant names expert 0 twice":                            {8, []int32{3, 2}, []int32{0, 0}},
	} {
		r := Routing{Experts: c.experts}
		if err := r.Add(4, 2, c.base, c.quant); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, invalid.Input) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var r Routing
	if err := r.Add(0, 2, []int32{0, 1}, []int32{0, 1}); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(0, 1, []int32{0}, []int32{0}); !errors.Is(err, invalid.Input) {
		t.Errorf("another k: %v", err)
	}
}
