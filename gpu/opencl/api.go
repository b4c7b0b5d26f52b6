//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package opencl

import (
	"errors"
	"runtime"
	"sync"
	"unsafe"

	"quern/gpu/driver"
	"quern/gpu/internal/dynlib"
)

// handle is an opaque pointer of OpenCL. It is never followed.
type handle = uintptr

// API is the part of OpenCL 1.2 that is used; see cl.h of the Khronos group. Tests
// put other functions in their place.
type API struct {
	GetPlatformIDs            func(n uint32, platforms *handle, count *uint32) int32                                                                              `sym:"clGetPlatformIDs"`
	GetPlatformInfo           func(p handle, what uint32, n uintptr, value *byte, size *uintptr) int32                                                            `sym:"clGetPlatformInfo"`
	GetDeviceIDs              func(p handle, kind uint64, n uint32, devices *handle, count *uint32) int32                                                         `sym:"clGetDeviceIDs"`
	GetDeviceInfo             func(d handle, what uint32, n uintptr, value *byte, size *uintptr) int32                                                            `sym:"clGetDeviceInfo"`
	CreateContext             func(properties *handle, n uint32, devices *handle, notify, user uintptr, code *int32) handle                                       `sym:"clCreateContext"`
	ReleaseContext            func(c handle) int32                                                                                                                `sym:"clReleaseContext"`
	CreateCommandQueue        func(c, d handle, properties uint64, code *int32) handle                                                                            `sym:"clCreateCommandQueue"`
	ReleaseCommandQueue       func(q handle) int32                                                                                                                `sym:"clReleaseCommandQueue"`
	CreateProgramWithSource   func(c handle, n uint32, sources **byte, lengths *uintptr, code *int32) handle                                                      `sym:"clCreateProgramWithSource"`
	BuildProgram              func(p handle, n uint32, devices *handle, options string, notify, user uintptr) int32                                               `sym:"clBuildProgram"`
	GetProgramBuildInfo       func(p, d handle, what uint32, n uintptr, value *byte, size *uintptr) int32                                                         `sym:"clGetProgramBuildInfo"`
	ReleaseProgram            func(p handle) int32                                                                                                                `sym:"clReleaseProgram"`
	CreateKernel              func(p handle, name string, code *int32) handle                                                                                     `sym:"clCreateKernel"`
	SetKernelArg              func(k handle, i uint32, n uintptr, value unsafe.Pointer) int32                                                                     `sym:"clSetKernelArg"`
	ReleaseKernel             func(k handle) int32                                                                                                                `sym:"clReleaseKernel"`
	CreateBuffer              func(c handle, flags uint64, n uintptr, host unsafe.Pointer, code *int32) handle                                                    `sym:"clCreateBuffer"`
	ReleaseMemObject          func(m handle) int32                                                                                                                `sym:"clReleaseMemObject"`
	EnqueueMapBuffer          func(q, m handle, blocking uint32, flags uint64, offset, n uintptr, events uint32, list, event *handle, code *int32) unsafe.Pointer `sym:"clEnqueueMapBuffer"`
	EnqueueUnmapMemObject     func(q, m handle, p unsafe.Pointer, events uint32, list, event *handle) int32                                                       `sym:"clEnqueueUnmapMemObject"`
	EnqueueWriteBuffer        func(q, m handle, blocking uint32, offset, n uintptr, p unsafe.Pointer, events uint32, list, event *handle) int32                   `sym:"clEnqueueWriteBuffer"`
	EnqueueReadBuffer         func(q, m handle, blocking uint32, offset, n uintptr, p unsafe.Pointer, events uint32, list, event *handle) int32                   `sym:"clEnqueueReadBuffer"`
	EnqueueNDRangeKernel      func(q, k handle, dim uint32, offset, global, local *uintptr, events uint32, list, event *handle) int32                             `sym:"clEnqueueNDRangeKernel"`
	EnqueueMarkerWithWaitList func(q handle, events uint32, list, event *handle) int32                                                                            `sym:"clEnqueueMarkerWithWaitList"`
	WaitForEvents             func(n uint32, list *handle) int32                                                                                                  `sym:"clWaitForEvents"`
	GetEventInfo              func(e handle, what uint32, n uintptr, value *byte, size *uintptr) int32                                                            `sym:"clGetEventInfo"`
	ReleaseEvent              func(e handle) int32                                                                                                                `sym:"clReleaseEvent"`
	Flush                     func(q handle) int32                                                                                                                `sym:"clFlush"`
	Finish                    func(q handle) int32                                                                                                                `sym:"clFinish"`
}

