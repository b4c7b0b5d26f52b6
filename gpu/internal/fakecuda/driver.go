package fakecuda

import (
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"quern/gpu/cuda"
	"quern/gpu/internal/ptx"
	"quern/gpu/kernels"
)

// Memory is a card's memory.
type Memory = ptx.Memory

// Driver is the driver of a machine.
type Driver struct {
	Cards   int
	SM      int32 // compute capability, 60 for 6.0
	Version int32 // CUDA that the driver reports, 12020 for 12.2
	Mode    int32 // compute mode
	Memory  int   // bytes of each card

	// Run runs a kernel; what it returns ends the card.
	Run func(mem *Memory, name string, groups, threads int, args []uint64) error

	// Log, if set, is told why a kernel ended the card: its caller gets a code.
	Log func(string)

	// Reject, if set, is what the driver's compiler has against every image. It is
	// written late, as a compiler does: memory was collected and stacks have moved.
	Reject string

	// Delay is how long each copy takes at least.
	Delay time.Duration

	mu      sync.Mutex
	mem     ptx.Memory
	next    uintptr
	live    map[uintptr]any // handles: *stream, *event, *module, *function, memory, contexts
	hosts   map[unsafe.Pointer][]byte
	copies  map[*byte]int // under way, by where they are in host memory
	held    int           // references to contexts
	taken   int           // bytes
	current map[int]uintptr
	lost    int32 // what all calls return once a kernel has failed
}

// Codes of cuda.h.
const (
	invalidValue   = 1
	outOfMemory    = 2
	noDevice       = 100
	invalidDevice  = 101
	invalidContext = 201
	invalidPTX     = 218
	invalidHandle  = 400
	notFound       = 500
	illegalAddress = 700
)

type (
	memory   int             // bytes
	module   struct{ _ int } // not empty: each is another
	function struct {
		module *module
		name   string
	}
)

// New returns a machine with one card of 64 MiB, whose kernels run as run does.
func New(run func(mem *Memory, name string, groups, threads int, args []uint64) error) *Driver {
	return &Driver{
		Cards: 1, SM: 89, Version: 12020, Memory: 64 << 20, Run: run,
		live: map[uintptr]any{}, hosts: map[unsafe.Pointer][]byte{}, copies: map[*byte]int{}, current: map[int]uintptr{},
	}
}

// Held says what has not been given back, "" if nothing.
func (d *Driver) Held() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.live) == 0 && len(d.hosts) == 0 && d.held == 0 {
		return ""
	}
	kinds := map[string]int{}
	for _, v := range d.live {
		kinds[fmt.Sprintf("%T", v)]++
	}
	return fmt.Sprintf("%v, %d of host memory, %d contexts", kinds, len(d.hosts), d.held)
}

// add makes a handle. The lock is held.
func (d *Driver) add(v any) uintptr {
	d.next += 16
	h := d.next + 0x1000
	d.live[h] = v
	return h
}

// get returns what a handle stands for.
func get[T any](d *Driver, h uintptr) (v T, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok = d.live[h].(T)
	return v, ok
}

// inContext runs f, locked, if a context is current on this thread and the card is
// there.
func (d *Driver) inContext(f func() int32) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, known := thread(); known && d.current[id] == 0 {
		return invalidContext
	}
	if d.lost != 0 {
		return d.lost
	}
	return f()
}

// put makes a handle for v in *to.
func (d *Driver) put(to *uintptr, v func() any) int32 {
	return d.inContext(func() int32 {
		*to = d.add(v())
		return 0
	})
}

// drop ends the handle of a T. That works on a lost card, too.
func drop[T any](d *Driver, h uintptr) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.live[h].(T); !ok {
		return invalidHandle
	}
	delete(d.live, h)
	return d.lost
}

// API returns the driver's functions.
func (d *Driver) API() *cuda.API {
	a := &cuda.API{}
	d.describe(a)
	d.memory(a)
	d.streams(a)
	return a
}

// describe are the functions that need no context, and those about it.
func (d *Driver) describe(a *cuda.API) {
	a.Init = func(uint32) int32 {
		if d.Cards == 0 {
			return noDevice
		}
		return 0
	}
	a.DriverGetVersion = func(v *int32) int32 { *v = d.Version; return 0 }
	a.GetErrorName = func(code int32, p **byte) int32 {
		name := map[int32]string{
			outOfMemory: "CUDA_ERROR_OUT_OF_MEMORY", illegalAddress: "CUDA_ERROR_ILLEGAL_ADDRESS",
			invalidContext: "CUDA_ERROR_INVALID_CONTEXT", invalidHandle: "CUDA_ERROR_INVALID_HANDLE",
		}[code]
		if name == "" {
			return invalidValue
		}
		*p = &append([]byte(name), 0)[0]
		return 0
	}
	a.DeviceGetCount = func(n *int32) int32 { *n = int32(d.Cards); return 0 }
	a.DeviceGet = func(dev *int32, i int32) int32 {
		if int(i) >= d.Cards {
			return invalidDevice
		}
		*dev = i + 7 // no ordinal
		return 0
	}
	a.DeviceGetName = func(p *byte, n, dev int32) int32 {
		copy(unsafe.Slice(p, n), "Imaginary 9000\x00")
		return 0
	}
	a.DeviceTotalMem = func(n *uintptr, dev int32) int32 { *n = uintptr(d.Memory); return 0 }
	a.DeviceGetAttribute = func(v *int32, what, dev int32) int32 {
		*v = map[int32]int32{16: 4, 20: d.Mode, 75: d.SM / 10, 76: d.SM % 10}[what]
		return 0
	}
	a.DevicePrimaryCtxRetain = func(c *uintptr, dev int32) int32 {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held++
		*c = uintptr(dev) << 8
		return 0
	}
	a.DevicePrimaryCtxRelease = func(int32) int32 {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held--
		if d.held == 0 {
			clear(d.current)
		}
		return 0
	}
	a.CtxSetCurrent = func(c uintptr) int32 {
		d.mu.Lock()
		defer d.mu.Unlock()
		id, _ := thread()
		d.current[id] = c
		return 0
	}
}

