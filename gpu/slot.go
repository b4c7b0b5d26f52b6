package gpu

import (
	"errors"

	"quern/gpu/driver"
)

// slot is what a piece of a call needs on its way through the device.
type slot struct {
	dev   driver.Device
	queue driver.Queue

	src, dst driver.Buffer    // a chunk each
	small    [2]driver.Buffer // statistics, scales and the like

	in, out []byte    // host side of src and dst, as large as was needed so far
	side    [2][]byte // host side of small
}

// newSlot takes what a slot needs, all of it or nothing.
func newSlot(dev driver.Device, chunk, small int) (*slot, error) {
	s := &slot{dev: dev}
	var err error
	if s.queue, err = dev.NewQueue(); err != nil {
		return nil, err
	}
	for _, b := range []struct {
		to *driver.Buffer
		n  int
	}{{&s.src, chunk}, {&s.dst, chunk}, {&s.small[0], small}, {&s.small[1], small}} {
		if *b.to, err = dev.NewBuffer(b.n); err != nil {
			*b.to = nil
			return nil, errors.Join(err, s.free())
		}
	}
	for i := range s.side {
		if s.side[i], err = dev.NewHost(small); err != nil {
			s.side[i] = nil
			return nil, errors.Join(err, s.free())
		}
	}
	return s, nil
}

// hostStep is what sizes of host memory are rounded up to.
const hostStep = 1 << 20

// host returns n bytes of *p, which it makes, or makes larger, where they do not
// fit. The queue must be idle. So a slot takes what pieces need, and not what they
// might.
func (s *slot) host(p *[]byte, n int) ([]byte, error) {
	if len(*p) < n {
		if *p != nil {
			old := *p
			*p = nil
			if err := s.dev.FreeHost(old); err != nil {
				return nil, err
			}
		}
		b, err := s.dev.NewHost(roundUp(n, hostStep))
		if err != nil {
			return nil, err
		}
		*p = b
	}
	return (*p)[:n], nil
}

// free gives everything back.
func (s *slot) free() error {
	errs := []error{s.queue.Finish()}
	for _, b := range []driver.Buffer{s.src, s.dst, s.small[0], s.small[1]} {
		if b != nil {
			errs = append(errs, b.Free())
		}
	}
	for _, p := range [][]byte{s.in, s.out, s.side[0], s.side[1]} {
		if p != nil {
			errs = append(errs, s.dev.FreeHost(p))
		}
	}
	return errors.Join(append(errs, s.queue.Free())...)
}
