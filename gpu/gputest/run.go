package gputest

import (
	"testing"

	"quern/gpu"
)

// Run tests a device. It leaves it open.
func Run(t *testing.T, d gpu.Device) {
	t.Run("quantize", func(t *testing.T) { quantize(t, d) })
	t.Run("shapes", func(t *testing.T) { shapes(t, d) })
	t.Run("non-finite", func(t *testing.T) { nonFinite(t, d) })
	t.Run("weights", func(t *testing.T) { columnWeights(t, d) })
	t.Run("dequantize", func(t *testing.T) { dequantize(t, d) })
	t.Run("mul", func(t *testing.T) { mul(t, d) })
	t.Run("buffers", func(t *testing.T) { buffers(t, d) })
	t.Run("many at once", func(t *testing.T) { manyAtOnce(t, d) })
	t.Run("arguments", func(t *testing.T) { arguments(t, d) })
}
