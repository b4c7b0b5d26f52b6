package cuda

import (
	"unsafe"

	"quern/gpu/driver"
)

// API is the part of the CUDA driver's functions that is used; see cuda.h. The
// names are those of the library, where _v2 means the functions' second version.
// Tests put others in their place.
type API struct {
	Init                    func(flags uint32) int32                                                                                                                   `sym:"cuInit"`
	DriverGetVersion        func(version *int32) int32                                                                                                                 `sym:"cuDriverGetVersion"`
	GetErrorName            func(code int32, name **byte) int32                                                                                                        `sym:"cuGetErrorName"`
	DeviceGetCount          func(n *int32) int32                                                                                                                       `sym:"cuDeviceGetCount"`
	DeviceGet               func(device *int32, ordinal int32) int32                                                                                                   `sym:"cuDeviceGet"`
	DeviceGetName           func(name *byte, n int32, device int32) int32                                                                                              `sym:"cuDeviceGetName"`
	DeviceTotalMem          func(bytes *uintptr, device int32) int32                                                                                                   `sym:"cuDeviceTotalMem_v2"`
	DeviceGetAttribute      func(value *int32, attribute int32, device int32) int32                                                                                    `sym:"cuDeviceGetAttribute"`
	DevicePrimaryCtxRetain  func(context *uintptr, device int32) int32                                                                                                 `sym:"cuDevicePrimaryCtxRetain"`
	DevicePrimaryCtxRelease func(device int32) int32                                                                                                                   `sym:"cuDevicePrimaryCtxRelease_v2"`
	CtxSetCurrent           func(context uintptr) int32                                                                                                                `sym:"cuCtxSetCurrent"`
	MemGetInfo              func(free, total *uintptr) int32                                                                                                           `sym:"cuMemGetInfo_v2"`
	ModuleLoadDataEx        func(module *uintptr, image *byte, n uint32, options *int32, values *uintptr) int32                                                        `sym:"cuModuleLoadDataEx"`
	ModuleUnload            func(module uintptr) int32                                                                                                                 `sym:"cuModuleUnload"`
	ModuleGetFunction       func(function *uintptr, module uintptr, name string) int32                                                                                 `sym:"cuModuleGetFunction"`
	MemAlloc                func(memory *uintptr, n uintptr) int32                                                                                                     `sym:"cuMemAlloc_v2"`
	MemFree                 func(memory uintptr) int32                                                                                                                 `sym:"cuMemFree_v2"`
	MemHostAlloc            func(p *unsafe.Pointer, n uintptr, flags uint32) int32                                                                                     `sym:"cuMemHostAlloc"`
	MemFreeHost             func(p unsafe.Pointer) int32                                                                                                               `sym:"cuMemFreeHost"`
	StreamCreate            func(stream *uintptr, flags uint32) int32                                                                                                  `sym:"cuStreamCreate"`
	StreamSynchronize       func(stream uintptr) int32                                                                                                                 `sym:"cuStreamSynchronize"`
	StreamDestroy           func(stream uintptr) int32                                                                                                                 `sym:"cuStreamDestroy_v2"`
	MemcpyHtoDAsync         func(dst uintptr, src unsafe.Pointer, n uintptr, stream uintptr) int32                                                                     `sym:"cuMemcpyHtoDAsync_v2"`
	MemcpyDtoHAsync         func(dst unsafe.Pointer, src uintptr, n uintptr, stream uintptr) int32                                                                     `sym:"cuMemcpyDtoHAsync_v2"`
	LaunchKernel            func(function uintptr, gridX, gridY, gridZ, blockX, blockY, blockZ, shared uint32, stream uintptr, arguments, extra *unsafe.Pointer) int32 `sym:"cuLaunchKernel"`
	EventCreate             func(event *uintptr, flags uint32) int32                                                                                                   `sym:"cuEventCreate"`
	EventRecord             func(event, stream uintptr) int32                                                                                                          `sym:"cuEventRecord"`
	EventSynchronize        func(event uintptr) int32                                                                                                                  `sym:"cuEventSynchronize"`
	EventDestroy            func(event uintptr) int32                                                                                                                  `sym:"cuEventDestroy_v2"`
}

// Values of cuda.h.
const (
	success               = 0
	outOfMemory           = 2
	noDevice              = 100
	mismatch              = 803
	stubLibrary           = 34
	attributeProcessors   = 16
	attributeComputeMode  = 20
	attributeMajor        = 75
	attributeMinor        = 76
	computeModeProhibited = 2
	jitInfoLog            = 3
	jitInfoLogSize        = 4
	jitErrorLog           = 5
	jitErrorLogSize       = 6
	streamNonBlocking     = 1
	eventBlockingSync     = 1
	eventDisableTiming    = 2
	memHostAllocPortable  = 1
)

// check returns what a call returned as an error, nil for success.
func (a *API) check(call string, code int32) error {
	if code == success {
		return nil
	}
	name := "unknown error"
	var p *byte
	if a.GetErrorName(code, &p) == success && p != nil {
		name = text(p)
	}
	return &driver.Error{Call: call, Code: int(code), Name: name, Memory: code == outOfMemory}
}

// text copies a C string.
func text(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
