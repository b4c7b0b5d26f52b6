package fakecuda

import (
	"fmt"
	"time"
	"unsafe"

	"quern/gpu/cuda"
)

// stream runs what it is given one after the other, in a goroutine of its own: so
// the race detector sees who touches memory too early.
type stream struct {
	work  chan func()
	ended chan struct{}
}

// event is done when what was enqueued before it is.
type event struct{ done chan struct{} }

func newStream() *stream {
	s := &stream{work: make(chan func(), 64), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for f := range s.work {
			f()
		}
	}()
	return s
}

// enqueue gives a stream something to do, if the card is not lost by then.
func (d *Driver) enqueue(h uintptr, f func() int32) int32 {
	s, ok := get[*stream](d, h)
	if !ok {
		return invalidHandle
	}
	s.work <- func() {
		d.mu.Lock()
		lost := d.lost != 0
		d.mu.Unlock()
		if lost {
			return // copies that do not happen stay in the books; so does their card
		}
		if code := f(); code != 0 {
			d.mu.Lock()
			d.lost = code
			d.mu.Unlock()
		}
	}
	return 0
}

// copy enqueues a copy between host and card.
func (d *Driver) copy(s uintptr, host unsafe.Pointer, card, n uintptr, do func(host, card []byte)) int32 {
	code := d.inContext(func() int32 {
		if d.host(host, n) == nil || d.mem.Bytes(uint64(card), int(n)) == nil {
			return invalidValue
		}
		d.copies[(*byte)(host)]++
		return 0
	})
	if code != 0 {
		return code
	}
	ended := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.copies[(*byte)(host)]--
	}
	at := unsafe.Slice((*byte)(host), n)
	if code := d.enqueue(s, func() int32 {
		defer ended()
		time.Sleep(d.Delay)
		do(at, d.mem.Bytes(uint64(card), int(n)))
		return 0
	}); code != 0 {
		ended()
		return code
	}
	return 0
}

func (d *Driver) streams(a *cuda.API) {
	ok := func() int32 { return d.inContext(func() int32 { return 0 }) }
	a.StreamCreate = func(s *uintptr, flags uint32) int32 {
		return d.put(s, func() any { return newStream() })
	}
	a.StreamSynchronize = func(h uintptr) int32 {
		s, found := get[*stream](d, h)
		if !found {
			return invalidHandle
		}
		done := make(chan struct{})
		s.work <- func() { close(done) }
		<-done
		return ok()
	}
	a.StreamDestroy = func(h uintptr) int32 {
		if s, found := get[*stream](d, h); found {
			close(s.work)
			<-s.ended
		}
		return drop[*stream](d, h)
	}
	a.MemcpyHtoDAsync = func(dst uintptr, src unsafe.Pointer, n, s uintptr) int32 {
		return d.copy(s, src, dst, n, func(host, card []byte) { copy(card, host) })
	}
	a.MemcpyDtoHAsync = func(dst unsafe.Pointer, src, n, s uintptr) int32 {
		return d.copy(s, dst, src, n, func(host, card []byte) { copy(host, card) })
	}
	a.LaunchKernel = func(f uintptr, gx, gy, gz, bx, by, bz, shared uint32, s uintptr, arguments, extra *unsafe.Pointer) int32 {
		fn, found := get[*function](d, f)
		if !found {
			return invalidHandle
		}
		if gx == 0 || gy != 1 || gz != 1 || by != 1 || bz != 1 || shared != 0 || extra != nil {
			return invalidValue
		}
		if code := ok(); code != 0 {
			return code
		}
		values := readArguments(fn.name, arguments)
		return d.enqueue(s, func() int32 {
			if err := d.Run(&d.mem, fn.name, int(gx), int(bx), values); err != nil {
				if d.Log != nil {
					d.Log(fmt.Sprintf("kernel %s: %v", fn.name, err))
				}
				return illegalAddress
			}
			return 0
		})
	}
	a.EventCreate = func(e *uintptr, flags uint32) int32 {
		return d.put(e, func() any { return &event{} })
	}
	a.EventRecord = func(e, s uintptr) int32 {
		ev, found := get[*event](d, e)
		if !found {
			return invalidHandle
		}
		st, found := get[*stream](d, s)
		if !found {
			return invalidHandle
		}
		done := make(chan struct{})
		ev.done = done
		st.work <- func() { close(done) } // also on a lost card
		return ok()
	}
	a.EventSynchronize = func(e uintptr) int32 {
		ev, found := get[*event](d, e)
		if !found {
			return invalidHandle
		}
		if ev.done != nil {
			<-ev.done
		}
		return ok()
	}
	a.EventDestroy = func(e uintptr) int32 { return drop[*event](d, e) }
}
