package glu

import (
	"math"
	"testing"

	"quern/runner/golden"
)

func TestClamped(t *testing.T) {
	values := []float64{-30, -8, -7, -1, -0.25, 0, 0.5, 3, 7, 9, 40}
	var gate, up, gate2, up2, want, want2 []float32
	for _, g := range values {
		for _, u := range values {
			gate, up = append(gate, float32(g)), append(up, float32(u))
			c, d := min(g, 7), min(max(u, -7), 7)
			want = append(want, float32(c/(1+math.Exp(-c))*d))
			want2 = append(want2, float32((d+1)*c/(1+math.Exp(-1.702*c))))
		}
	}
	gate2, up2 = append(gate2, gate...), append(up2, up...)
	Clamped(gate, up, 7)
	golden.Near(t, "clamped", gate, want, 1e-6)
	Alpha(gate2, up2, make([]float32, len(up2)), 1.702, 7)
	golden.Near(t, "alpha", gate2, want2, 1e-6)
}
