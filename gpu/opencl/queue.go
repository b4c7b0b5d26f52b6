//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package opencl

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"quern/gpu/driver"
	"quern/gpu/kernels"
)

// queue is a command queue, in order.
type queue struct {
	device *device
	q      handle
}

func (d *device) NewQueue() (driver.Queue, error) {
	var code int32
	q := d.api.CreateCommandQueue(d.context, d.id, 0, &code)
	if err := check("clCreateCommandQueue", code); err != nil {
		return nil, err
	}
	return &queue{d, q}, nil
}

func (q *queue) Write(dst driver.Buffer, at int, src []byte) error {
	return check("clEnqueueWriteBuffer", q.device.api.EnqueueWriteBuffer(
		q.q, dst.(*buffer).mem, 0, uintptr(at), uintptr(len(src)), unsafe.Pointer(&src[0]), 0, nil, nil))
}

func (q *queue) Read(dst []byte, src driver.Buffer) error {
	return check("clEnqueueReadBuffer", q.device.api.EnqueueReadBuffer(
		q.q, src.(*buffer).mem, 0, 0, uintptr(len(dst)), unsafe.Pointer(&dst[0]), 0, nil, nil))
}

func (q *queue) Launch(k *kernels.Kernel, groups int, args ...driver.Arg) error {
	d := q.device
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.kernels[k]
	for i, a := range args {
		var value [8]byte
		n := uintptr(4)
		if a.Buffer != nil {
			n = unsafe.Sizeof(handle(0))
			binary.NativeEndian.PutUint64(value[:], uint64(a.Buffer.(*buffer).mem))
		} else {
			binary.NativeEndian.PutUint32(value[:], a.Value)
		}
		if err := check("clSetKernelArg", d.api.SetKernelArg(h, uint32(i), n, unsafe.Pointer(&value))); err != nil {
			return err
		}
	}
	local, global := uintptr(kernels.GroupSize), uintptr(groups)*kernels.GroupSize
	return check("clEnqueueNDRangeKernel", d.api.EnqueueNDRangeKernel(q.q, h, 1, nil, &global, &local, 0, nil, nil))
}

// event is a marker behind what had been enqueued.
type event struct {
	api *API
	e   handle
}

func (q *queue) Record() (driver.Event, error) {
	e := &event{api: q.device.api}
	if err := check("clEnqueueMarkerWithWaitList", e.api.EnqueueMarkerWithWaitList(q.q, 0, nil, &e.e)); err != nil {
		return nil, err
	}
	if err := check("clFlush", e.api.Flush(q.q)); err != nil { // else it may never start
		return nil, errors.Join(err, e.Free())
	}
	return e, nil
}

func (q *queue) Finish() error { return check("clFinish", q.device.api.Finish(q.q)) }

func (q *queue) Free() error {
	return check("clReleaseCommandQueue", q.device.api.ReleaseCommandQueue(q.q))
}

func (e *event) Wait() error {
	if err := check("clWaitForEvents", e.api.WaitForEvents(1, &e.e)); err != nil {
		return err
	}
	var status [4]byte
	if err := check("clGetEventInfo", e.api.GetEventInfo(e.e, eventExecutionStatus, 4, &status[0], nil)); err != nil {
		return err
	}
	return check("a command of the queue", int32(binary.NativeEndian.Uint32(status[:])))
}

func (e *event) Free() error { return check("clReleaseEvent", e.api.ReleaseEvent(e.e)) }
