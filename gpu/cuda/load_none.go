//go:build nogpu || !(linux || windows) || !(amd64 || arm64)

package cuda

import (
	"errors"

	"quern/gpu/driver"
)

// Built says that this binary can look for CUDA.
const Built = false

// Devices returns an error: there is no CUDA driver for this system, or this
// binary was built without it.
func Devices() ([]driver.Found, error) {
	return nil, errors.New("no CUDA driver for this system in this binary")
}
