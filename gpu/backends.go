//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package gpu

import (
	"quern/gpu/cuda"
	"quern/gpu/opencl"
)

// backends are in the order of preference.
var backends = []backend{{"cuda", cuda.Built, cuda.Devices}, {"opencl", true, opencl.Devices}}
