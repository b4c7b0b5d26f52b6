package engine_test

import (
	"testing"

	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/safetensors"
)

// A bound that nobody set gives way to a plan as large as Kimi-K3's; one that was
// set does not.
func TestMemoryNobodySet(t *testing.T) {
	p := &plan.Plan{Tensors: make([]plan.Tensor, 497_725)}
	for i := range p.Tensors {
		p.Tensors[i] = plan.Tensor{Name: "x", DType: safetensors.BF16, Shape: []int64{128, 128}, Op: plan.Copy, Source: plan.View{DType: safetensors.BF16, Shape: []int64{128, 128}}}
	}
	n, err := engine.Need(p, engine.Options{})
	if err != nil || n <= engine.DefaultMemory || n > 2<<30 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := engine.Need(p, engine.Options{Memory: engine.DefaultMemory}); err == nil {
		t.Error("a bound that was set is raised")
	}
}
