package cuda

import (
	"errors"
	"runtime"
	"unsafe"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// queue is a stream.
type queue struct {
	device *device
	stream uintptr
}

func (d *device) NewQueue() (driver.Queue, error) {
	q := &queue{device: d}
	if err := d.call("cuStreamCreate", func(a *API) int32 { return a.StreamCreate(&q.stream, streamNonBlocking) }); err != nil {
		return nil, err
	}
	return q, nil
}

func (q *queue) Write(dst driver.Buffer, at int, src []byte) error {
	return q.device.call("cuMemcpyHtoDAsync", func(a *API) int32 {
		return a.MemcpyHtoDAsync(dst.(*buffer).at+uintptr(at), unsafe.Pointer(&src[0]), uintptr(len(src)), q.stream)
	})
}

func (q *queue) Read(dst []byte, src driver.Buffer) error {
	return q.device.call("cuMemcpyDtoHAsync", func(a *API) int32 {
		return a.MemcpyDtoHAsync(unsafe.Pointer(&dst[0]), src.(*buffer).at, uintptr(len(dst)), q.stream)
	})
}

func (q *queue) Launch(k *kernels.Kernel, groups int, args ...driver.Arg) error {
	d := q.device
	values, pointers := pack(args)
	err := d.call("cuLaunchKernel", func(a *API) int32 {
		return a.LaunchKernel(d.functions[k], uint32(groups), 1, 1, kernels.GroupSize, 1, 1, 0, q.stream, &pointers[0], nil)
	})
	runtime.KeepAlive(values)
	return err
}

// pack returns the values of a kernel's arguments, and pointers to them, as the
// driver wants them: it reads as many bytes of each as the kernel declares, 8 for a
// buffer and 4 for a number, whose low ones come first.
func pack(args []driver.Arg) (values []uint64, pointers []unsafe.Pointer) {
	values, pointers = make([]uint64, len(args)), make([]unsafe.Pointer, len(args))
	for i, a := range args {
		values[i] = uint64(a.Value)
		if a.Buffer != nil {
			values[i] = uint64(a.Buffer.(*buffer).at)
		}
		pointers[i] = unsafe.Pointer(&values[i])
	}
	return values, pointers
}

// event is a point in a stream.
type event struct {
	device *device
	event  uintptr
}

func (q *queue) Record() (driver.Event, error) {
	e := &event{device: q.device}
	err := e.device.call("cuEventCreate", func(a *API) int32 { return a.EventCreate(&e.event, eventBlockingSync|eventDisableTiming) })
	if err != nil {
		return nil, err
	}
	if err := e.device.call("cuEventRecord", func(a *API) int32 { return a.EventRecord(e.event, q.stream) }); err != nil {
		return nil, errors.Join(err, e.Free())
	}
	return e, nil
}

func (q *queue) Finish() error {
	return q.device.wait("cuStreamSynchronize", func(a *API) int32 { return a.StreamSynchronize(q.stream) })
}

func (q *queue) Free() error {
	return q.device.call("cuStreamDestroy", func(a *API) int32 { return a.StreamDestroy(q.stream) })
}

func (e *event) Wait() error {
	return e.device.wait("cuEventSynchronize", func(a *API) int32 { return a.EventSynchronize(e.event) })
}

func (e *event) Free() error {
	return e.device.call("cuEventDestroy", func(a *API) int32 { return a.EventDestroy(e.event) })
}
