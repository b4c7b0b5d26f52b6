package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// device is an opened device: its primary context, which is current on two
// threads. One makes all calls but those that wait, the other waits, so that work
// can be handed in meanwhile.
type device struct {
	description
	context uintptr
	calls   *executor
	waits   *executor

	module    uintptr
	functions map[*kernels.Kernel]uintptr
}

func (d description) open() (driver.Device, error) {
	o := &device{description: d, calls: newExecutor(), waits: newExecutor(), functions: map[*kernels.Kernel]uintptr{}}
	err := o.call("cuDevicePrimaryCtxRetain", func(a *API) int32 { return a.DevicePrimaryCtxRetain(&o.context, o.device) })
	if err != nil {
		o.stop()
		return nil, err
	}
	current := func(a *API) int32 { return a.CtxSetCurrent(o.context) }
	err = errors.Join(o.call("cuCtxSetCurrent", current), o.wait("cuCtxSetCurrent", current))
	if err == nil {
		var free, total uintptr
		err = o.call("cuMemGetInfo", func(a *API) int32 { return a.MemGetInfo(&free, &total) })
		o.info.Free = int64(free)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// call makes a call on the thread for calls.
func (d *device) call(name string, f func(a *API) int32) error {
	return d.calls.do(func() error { return d.api.check(name, f(d.api)) })
}

// wait makes a call on the thread that waits.
func (d *device) wait(name string, f func(a *API) int32) error {
	return d.waits.do(func() error { return d.api.check(name, f(d.api)) })
}

func (d *device) stop() {
	d.calls.close()
	d.waits.close()
}

func (d *device) Info() driver.Info { return d.info }

// Build loads the PTX, which the driver compiles for the card, or finds among what
// it compiled earlier. Division is exact by the PTX: soft changes nothing.
func (d *device) Build(bool) error {
	if err := d.unload(); err != nil {
		return err
	}
	image := append([]byte(kernels.PTX), 0)
	log := make([]byte, 16<<10)
	options := []int32{jitErrorLog, jitErrorLogSize}
	values := &jitValues{unsafe.Pointer(&log[0]), uintptr(len(log) - 1)}
	var pin runtime.Pinner
	pin.Pin(&log[0])
	defer pin.Unpin()
	err := d.call("cuModuleLoadDataEx", func(a *API) int32 {
		return a.ModuleLoadDataEx(&d.module, &image[0], uint32(len(options)), &options[0], (*uintptr)(unsafe.Pointer(values)))
	})
	if err != nil {
		d.module = 0
		err.(*driver.Error).Log = text(&log[0])
		return err
	}
	for _, k := range kernels.All {
		var f uintptr
		if err := d.call("cuModuleGetFunction", func(a *API) int32 { return a.ModuleGetFunction(&f, d.module, k.Name) }); err != nil {
			err.(*driver.Error).Log = k.Name
			return errors.Join(err, d.unload())
		}
		d.functions[k] = f
	}
	d.info.Kernels = fmt.Sprintf("PTX for compute capability %d.%d", kernels.PTXTarget/10, kernels.PTXTarget%10)
	return nil
}

// jitValues are the values of Build's options, one machine word each. The buffer is a
// pointer and no number: the compiler must see that its address leaves Go, or the
// buffer may lie on a stack, which moves while the driver writes (the call is made on
// another thread, and the waiting goroutine's stack shrinks when memory is collected).
type jitValues struct {
	log  unsafe.Pointer
	size uintptr
}

// unload gives the module back.
func (d *device) unload() error {
	clear(d.functions)
	if d.module == 0 {
		return nil
	}
	err := d.call("cuModuleUnload", func(a *API) int32 { return a.ModuleUnload(d.module) })
	d.module = 0
	return err
}

func (d *device) Close() error {
	err := errors.Join(
		d.unload(),
		// Only the count of those who hold the context must fall; that it stays
		// current on threads that end is of no consequence.
		d.call("cuDevicePrimaryCtxRelease", func(a *API) int32 { return a.DevicePrimaryCtxRelease(d.device) }),
	)
	d.stop()
	return err
}

// buffer is device memory.
type buffer struct {
	device *device
	at     uintptr
}

func (d *device) NewBuffer(n int) (driver.Buffer, error) {
	b := &buffer{device: d}
	if err := d.call("cuMemAlloc", func(a *API) int32 { return a.MemAlloc(&b.at, uintptr(n)) }); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *buffer) Free() error {
	return b.device.call("cuMemFree", func(a *API) int32 { return a.MemFree(b.at) })
}

func (d *device) NewHost(n int) ([]byte, error) {
	var p unsafe.Pointer
	err := d.call("cuMemHostAlloc", func(a *API) int32 { return a.MemHostAlloc(&p, uintptr(n), memHostAllocPortable) })
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

func (d *device) FreeHost(p []byte) error {
	return d.call("cuMemFreeHost", func(a *API) int32 { return a.MemFreeHost(unsafe.Pointer(&p[0])) })
}