// Values of cl.h.
const (
	success = 0

	platformName = 0x0902

	typeGPU         = 1 << 2
	typeAccelerator = 1 << 3
	typeAll         = 0xFFFFFFFF

	deviceType           = 0x1000
	deviceUnits          = 0x1002
	deviceGroupSize      = 0x1004
	deviceAddressBits    = 0x100D
	deviceMaxAlloc       = 0x1010
	deviceFloats         = 0x101B
	deviceMemory         = 0x101F
	deviceLocalMemory    = 0x1023
	deviceLittleEndian   = 0x1026
	deviceAvailable      = 0x1027
	deviceCompiler       = 0x1028
	deviceName           = 0x102B
	driverVersion        = 0x102D
	deviceVersion        = 0x102F
	floatDenormals       = 1 << 0
	floatRoundToNearest  = 1 << 2
	floatFMA             = 1 << 5
	floatRoundedDivision = 1 << 7
	memReadWrite         = 1 << 0
	memAllocHostPtr      = 1 << 4
	mapRead              = 1 << 0
	mapWrite             = 1 << 1
	programBuildLog      = 0x1183
	eventExecutionStatus = 0x11D3
	deviceNotFound       = -1
	memAllocationFailure = -4
	outOfResources       = -5
	outOfHostMemory      = -6
	platformNotFound     = -1001 // cl_ext.h, CL_PLATFORM_NOT_FOUND_KHR
	nvidiaIllegalAccess  = -9999 // of NVIDIA's driver: a kernel read or wrote beyond a buffer
)

// names are what cl.h calls the codes that can come.
var names = map[int32]string{
	-1: "CL_DEVICE_NOT_FOUND", -2: "CL_DEVICE_NOT_AVAILABLE", -3: "CL_COMPILER_NOT_AVAILABLE",
	-4: "CL_MEM_OBJECT_ALLOCATION_FAILURE", -5: "CL_OUT_OF_RESOURCES", -6: "CL_OUT_OF_HOST_MEMORY",
	-11: "CL_BUILD_PROGRAM_FAILURE", -12: "CL_MAP_FAILURE", -14: "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
	-30: "CL_INVALID_VALUE", -32: "CL_INVALID_PLATFORM", -33: "CL_INVALID_DEVICE", -34: "CL_INVALID_CONTEXT",
	-36: "CL_INVALID_COMMAND_QUEUE", -37: "CL_INVALID_HOST_PTR", -38: "CL_INVALID_MEM_OBJECT",
	-43: "CL_INVALID_BUILD_OPTIONS", -44: "CL_INVALID_PROGRAM", -45: "CL_INVALID_PROGRAM_EXECUTABLE",
	-46: "CL_INVALID_KERNEL_NAME", -48: "CL_INVALID_KERNEL", -49: "CL_INVALID_ARG_INDEX",
	-50: "CL_INVALID_ARG_VALUE", -51: "CL_INVALID_ARG_SIZE", -52: "CL_INVALID_KERNEL_ARGS",
	-54: "CL_INVALID_WORK_GROUP_SIZE", -58: "CL_INVALID_EVENT", -59: "CL_INVALID_OPERATION",
	-61: "CL_INVALID_BUFFER_SIZE", -63: "CL_INVALID_GLOBAL_WORK_SIZE", -1001: "CL_PLATFORM_NOT_FOUND_KHR",
	nvidiaIllegalAccess: "illegal access to a buffer",
}

// check returns what a call returned as an error, nil for success.
func check(call string, code int32) error {
	if code >= success { // positive ones say that a command is not done yet
		return nil
	}
	name := names[code]
	if name == "" {
		name = "unknown error"
	}
	short := code == memAllocationFailure || code == outOfResources || code == outOfHostMemory
	return &driver.Error{Call: call, Code: int(code), Name: name, Memory: short}
}

// libraries are where the loader is.
func libraries() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"OpenCL.dll"}
	case "darwin":
		return []string{"/System/Library/Frameworks/OpenCL.framework/OpenCL"}
	}
	return []string{"libOpenCL.so.1", "libOpenCL.so"}
}

// loaded is the library of this machine, once.
var loaded = sync.OnceValues(func() (*API, error) { return Load() })

// Load binds the functions of the first of the libraries that is there; without
// names it looks where the system has it.
func Load(names ...string) (*API, error) {
	if len(names) == 0 {
		names = libraries()
	}
	lib, err := dynlib.Open(names...)
	if err != nil {
		return nil, errors.New("no OpenCL: " + err.Error())
	}
	a := new(API)
	if err := lib.Bind(a); err != nil {
		return nil, errors.New("no OpenCL 1.2: " + err.Error())
	}
	return a, nil
}
