//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package opencl

import (
	"errors"
	"strings"
	"sync"
	"unsafe"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// description is what a device says of itself.
type description struct {
	api             *API
	id              handle
	info            driver.Info
	maxAlloc        int64
	roundedDivision bool
}

// device is an opened device, with a context of its own.
type device struct {
	description

	context handle
	mapping handle // the queue that maps host memory
	program handle

	mu      sync.Mutex                 // a kernel's arguments are state of the kernel
	kernels map[*kernels.Kernel]handle // of the program
	hosts   map[*byte]handle           // host memory, by its start
}

func (d *device) Info() driver.Info { return d.info }

func (d description) open() (driver.Device, error) {
	o := &device{description: d, kernels: map[*kernels.Kernel]handle{}, hosts: map[*byte]handle{}}
	var code int32
	o.context = o.api.CreateContext(nil, 1, &o.id, 0, 0, &code)
	if err := check("clCreateContext", code); err != nil {
		return nil, err
	}
	o.mapping = o.api.CreateCommandQueue(o.context, o.id, 0, &code)
	if err := check("clCreateCommandQueue", code); err != nil {
		o.mapping = 0
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (d *device) Build(soft bool) error {
	d.unload()
	src := unsafe.StringData(kernels.Source())
	n := uintptr(len(kernels.Source()))
	var code int32
	d.program = d.api.CreateProgramWithSource(d.context, 1, &src, &n, &code)
	if err := check("clCreateProgramWithSource", code); err != nil {
		d.program = 0
		return err
	}
	options := []string{"-cl-std=CL1.2"}
	switch {
	case soft || !d.roundedDivision:
		options = append(options, "-DSOFT_DIVISION")
	default:
		options = append(options, "-cl-fp32-correctly-rounded-divide-sqrt")
	}
	if d.info.FMA {
		options = append(options, "-DHAS_FMA")
	}
	if !d.info.IsGPU {
		options = append(options, "-DROLLED")
	}
	if err := check("clBuildProgram", d.api.BuildProgram(d.program, 1, &d.id, strings.Join(options, " "), 0, 0)); err != nil {
		log, _ := d.api.text("clGetProgramBuildInfo", func(p handle, what uint32, n uintptr, v *byte, size *uintptr) int32 {
			return d.api.GetProgramBuildInfo(p, d.id, what, n, v, size)
		}, d.program, programBuildLog)
		err.(*driver.Error).Log = log
		return errors.Join(err, d.unload())
	}
	d.info.Kernels = strings.Join(options, " ")
	for _, k := range kernels.All {
		h := d.api.CreateKernel(d.program, k.Name, &code)
		if err := check("clCreateKernel", code); err != nil {
			return errors.Join(err, d.unload())
		}
		d.kernels[k] = h
	}
	return nil
}

// unload gives the program back.
func (d *device) unload() error {
	var errs []error
	for k, h := range d.kernels {
		errs = append(errs, check("clReleaseKernel", d.api.ReleaseKernel(h)))
		delete(d.kernels, k)
	}
	if d.program != 0 {
		errs = append(errs, check("clReleaseProgram", d.api.ReleaseProgram(d.program)))
		d.program = 0
	}
	return errors.Join(errs...)
}

func (d *device) Close() error {
	errs := []error{d.unload()}
	if d.mapping != 0 {
		errs = append(errs, check("clReleaseCommandQueue", d.api.ReleaseCommandQueue(d.mapping)))
	}
	return errors.Join(append(errs, check("clReleaseContext", d.api.ReleaseContext(d.context)))...)
}

// buffer is device memory.
type buffer struct {
	api *API
	mem handle
}

func (d *device) NewBuffer(n int) (driver.Buffer, error) {
	if int64(n) > d.maxAlloc {
		return nil, &driver.Error{Call: "clCreateBuffer", Code: memAllocationFailure, Name: "more than CL_DEVICE_MAX_MEM_ALLOC_SIZE", Memory: true}
	}
	mem, err := d.memory(memReadWrite, n)
	if err != nil {
		return nil, err
	}
	return &buffer{d.api, mem}, nil
}

func (d *device) memory(flags uint64, n int) (handle, error) {
	var code int32
	mem := d.api.CreateBuffer(d.context, flags, uintptr(n), nil, &code)
	return mem, check("clCreateBuffer", code)
}

func (b *buffer) Free() error { return check("clReleaseMemObject", b.api.ReleaseMemObject(b.mem)) }

// NewHost maps a buffer that the driver has put into host memory: that is what
// drivers give for memory that copies need no detour for.
func (d *device) NewHost(n int) ([]byte, error) {
	mem, err := d.memory(memReadWrite|memAllocHostPtr, n)
	if err != nil {
		return nil, err
	}
	var code int32
	p := d.api.EnqueueMapBuffer(d.mapping, mem, 1, mapRead|mapWrite, 0, uintptr(n), 0, nil, nil, &code)
	if err := check("clEnqueueMapBuffer", code); err != nil {
		return nil, errors.Join(err, (&buffer{d.api, mem}).Free())
	}
	host := unsafe.Slice((*byte)(p), n)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[&host[0]] = mem
	return host, nil
}

func (d *device) FreeHost(p []byte) error {
	d.mu.Lock()
	mem := d.hosts[&p[0]]
	delete(d.hosts, &p[0])
	d.mu.Unlock()
	return errors.Join(
		check("clEnqueueUnmapMemObject", d.api.EnqueueUnmapMemObject(d.mapping, mem, unsafe.Pointer(&p[0]), 0, nil, nil)),
		check("clFinish", d.api.Finish(d.mapping)),
		(&buffer{d.api, mem}).Free(),
	)
}