// memory are the functions about memory and modules.
func (d *Driver) memory(a *cuda.API) {
	a.MemGetInfo = func(free, total *uintptr) int32 {
		return d.inContext(func() int32 {
			*free, *total = uintptr(d.Memory-d.taken), uintptr(d.Memory)
			return 0
		})
	}
	a.MemAlloc = func(p *uintptr, n uintptr) int32 {
		return d.inContext(func() int32 {
			if d.taken+int(n) > d.Memory {
				return outOfMemory
			}
			d.taken += int(n)
			*p = uintptr(d.mem.Alloc(int(n)))
			d.live[*p] = memory(n)
			return 0
		})
	}
	a.MemFree = func(p uintptr) int32 {
		if n, ok := get[memory](d, p); ok {
			d.mu.Lock()
			d.taken -= int(n)
			d.mem.Free(uint64(p))
			d.mu.Unlock()
		}
		return drop[memory](d, p)
	}
	a.MemHostAlloc = func(p *unsafe.Pointer, n uintptr, flags uint32) int32 {
		return d.inContext(func() int32 {
			b := make([]byte, n)
			*p = unsafe.Pointer(&b[0])
			d.hosts[*p] = b
			return 0
		})
	}
	a.MemFreeHost = func(p unsafe.Pointer) int32 {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.hosts[p] == nil {
			return invalidValue
		}
		delete(d.hosts, p)
		return d.lost
	}
	a.ModuleLoadDataEx = func(m *uintptr, image *byte, options uint32, what *int32, values *uintptr) int32 {
		if d.Reject != "" {
			d.reject(unsafe.Slice(what, options), unsafe.Slice(values, options))
			return invalidPTX
		}
		n := 0
		for *(*byte)(unsafe.Add(unsafe.Pointer(image), n)) != 0 {
			n++
		}
		if string(unsafe.Slice(image, n)) != kernels.PTX {
			return invalidPTX
		}
		mod := &module{}
		return d.put(m, func() any { return mod })
	}
	a.ModuleUnload = func(m uintptr) int32 {
		if mod, ok := get[*module](d, m); ok {
			d.mu.Lock()
			for h, v := range d.live { // functions end with their module
				if f, ok := v.(*function); ok && f.module == mod {
					delete(d.live, h)
				}
			}
			d.mu.Unlock()
		}
		return drop[*module](d, m)
	}
	a.ModuleGetFunction = func(f *uintptr, m uintptr, name string) int32 {
		mod, ok := get[*module](d, m)
		if !ok {
			return invalidHandle
		}
		if parsed().Entries[name] == nil {
			return notFound
		}
		return d.put(f, func() any { return &function{mod, name} })
	}
}

// reject writes what the compiler says to where the options of a load want it. The
// address is a number to a driver, so here too: nothing keeps the buffer but its owner.
func (d *Driver) reject(options []int32, values []uintptr) {
	const errorLog, errorLogSize = 5, 6
	var at, size uintptr
	for i, o := range options {
		switch o {
		case errorLog:
			at = values[i]
		case errorLogSize:
			size = values[i]
		}
	}
	for range 3 {
		runtime.GC()
	}
	if n := uintptr(len(d.Reject)); at != 0 && n < size {
		p := *(*unsafe.Pointer)(unsafe.Pointer(&at))
		copy(unsafe.Slice((*byte)(p), n+1), d.Reject+"\x00")
	}
}

// Busy reports whether a copy from or to p is under way.
func (d *Driver) Busy(p []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at, n := range d.copies {
		off := uintptr(unsafe.Pointer(at)) - uintptr(unsafe.Pointer(&p[0]))
		if n > 0 && off < uintptr(len(p)) {
			return true
		}
	}
	return false
}

// host returns n bytes of memory that MemHostAlloc gave, and nothing else: other
// memory may move or go while a copy is under way.
func (d *Driver) host(p unsafe.Pointer, n uintptr) []byte {
	for at, b := range d.hosts {
		off := uintptr(p) - uintptr(at)
		if off < uintptr(len(b)) && n <= uintptr(len(b))-off {
			return b[off:][:n]
		}
	}
	return nil
}
