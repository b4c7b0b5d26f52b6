//go:build !nogpu && (amd64 || arm64)

package opencl

import "path/filepath"

// nodes are the files through which drivers reach cards: of the kernel's own drivers, of
// NVIDIA's and AMD's, of Windows behind WSL, and of chips whose drivers have their own.
var nodes = []string{
	"/dev/dri/renderD*", "/dev/dri/card*", "/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dxg",
	"/dev/mali*", "/dev/kgsl-3d*", "/dev/pvr*", "/dev/galcore",
}

// Cards reports whether the system shows a card that a driver could drive.
func Cards() bool {
	for _, pattern := range nodes {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return true
		}
	}
	return false
}
