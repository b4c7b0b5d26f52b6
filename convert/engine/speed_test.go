package engine

import (
	"testing"

	"quern/fp8"
	"quern/scheme"
)

// The coder and the decoder of every scheme can be tried, with the settings that plans
// have, and a slow search is seen to be slow.
func TestMeasureEveryScheme(t *testing.T) {
	for _, s := range scheme.All {
		for _, k := range []kernel{
			{scheme: s.Name, elem: fp8.ElemBF16},
			{scheme: s.Name, elem: fp8.ElemF32},
			{scheme: s.Name, elem: fp8.ElemBF16, decode: true},
			{scheme: s.Name, elem: fp8.ElemF32, decode: true},
		} {
			run, err := k.prepare()
			if err == nil {
				_, err = run()
			}
			if err != nil {
				t.Errorf("%+v: %v", k, err)
			}
			if took := k.measure(); took < 1e-12 || took > 1e-6 {
				t.Errorf("%+v: %g s a weight", k, took)
			}
		}
	}
	plain := kernel{scheme: "int4", elem: fp8.ElemBF16}
	search := plain
	search.params.Search = fp8.SearchWeighted
	if a, b := plain.measure(), search.measure(); b < 2*a {
		t.Errorf("searched %g s a weight, plain %g", b, a)
	}
}
