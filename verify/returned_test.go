package verify_test

import (
	"testing"

	"quern/convert"
	"quern/fp8"
)

// FP8 and back is compared with the BF16 that it was made from as what it is: by the
// ratio that the codes reach, and not for equality.
func TestReturned(t *testing.T) {
	src := model(t)
	for name, o := range map[string]convert.QuantizeOptions{"absmax": {}, "ue8m0": {UE8M0: true}, "mse": {Search: fp8.SearchMSE}} {
		back := dequantized(t, quantized(t, src, o))
		r := compare(t, src, back)
		wantFailed(t, r, nil)
		if r.Weights.Returned != 232 || r.Weights.Quantized != 232 || r.Weights.Kept != 37 || *r.Weights.WorstSQNR < 31 {
			t.Errorf("%s: %d returned of %d quantized, %d kept, %v dB", name, r.Weights.Returned, r.Weights.Quantized, r.Weights.Kept, *r.Weights.WorstSQNR)
		}
		// A weight that no code explains, and a kept tensor.
		p := patient{t, back}
		p.halves(upProj, func(x []float32) { x[1000] *= 1.25 })
		wantFailed(t, compare(t, src, back), []string{"digest", "kept"}, upProj, "index 1000 (row 3, column 232)")
		p.halves(upProj, func(x []float32) { x[1000] /= 1.25 })
		p.halves("model.norm.weight", func(x []float32) { x[1] *= 1.01 })
		wantFailed(t, compare(t, src, back), []string{"digest", "kept"})
	}
	// One matrix that differs is damage, and no conversion.
	one := patient{t, model(t)}
	one.halves(upProj, func(x []float32) {
		for i := range x {
			x[i] *= 1.02
		}
	})
	wantFailed(t, compare(t, src, one.dir), []string{"kept"}, upProj)
}
