package gpu

import (
	"errors"
	"sync"

	"quern/gpu/driver"
)

// arena hands out device memory for the operands of products, within a bound, and
// keeps what comes back for the next call.
type arena struct {
	dev   driver.Device
	limit int64

	mu    sync.Mutex
	back  sync.Cond // something came back
	taken int64     // bytes, kept ones included
	kept  []operand
}

// operand is a piece of device memory.
type operand struct {
	driver.Buffer
	size int
}

// arenaStep is what sizes are rounded up to, so that calls of like sizes share.
const arenaStep = 1 << 20

func newArena(dev driver.Device, limit int64) *arena {
	a := &arena{dev: dev, limit: limit}
	a.back.L = &a.mu
	return a
}

// take returns at least n bytes; it waits while other calls hold too many.
func (a *arena) take(n int) (operand, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if int64(n) > a.limit {
		return operand{}, &driver.Error{Call: "allocating", Code: n, Name: "bytes are more than the bound on device memory leaves", Memory: true}
	}
	n = int(min(int64(roundUp(n, arenaStep)), a.limit))
	for {
		for i, o := range a.kept {
			if o.size >= n {
				a.kept = append(a.kept[:i], a.kept[i+1:]...)
				return o, nil
			}
		}
		if a.taken+int64(n) <= a.limit {
			b, err := a.dev.NewBuffer(n)
			if err == nil {
				a.taken += int64(n)
				return operand{b, n}, nil
			}
			if !errors.Is(err, ErrMemory) || len(a.kept) == 0 {
				return operand{}, err
			}
		}
		if len(a.kept) > 0 { // too small, but in the way
			if err := a.drop(); err != nil {
				return operand{}, err
			}
			continue
		}
		a.back.Wait()
	}
}

func (a *arena) give(o operand) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = append(a.kept, o)
	a.back.Broadcast()
}

// drop frees what is kept.
func (a *arena) drop() error {
	var errs []error
	for _, o := range a.kept {
		errs = append(errs, o.Free())
		a.taken -= int64(o.size)
	}
	a.kept = nil
	return errors.Join(errs...)
}

// close frees everything; no call may be under way.
func (a *arena) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.drop()
}
