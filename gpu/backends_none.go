//go:build nogpu || !(linux || darwin || windows) || !(amd64 || arm64)

package gpu

import (
	"errors"

	"quern/gpu/driver"
)

var backends = []backend{{kind: "cuda", devices: without, cards: never}, {kind: "opencl", devices: without, cards: never}}

func never() bool { return false }

func without() ([]driver.Found, error) {
	return nil, errors.New("this binary was built without it")
}
