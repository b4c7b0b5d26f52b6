package runner

import (
	"math"

	"quern/internal/vec"
)

// activation is what a feed-forward block applies to its gate; nil stands for SiLU,
// which nearly all models have and vec computes.
type activation func(x float64) float64

// activations are those of hidden_act, by the names of transformers (ACT2FN). A config
// that has none means SiLU.
var activations = map[string]activation{
	"": nil, "silu": nil, "swish": nil,
	"gelu": gelu, "gelu_python": gelu,
	"gelu_new": geluTanh, "gelu_pytorch_tanh": geluTanh, "gelu_python_tanh": geluTanh, "gelu_fast": geluTanh, "gelu_accurate": geluTanh,
	"quick_gelu": func(x float64) float64 { return x * sigmoid(1.702*x) },
	"relu":       func(x float64) float64 { return max(x, 0) },
	"relu2":      func(x float64) float64 { return max(x, 0) * max(x, 0) },
	"relu6":      func(x float64) float64 { return min(max(x, 0), 6) },
	"sigmoid":    sigmoid,
	"tanh":       math.Tanh,
	"mish":       func(x float64) float64 { return x * math.Tanh(max(x, 0)+math.Log1p(math.Exp(-math.Abs(x)))) },
	"linear":     func(x float64) float64 { return x },
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func gelu(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }

// geluTanh is the approximation of gelu by tanh.
func geluTanh(x float64) float64 {
	return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2
}

// apply writes act(x) into x.
func (f activation) apply(x []float32) {
	if f == nil {
		f = silu
	}
	for i, v := range x {
		x[i] = float32(f(float64(v)))
	}
}

func silu(x float64) float64 { return x * sigmoid(x) }

// times writes act(gate)·up into gate.
func (f activation) times(gate, up []float32) {
	if f == nil {
		vec.SiLUMul(gate, gate, up)
		return
	}
	for i, x := range gate {
		gate[i] = float32(f(float64(x))) * up[i]
	}
}
