package driver

import "quern/gpu/kernels"

// Info says what a device is.
type Info struct {
	Kind    string `json:"kind"`              // "cpu", "cuda" or "opencl"
	Index   int    `json:"index"`             // among those of its kind
	Name    string `json:"name"`              // as the driver calls it
	Driver  string `json:"driver,omitempty"`  // name and version of the driver
	API     string `json:"api,omitempty"`     // version of the API and of the device's instruction set
	Memory  int64  `json:"memory,omitempty"`  // bytes
	Free    int64  `json:"free,omitempty"`    // bytes that are free now; 0 where the driver does not tell
	Units   int    `json:"units,omitempty"`   // multiprocessors, compute units or processors
	IsGPU   bool   `json:"gpu"`               // false where the device is a processor's own cores
	FMA     bool   `json:"fma"`               // products of matrices are chains of fused multiply-adds
	Kernels string `json:"kernels,omitempty"` // which variant of them is in use
}

// Found is a device that a backend sees.
type Found struct {
	Info    Info
	Refused error                  // why it cannot be used; nil if it may
	Open    func() (Device, error) // nil where Refused is set
}

// Device is an opened device. All methods may be called from many goroutines.
// Errors are of type *[Error].
type Device interface {
	Info() Info

	// Build loads the kernels. soft asks for division in integer arithmetic, for
	// devices whose own is not correctly rounded; those that have it exact by
	// specification ignore it. It may be called again.
	Build(soft bool) error

	// NewBuffer takes n > 0 bytes of device memory.
	NewBuffer(n int) (Buffer, error)

	// NewHost takes n > 0 bytes of host memory that copies need no detour for.
	NewHost(n int) ([]byte, error)

	// FreeHost gives back what NewHost returned, the whole of it.
	FreeHost(p []byte) error

	NewQueue() (Queue, error)

	// Close gives everything back. Queues, buffers and host memory must be
	// freed before.
	Close() error
}

// Buffer is device memory.
type Buffer interface {
	Free() error
}

// Queue runs copies and kernels one after the other. Different queues run side by
// side. The calls only enqueue: what they name must stay as it is until an event
// recorded later has passed. Host memory must come from NewHost.
type Queue interface {
	Write(dst Buffer, at int, src []byte) error // to byte at of dst
	Read(dst []byte, src Buffer) error          // from the start of src
	Launch(k *kernels.Kernel, groups int, args ...Arg) error
	Record() (Event, error)
	Finish() error // waits until all is done
	Free() error   // after Finish
}

// Event is a point in a queue.
type Event interface {
	Wait() error // until everything enqueued before it is done
	Free() error
}

// Arg is an argument of a kernel: a buffer, or else a 32-bit value.
type Arg struct {
	Buffer Buffer
	Value  uint32
}
