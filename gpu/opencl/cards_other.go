//go:build !nogpu && (darwin || windows) && (amd64 || arm64)

package opencl

// Cards reports whether there may be a card: only its driver knows.
func Cards() bool { return true }
