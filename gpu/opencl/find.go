//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package opencl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// Devices returns the devices of this machine. The error says why there is no
// OpenCL.
func Devices() ([]driver.Found, error) {
	a, err := loaded()
	if err != nil {
		return nil, err
	}
	return a.Devices()
}

// Devices returns the devices of all platforms.
func (a *API) Devices() ([]driver.Found, error) {
	platforms, err := list("clGetPlatformIDs", a.GetPlatformIDs)
	if err != nil {
		return nil, err
	}
	var found []driver.Found
	for _, p := range platforms {
		ids, err := list("clGetDeviceIDs", func(n uint32, d *handle, count *uint32) int32 {
			return a.GetDeviceIDs(p, typeAll, n, d, count)
		})
		if err != nil {
			return nil, err
		}
		platform, err := a.text("clGetPlatformInfo", a.GetPlatformInfo, p, platformName)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			d := &description{api: a, id: id, info: driver.Info{Kind: "opencl", Index: len(found)}}
			f := driver.Found{Refused: d.describe(platform)}
			if f.Refused == nil {
				f.Open = d.open
			}
			f.Info = d.info
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no OpenCL device: the loader is there, a driver is not")
	}
	return found, nil
}

// list calls twice: for the number of handles, and for them.
func list(call string, get func(n uint32, handles *handle, count *uint32) int32) ([]handle, error) {
	var n uint32
	if code := get(0, nil, &n); code == deviceNotFound || code == platformNotFound {
		return nil, nil
	} else if err := check(call, code); err != nil || n == 0 {
		return nil, err
	}
	handles := make([]handle, n)
	return handles, check(call, get(n, &handles[0], nil))
}

// query is one of the clGet…Info calls.
type query func(of handle, what uint32, n uintptr, value *byte, size *uintptr) int32

func (a *API) text(call string, get query, of handle, what uint32) (string, error) {
	var n uintptr
	if err := check(call, get(of, what, 0, nil, &n)); err != nil || n == 0 {
		return "", err
	}
	buf := make([]byte, n)
	if err := check(call, get(of, what, n, &buf[0], nil)); err != nil {
		return "", err
	}
	return strings.TrimSpace(strings.TrimRight(string(buf), "\x00")), nil
}

// number reads a value of at most 8 bytes.
func (a *API) number(of handle, what uint32) (uint64, error) {
	var buf [8]byte // what is shorter fills the lower bytes
	err := check("clGetDeviceInfo", a.GetDeviceInfo(of, what, 8, &buf[0], nil))
	return binary.LittleEndian.Uint64(buf[:]), err
}

// describe fills in what the device says of itself, and returns why it cannot be
// used.
func (d *description) describe(platform string) error {
	var first error
	text := func(what uint32) string {
		s, err := d.api.text("clGetDeviceInfo", d.api.GetDeviceInfo, d.id, what)
		if first == nil {
			first = err
		}
		return s
	}
	number := func(what uint32) uint64 {
		n, err := d.api.number(d.id, what)
		if first == nil {
			first = err
		}
		return n
	}
	d.info.Name, d.info.API = text(deviceName), text(deviceVersion)
	d.info.Driver = platform + " " + text(driverVersion)
	d.info.Memory, d.info.Units = int64(number(deviceMemory)), int(number(deviceUnits))
	d.info.IsGPU = number(deviceType)&(typeGPU|typeAccelerator) != 0
	d.maxAlloc = int64(number(deviceMaxAlloc))
	floats := number(deviceFloats)
	d.roundedDivision, d.info.FMA = floats&floatRoundedDivision != 0, floats&floatFMA != 0
	var major, minor int
	switch {
	case first != nil:
		return first
	case number(deviceAvailable) == 0:
		return errors.New("the driver says that it is not available")
	case number(deviceCompiler) == 0:
		return errors.New("its driver has no compiler")
	case number(deviceLittleEndian) == 0 || number(deviceAddressBits) != 64:
		return errors.New("it is no 64-bit little-endian device")
	case floats&floatDenormals == 0:
		return errors.New("it flushes subnormal float32 numbers to zero (no CL_FP_DENORM)")
	case floats&floatRoundToNearest == 0:
		return errors.New("it does not round float32 to nearest (no CL_FP_ROUND_TO_NEAREST)")
	case number(deviceGroupSize) < kernels.GroupSize:
		return fmt.Errorf("its work-groups have at most %d threads, %d are needed", number(deviceGroupSize), kernels.GroupSize)
	case number(deviceLocalMemory) < kernels.LocalMemory:
		return fmt.Errorf("it has %d bytes of local memory, %d are needed", number(deviceLocalMemory), kernels.LocalMemory)
	}
	if n, _ := fmt.Sscanf(d.info.API, "OpenCL %d.%d", &major, &minor); n != 2 || major*10+minor < 12 {
		return fmt.Errorf("it speaks %q, OpenCL 1.2 is needed", d.info.API)
	}
	return first
}
