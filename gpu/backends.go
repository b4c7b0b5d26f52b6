//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"quern/gpu/cuda"
	"quern/gpu/opencl"
)

// backends are in the order of preference.
var backends = []backend{
	{kind: "cuda", built: cuda.Built, devices: cuda.Devices, cards: func() bool { return true }}, // no card, no driver
	{kind: "opencl", built: true, devices: opencl.Devices, cards: opencl.Cards},
}
