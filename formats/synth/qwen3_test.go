package synth

import "testing"

// Qwen3-30B-A3B has 18,867 tensors and 30,532,122,624 parameters.
func TestQwen3A3B(t *testing.T) {
	list := Qwen3A3B().Tensors()
	n := int64(0)
	for _, x := range list {
		n += x.Elements()
	}
	if len(list) != 18867 || n != 30_532_122_624 {
		t.Errorf("%d tensors of %d parameters", len(list), n)
	}
}
