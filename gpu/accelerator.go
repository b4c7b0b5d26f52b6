package gpu

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"quern/gpu/driver"
)

// accelerator is a Device that runs kernels through a driver.
type accelerator struct {
	dev   driver.Device
	info  Info
	opts  Options
	chunk int // bytes of a slot's large buffers
	small int // and of its small ones

	slots  chan *slot // those that are free
	all    []*slot
	arena  *arena
	hosts  *hosts
	broken atomic.Pointer[error] // why it can no longer be used

	mu     sync.Mutex
	calls  sync.WaitGroup
	closed bool
}

// errClosed is what calls get after Close.
var errClosed = errors.New("the device is closed")

// newAccelerator readies dev and tests it. hosts may be shared among devices. It
// closes dev where it fails.
func newAccelerator(dev driver.Device, o Options, h *hosts) (*accelerator, error) {
	a := &accelerator{dev: dev, info: dev.Info(), opts: o.withDefaults(dev.Info()), hosts: h}
	for a.opts.ring() > a.opts.DeviceMemory/2 {
		if !a.opts.shrink() {
			return nil, errors.Join(fmt.Errorf("%v: %d bytes of device memory are too few, at least %d are needed", a, a.opts.DeviceMemory, 2*a.opts.ring()), dev.Close())
		}
	}
	if err := a.ready(); err != nil {
		return nil, errors.Join(fmt.Errorf("%v: %w", a, err), a.Close())
	}
	return a, nil
}

func (a *accelerator) ready() error {
	if err := a.load(); err != nil {
		return err
	}
	if err := a.fill(); err != nil {
		return err
	}
	a.info = a.dev.Info()
	return selfTest(a)
}

// fill makes the slots, smaller ones where the device has not the memory.
func (a *accelerator) fill() error {
	for {
		a.slots = make(chan *slot, a.opts.Slots)
		a.chunk, a.small = a.opts.ChunkBytes, a.opts.small()
		var err error
		for range a.opts.Slots {
			var s *slot
			if s, err = newSlot(a.dev, a.chunk, a.small); err != nil {
				break
			}
			a.all = append(a.all, s)
			a.slots <- s
		}
		if err == nil {
			a.arena = newArena(a.dev, a.opts.DeviceMemory-a.opts.ring())
			return nil
		}
		if !errors.Is(err, ErrMemory) {
			return err
		}
		if freed := a.empty(); freed != nil || !a.opts.shrink() {
			return errors.Join(err, freed)
		}
	}
}

// empty gives the slots back.
func (a *accelerator) empty() error {
	var errs []error
	for _, s := range a.all {
		errs = append(errs, s.free())
	}
	a.all = nil
	return errors.Join(errs...)
}

func (a *accelerator) Info() Info { return a.info }

// String is how errors and logs name the device.
func (a *accelerator) String() string { return title(a.info) }

func title(i Info) string { return fmt.Sprintf("%s:%d (%s)", i.Kind, i.Index, i.Name) }

// enter begins a call, which calls.Done ends.
func (a *accelerator) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fmt.Errorf("%v: %w", a, errClosed)
	}
	if p := a.broken.Load(); p != nil {
		return *p
	}
	a.calls.Add(1)
	return nil
}

// blame names the device in an error of its driver, and remembers one after which
// it cannot be trusted: all but those that say that memory is short.
func (a *accelerator) blame(err error) error {
	if err == nil || !errors.Is(err, ErrDevice) {
		return err
	}
	err = fmt.Errorf("%v: %w", a, err)
	if !errors.Is(err, ErrMemory) {
		a.broken.CompareAndSwap(nil, &err)
	}
	return err
}

func (a *accelerator) NewBuffer(n int) (*Buffer, error) {
	if err := a.enter(); err != nil {
		return nil, err
	}
	defer a.calls.Done()
	p, err := a.dev.NewHost(n)
	if err != nil {
		return nil, a.blame(err)
	}
	a.hosts.add(p, a.dev)
	return &Buffer{Bytes: p, free: func() error { return a.hosts.free(p) }}, nil
}

func (a *accelerator) Close() error {
	a.mu.Lock()
	closed := a.closed
	a.closed = true
	a.mu.Unlock()
	if closed {
		return nil
	}
	a.calls.Wait()
	errs := []error{a.empty()}
	if a.arena != nil {
		errs = append(errs, a.arena.close())
	}
	errs = append(errs, a.hosts.freeAll(a.dev))
	return errors.Join(append(errs, a.dev.Close())...)
}
