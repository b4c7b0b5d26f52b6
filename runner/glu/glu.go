// Package glu holds the clamped gated activations of feed-forward blocks whose gate
// and up projections are apart. (gpt_oss interleaves them: vec.ClampedSwiGLU.)
package glu

import "quern/internal/vec"

// Clamped writes silu(min(gate, limit))·clamp(up, ±limit) to gate: swiglu_limit of
// DeepSeek-V4 and GLM-5.3 (experts, shared experts and dense blocks) and of Hy4's
// experts (not its shared expert and dense block). up is overwritten.
func Clamped(gate, up []float32, limit float32) {
	clamp(gate, up, limit)
	vec.SiLUMul(gate, gate, up)
}

// Alpha writes (clamp(up, ±limit)+1)·g·sigmoid(alpha·g) with g = min(gate, limit) to
// gate: MiniMax-M3, swiglu_alpha and swiglu_limit. up and scratch, as long, are
// overwritten.
func Alpha(gate, up, scratch []float32, alpha, limit float32) {
	clamp(gate, up, limit)
	copy(scratch, gate)
	vec.Scale(scratch, alpha)
	vec.Sigmoid(scratch, scratch)
	vec.Mul(gate, scratch)
	for i, u := range up {
		gate[i] *= u + 1
	}
}

func clamp(gate, up []float32, limit float32) {
	for i, g := range gate {
		gate[i] = min(g, limit)
	}
	for i, u := range up {
		up[i] = min(max(u, -limit), limit)
	}
}
