//go:build nogpu || !(linux || darwin || windows) || !(amd64 || arm64)

package gpu

import (
	"errors"

	"quern/gpu/driver"
)

var backends = []backend{{"cuda", false, without}, {"opencl", false, without}}

func without() ([]driver.Found, error) {
	return nil, errors.New("this binary was built without it")
}
