//go:build !nogpu && (linux || windows) && (amd64 || arm64)

package cuda

import (
	"errors"
	"runtime"
	"sync"

	"quern/gpu/driver"
	"quern/gpu/internal/dynlib"
)

// Built says that this binary can look for CUDA.
const Built = true

// Devices returns the devices of the machine, in the order and number that
// CUDA_VISIBLE_DEVICES gives them. The error says why there are none.
func Devices() ([]driver.Found, error) {
	a, err := loaded()
	if err != nil {
		return nil, err
	}
	return a.Devices()
}

// loaded is the library of this machine, once.
var loaded = sync.OnceValues(func() (*API, error) { return Load(libraries()...) })

// libraries are where the driver's library is.
func libraries() []string {
	if runtime.GOOS == "windows" {
		return []string{"nvcuda.dll"}
	}
	return []string{"libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1"}
}

// Load binds the functions of the first of the libraries that is there.
func Load(names ...string) (*API, error) {
	lib, err := dynlib.Open(names...)
	if err != nil {
		return nil, errors.New("no CUDA driver: " + err.Error())
	}
	a := new(API)
	if err := lib.Bind(a); err != nil {
		return nil, errors.New("the CUDA driver is too old: " + err.Error())
	}
	return a, nil
}
