package gpu

import (
	"errors"
	"sync"
	"unsafe"

	"quern/gpu/driver"
)

// hosts are the buffers that devices have handed out.
type hosts struct {
	mu   sync.RWMutex
	list []region
}

type region struct {
	bytes []byte
	of    driver.Device
}

func (h *hosts) add(p []byte, of driver.Device) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, region{p, of})
}

// has reports whether p lies within a buffer.
func (h *hosts) has(p []byte) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	for _, r := range h.list {
		// Below the start the difference is huge.
		if off := at - uintptr(unsafe.Pointer(unsafe.SliceData(r.bytes))); off < uintptr(len(r.bytes)) {
			return uintptr(len(r.bytes))-off >= uintptr(len(p))
		}
	}
	return false
}

// take removes the buffers that match.
func (h *hosts) take(match func(region) bool) (taken []region) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.list[:0]
	for _, r := range h.list {
		if match(r) {
			taken = append(taken, r)
		} else {
			kept = append(kept, r)
		}
	}
	h.list = kept
	return taken
}

// free gives a buffer back; nothing happens where freeAll did before.
func (h *hosts) free(p []byte) error {
	return release(h.take(func(r region) bool { return &r.bytes[0] == &p[0] }))
}

// freeAll gives back the buffers of a device.
func (h *hosts) freeAll(of driver.Device) error {
	return release(h.take(func(r region) bool { return r.of == of }))
}

func release(rs []region) error {
	var errs []error
	for _, r := range rs {
		errs = append(errs, r.of.FreeHost(r.bytes))
	}
	return errors.Join(errs...)
}
